"""Why a job is pending, in words: by the plan that the supervisor would make now.

Invariants
- The plan is made by whoever asks, at most once; nothing is written for it, and no waiting job has files to look at.
- What keeps one job (others, a time, its array) is told before what keeps them all.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Optional

from . import hold, layout, machine, memory, queue, schedule, trouble, workplace
from .ledger import Ledger, Record
from .model import LACKS, STARTS


def held() -> Optional[str]:
    """What keeps the supervisor from letting anybody start."""
    if trouble.disk_is_full(layout.root()):
        return "waits for room on a full disk"
    return hold.reason() if machine.is_ours() else machine.HELD


class Outlook:
    """What the jobs that wait are in for, as of its first question."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._now = time.time()

    def reason(self, record: Record) -> str:
        """Why this pending job has not started."""
        if not record.is_queued:
            return workplace.delay(record) or STARTS
        owner = record.array_id or record.id
        if owner in self._needs:
            return self._needs[owner]
        if record.why is not None and record.why.startswith(LACKS):
            return record.why
        if record.due is not None and record.due > self._now:
            return again(record, self._now)
        if record.id not in self._plan:
            return _full(record)
        return self._held or self._plan[record.id]

    def learned(self, name: str) -> Optional[int]:
        """The bytes that a job of this name reserves unless it asks for others."""
        return self._learned.get(name.lower())

    @cached_property
    def _held(self) -> Optional[str]:
        return held()

    @cached_property
    def _learned(self) -> dict[str, Optional[int]]:
        rows = self._ledger.rows("SELECT name, mem FROM learned")
        return {name.lower(): queue.known(mem) for name, mem in rows}

    @cached_property
    def _needs(self) -> dict[str, str]:
        """Whom jobs and arrays wait for, by their ids."""
        rows = self._ledger.rows(
            "SELECT job_id, count(*), name, min(run) FROM needs JOIN jobs ON jobs.id = needs_id GROUP BY job_id"
        )
        return {owner: after("%s.%d" % (name, run), count) for owner, count, name, run in rows}

    @cached_property
    def _plan(self) -> dict[str, str]:
        """Of each job that could start why it does not, by its id."""
        host, running = memory.look(), queue.active(self._ledger)
        left, holding = queue.room(self._ledger, running, host, self._now)
        most = schedule.most_of(left, holding).mem
        waiting = list(queue.waiting(self._ledger, running, host, most, self._now))
        told = schedule.reasons(self._now, left, holding, waiting)
        return {job.id: told.get(job.id, STARTS) for job in waiting}


def after(first: str, count: int) -> str:
    """``after prep.3``: it, or so many jobs of which it is the first, have to complete."""
    return "after %s" % first if count == 1 else "after %s and %d more" % (first, count - 1)


def again(record: Record, now: float) -> str:
    """``attempt 2 of 4 in 25 s (attempt 1: exit status 1)``"""
    wait = max(0.0, (record.due or now) - now)
    soon = "in %d s" % round(wait) if wait < 120 else "in %s" % schedule.about(wait)
    if not record.why:
        return "starts %s" % soon
    return "attempt %d of %d %s (%s)" % (record.attempt + 1, record.spec.retries + 1, soon, record.why)


def _full(record: Record) -> str:
    """Of a job that the queue leaves out: its array has as many tasks under way as it may."""
    if record.task_limit is None:
        return STARTS  # it has been let go since the row was read
    return "%d task%s of its array run%s at once" % (
        record.task_limit,
        *(("", "s") if record.task_limit == 1 else ("s", "")),
    )
