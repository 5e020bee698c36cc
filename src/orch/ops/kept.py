"""Logs and records of runs, kept on this machine for good: for hosts that somebody else may delete.

Invariants
- Under a run's name is a whole log, of which the record tells how far it goes: both are written aside, and renamed.
- What is kept of a run that has ended is not fetched again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from orch import files, paths
from orch.errors import OrchError, is_want_of_room
from orch.model import Host, is_live, label
from orch.providers.kept import record
from orch.remote import Remote
from orch_agent.model import JobView, Refusal, is_name

from .hosts import Hosts, connect
from .logs import Log
from .patience import Tell, unheard

VANISHING = frozenset({"codespaces"})
"""Providers whose hosts are deleted by others, with all that is on them."""


class Kept(NamedTuple):
    """A run of which log and record are here, in these files."""

    job: JobView
    log: str
    record: str


def keep(remote: Remote, ref: str, tell: Tell = unheard) -> Kept:
    """Keep the log of a run, as far as it goes now, and its record."""
    log = Log(remote, {"job": ref}, tell)
    job = log.job
    place = remote.host.name, job["name"], job["run"]
    kept = Kept(job, paths.kept_log(*place), paths.kept_record(*place))
    with _written(kept.log) as file:
        for chunk in log.chunks():
            file.write(chunk)
        _make_room(kept)
    with _written(kept.record) as file:
        file.write(json.dumps({**job, "tty": log.tty}, indent=2).encode("ascii"))
    return kept


def keep_ended(hosts: Hosts, jobs: Iterable[JobView], tell: Tell = unheard) -> None:
    """Keep those that have ended on a host that may vanish. What fails is told, and nothing else."""
    for job in jobs:
        host = hosts.config.hosts.get(job["host"])
        if host is not None and host.provider in VANISHING:
            keep_one(connect(host), job, tell)


def keep_one(remote: Remote, job: JobView, tell: Tell = unheard) -> None:
    """The same of one."""
    if remote.host.provider not in VANISHING or is_live(job) or _is_kept(remote.host, job):
        return
    try:
        keep(remote, label(job))
    except (Refusal, OSError) as error:
        tell(f"the log of {label(job)} is not kept on this machine: {error}")


def _is_kept(host: Host, job: JobView) -> bool:
    there = record(paths.kept_record(host.name, job["name"], job["run"]))
    return bool(there.get("id") == job["id"] and there.get("ended_at") == job["ended_at"])


def _make_room(kept: Kept) -> None:
    """A host that was made anew counts its runs from one again: what is kept of another run stays, under its id."""
    before = record(kept.record).get("id")
    if isinstance(before, str) and is_name(before) and before != kept.job["id"]:
        for path in (kept.log, kept.record):
            stem, dot, kind = path.rpartition(".")
            os.replace(path, f"{stem}.{before}{dot}{kind}")


@contextmanager
def _written(path: str) -> Iterator[IO[bytes]]:
    """A file that is there when all of it is on the disk."""
    aside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        if is_want_of_room(error):
            raise
        hint = "move away what is in its place, or see who may write there"
        raise OrchError("refused", f"cannot write {path}: {error.strerror}", hint) from None
    finally:
        files.remove(aside)
