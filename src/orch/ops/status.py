"""What all hosts say of their jobs. A host that is silent is shown as it last was, and holds up nobody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from orch.model import HostStatus, is_meant
from orch.remote import Remote
from orch_agent.model import JobRef, JobView, Refusal

from . import cache
from .hosts import Hosts, status_of
from .parallel import in_order


def status(
    hosts: Hosts, names: Sequence[str] = (), show_all: bool = False, host: str | None = None
) -> list[HostStatus]:
    """Each host's jobs, in the order of the configuration. Cached are only answers to the plain question."""
    remotes = hosts.some(host)
    outcomes = in_order([partial(_ask, remote, names, show_all) for remote in remotes])
    return [_told(remote, outcome, names) for remote, outcome in zip(remotes, outcomes, strict=True)]


def _ask(remote: Remote, names: Sequence[str], show_all: bool) -> HostStatus:
    answer = status_of(remote, names, show_all)
    told = HostStatus(remote.host, answer["jobs"], answer["host"], time.time())
    if not names and not show_all:
        cache.save(told)
    return told


def _told(remote: Remote, outcome: HostStatus | Exception, names: Sequence[str]) -> HostStatus:
    if isinstance(outcome, HostStatus):
        return outcome
    if not isinstance(outcome, Refusal) or outcome.kind != "host":
        raise outcome  # the question was wrong, or orch is: no host to blame
    last = cache.load(remote.host) or HostStatus(remote.host, [], {}, None)
    jobs = [job for job in last.jobs if not names or _named(job, names)]
    return last._replace(jobs=jobs, error=outcome.message, hint=outcome.hint)


def _named(job: JobView, names: Sequence[str]) -> bool:
    return any(is_meant(job, JobRef.parse(name)) for name in names)
