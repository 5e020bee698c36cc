"""What the laptop knows besides jobs: hosts, and what they last said.

Invariants
- Everything here is immutable and knows nothing of files, processes or terminals.
- What a job is, and its states, is the vocabulary shared with the agent: ``orch_agent.model``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from orch_agent.model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    LIVE_STATES,
    OUT_OF_MEMORY,
    TIMEOUT,
    JobRef,
    JobView,
)

from .errors import LOST


class Host(NamedTuple):
    """A place where jobs run, as configured. ``source`` is the file that says so, for messages."""

    name: str
    provider: str
    options: Mapping[str, Any] = {}
    source: str = ""


class JobDefaults(NamedTuple):
    """What a repository's ``orch.toml`` says of one job; ``command`` None is "not said".

    ``terms``: of the fields of a ``JobSpec`` those that it sets. ``host`` and ``sync`` are None where it is silent.
    """

    command: str | None
    cwd: str
    terms: Mapping[str, Any]
    host: str | None = None
    sync: bool | None = None


class HostStatus(NamedTuple):
    """What a host says of itself and its jobs; ``as_of`` is in epoch seconds.

    ``error`` says why it is old news, ``hint`` and ``kind`` are that error's; ``off`` is the state of a host that does
    not run. ``kept``: it was not asked, for it was asked a moment ago.
    """

    host: Host
    jobs: Sequence[JobView]
    facts: Mapping[str, Any]
    as_of: float | None
    error: str | None = None
    hint: str = ""
    kind: str = ""
    off: str = ""
    kept: bool = False

    @property
    def state(self) -> str:
        """``running``, ``unreachable``, or what it is instead of running: ``stopped``."""
        return self.off or ("unreachable" if self.error else "running")


CheckState = Literal["ok", "warning", "failed", "skipped"]


class Check(NamedTuple):
    """One thing about a host that was looked at; ``says`` is what was found.

    ``mend`` is the command that mends it, or shows what to mend: for the person's shell on the host or, with ``here``,
    on the laptop. ``safe``: it harms nothing, whatever the host is like, so ``orch doctor --fix`` offers to run it.
    """

    name: str
    state: CheckState
    says: str
    mend: str = ""
    safe: bool = False
    here: bool = False


def new_id() -> str:
    """An id for a submission: sorts by time, and nobody else makes the same."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def is_live(job: JobView) -> bool:
    """Whether the job can still change."""
    return job["state"] in LIVE_STATES


def label(job: JobView) -> str:
    """``train.3``."""
    return f"{job['name']}.{job['run']}"


def called(job: JobView) -> str:
    """``train``, or ``train.3`` where the name means the other tasks of an array as well."""
    return label(job) if job["array_id"] is not None else str(job["name"])


def span(jobs: Sequence[JobView]) -> str:
    """``train.3``, or ``train.4-13`` for runs that follow one another."""
    first, last = jobs[0]["run"], jobs[-1]["run"]
    return str(JobRef(jobs[0]["name"], first, None if first == last else last))


def gathered(jobs: Iterable[JobView], key: Callable[[JobView], object]) -> Iterator[list[JobView]]:
    """The jobs in groups, in order: tasks of an array that stand together with the same ``key``, unless it is None."""
    group: list[JobView] = []
    for job in jobs:
        if group and not _goes_with(job, group[-1], key):
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def _goes_with(job: JobView, last: JobView, key: Callable[[JobView], object]) -> bool:
    if job["array_id"] is None or job["array_id"] != last["array_id"] or job["run"] != last["run"] + 1:
        return False
    return key(job) is not None and key(job) == key(last)


def is_meant(job: JobView, wanted: JobRef) -> bool:
    """Whether ``wanted`` is this run or its name; upper and lower case are one name."""
    return bool(job["name"].lower() == wanted.name.lower() and wanted.covers(job["run"]))


def job_status(job: JobView) -> int:
    """The exit status a shell would give for this job; 255 where its own cannot be known."""
    state, signal, code = job["state"], job.get("signal"), job.get("exit_code")
    fixed = {COMPLETED: 0, TIMEOUT: 124, OUT_OF_MEMORY: 137, CANCELLED: 143}
    if state in fixed:
        return fixed[state]
    if state != FAILED:
        return LOST
    if signal:
        return 128 + int(signal)
    return int(code) if code else LOST


def jobs_status(jobs: Sequence[JobView]) -> int:
    """The first status that is not 0, in the order given."""
    return next((status for status in map(job_status, jobs) if status), 0)
