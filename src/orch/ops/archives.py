"""The log of a job whose host does not run, from where its provider keeps it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch import answers
from orch.errors import OrchError, usage
from orch.model import Host, is_live, is_meant
from orch.providers import kept, provider_of
from orch.providers.base import Archive, Archived, Run
from orch.transport import Off
from orch_agent.model import JobRef, JobView

from . import cache
from .hosts import Hosts


class Past(NamedTuple):
    """A run as an archive has it. ``state`` says why that was asked: ``cloud is stopped``."""

    state: str
    where: str
    run: Run
    lines: Iterator[bytes]


def past(hosts: Hosts, off: Off, request: Mapping[str, Any]) -> Past:
    """What is left of the job of a request for a log, which met a host that is off; ``off`` itself without archive."""
    archive = _archive(hosts, off)
    if archive is None:
        raise off
    run = archive.find(JobRef.parse(request["job"]))
    if run is None:
        raise OrchError("not_found", f"{off.message}, and {archive.where} has no log of {request['job']}", off.hint)
    return _past(off, archive, run, request)


def may_have(hosts: Hosts, off: Off, ref: str) -> bool:
    """Whether the run may be left where the host that is off leaves logs; of copies on this machine that is known."""
    archive = _archive(hosts, off)
    return not isinstance(archive, kept.Kept) or archive.find(JobRef.parse(ref)) is not None


def _archive(hosts: Hosts, off: Off) -> Archive | None:
    host = hosts.config.host(off.host)
    provider = provider_of(host)
    return provider.archive(host) if isinstance(provider, Archived) else None


def left_behind(hosts: Hosts, request: Mapping[str, Any]) -> Past | None:
    """What was kept here of a job whose host is no more; of several the newest. None where nothing was."""
    ref = JobRef.parse(request["job"])
    gone = {name: kept.Kept(Host(name, "")) for name in kept.hosts() if name not in hosts.config.hosts}
    runs = {name: run for name, archive in gone.items() if (run := archive.find(ref)) is not None}
    if not runs:
        return None
    name = max(runs, key=lambda name: (str((runs[name].ended or {}).get("ended_at")), name))
    return _past(Off(name, "absent"), gone[name], runs[name], request)


def _past(off: Off, archive: Archive, run: Run, request: Mapping[str, Any]) -> Past:
    if "reader" in request:
        why = f"{off.message}, and {archive.where} does not know what a reader has seen: --new has to wait"
        raise OrchError("refused", why, f"{off.hint}\norch logs {request['job']} --tail 100")
    pattern = _pattern(request.get("grep"))
    lines = archive.lines(run, _moment(request.get("since")), request.get("tail"))
    matching = (line for line in lines if pattern.search(line.rstrip(b"\r\n"))) if pattern else lines
    return Past(Off(off.host, off.state).message, archive.where, run, matching)


def ends(hosts: Hosts, off: Off, refs: Sequence[str]) -> list[JobView] | None:
    """Jobs that have ended on a host that is off, by the archive or as last seen; None where one's end is not known."""
    host, archive = hosts.config.host(off.host), _archive(hosts, off)
    seen = cache.load(host)
    found = [_end_of(JobRef.parse(ref), host, archive, list(seen.jobs) if seen else []) for ref in refs]
    return None if None in found else [job for job in found if job is not None]


def _end_of(ref: JobRef, host: Host, archive: Archive | None, seen: Sequence[JobView]) -> JobView | None:
    run = archive.find(ref) if archive and (ref.last is None or ref.last == ref.run) else None
    if run is not None and run.ended is not None:
        return answers.job({**run.ended, "name": run.name, "run": run.run}, host.name)
    known = [job for job in seen if is_meant(job, ref)]
    newest = max(known, key=lambda job: int(job["run"]), default=None)
    is_it = newest is not None and not is_live(newest) and (run is None or run.run == newest["run"])
    return newest if is_it else None


def _moment(since: float | Mapping[str, float] | None) -> float | None:
    """Epoch seconds of what the command line means; the machine's clock, which wrote the times, is not to be had."""
    return time.time() - float(since["ago"]) if isinstance(since, Mapping) else since


def _pattern(text: str | None) -> re.Pattern[bytes] | None:
    """As a host reads it."""
    try:
        return None if text is None else re.compile(os.fsencode(text))
    except re.error as error:
        raise usage(f"the pattern {text!a} is not a regular expression: {error}") from None
