"""Keeps the host from running out of memory: looks, has ``guard`` decide, and does it. A part of the supervisor.

Invariants
- It needs no ledger and, but to freeze, no disk: it knows the jobs that the supervisor saw at its last turn.
- A job on its way is known by its lock as soon as it has begun, for a storm of memory does not wait for a turn.
- What it did stands in the jobs' directories, so that the next supervisor goes on from there.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Optional

from . import cgroup, freezer, guard, hold, layout, locks, memory, outofmemory, procs, traces, tree, usage
from .ledger import Record
from .schedule import size

_FROZEN_LOOK = 0.5
"""Seconds between two looks while a job is frozen, at most."""


class Warden:
    """``host``: its memory at the last look. ``held``: why no job may be admitted, or None.

    ``pause``: seconds until it wants to look again.
    """

    def __init__(self) -> None:
        self.host = memory.look()
        self.held: Optional[str] = None
        self.pause = 0.0
        self._running: dict[str, Record] = {}
        self._stalls = memory.Stalls()
        self._frozen: dict[str, float] = {}
        self._spared: dict[str, float] = {}
        self._killed: dict[str, float] = {}
        self._thawed_at = 0.0
        hold.put(None)

    def meet(self, active: Sequence[Record]) -> None:
        """These are the jobs of this host now; some may have been frozen by a supervisor before."""
        self._running = {record.id: record for record in active}
        for known in (self._spared, self._killed):
            for job_id in [one for one in known if one not in self._running]:
                del known[job_id]
        marks = {job_id: freezer.mark(record) for job_id, record in self._running.items()}
        now = time.monotonic()
        self._frozen = {
            job_id: self._frozen.get(job_id, now - min(guard.FROZEN_MOST, max(0.0, time.time() - mark.at)))
            for job_id, mark in marks.items()
            if mark is not None
        }

    def look(self) -> bool:
        """Look once, and do what is to be done; whether jobs may be admitted again that could not before."""
        self.host = host = memory.look()
        stalls = self._stalls.share()
        self.pause = guard.pause(host, stalls)
        if guard.is_calm(host, stalls) and not self._frozen:
            return self._hold(None)
        now = time.monotonic()
        self._running = {job_id: _as_started(record) for job_id, record in self._running.items()}
        jobs = [self._measure(record, now) for record in self._running.values() if record.started_at is not None]
        decision = guard.decide(now, host, stalls, jobs, self._thawed_at)
        if decision.kill is not None:
            self._kill(decision.kill, host)
        if decision.freeze is not None:
            self._freeze(decision.freeze, host)
        if decision.thaw is not None:
            self._thaw(decision.thaw.id, decision.spare)
        if self._frozen:
            self.pause = min(self.pause, _FROZEN_LOOK)
        return self._hold(self._why(host) if decision.hold else None)

    def _why(self, host: memory.Memory) -> str:
        names = ", ".join(self._running[job_id].ref for job_id in self._frozen)
        if names:
            return "waits for memory: the host is short of it, and %s is frozen" % names
        return "waits for memory: less than %s is left on the host" % size(guard.line(host))

    def _hold(self, why: Optional[str]) -> bool:
        before, self.held = self.held, why
        if why != before:
            hold.put(why)
        return before is not None and why is None

    def _measure(self, record: Record, now: float) -> guard.Job:
        """A running job as the guard wants it."""
        return guard.Job(
            record.id,
            _used(record),
            record.reserved,
            record.started_at or 0.0,
            self._frozen.get(record.id),
            self._killed.get(record.id),
            now >= self._spared.get(record.id, 0.0),
        )

    def _kill(self, job: guard.Job, host: memory.Memory) -> None:
        record = self._running[job.id]
        reserved = "had reserved %s" % size(record.reserved) if record.reserved is not None else "had reserved nothing"
        words = "the guard killed it: %s of %s were left on the host; it used %s and %s"
        outofmemory.condemn(
            record, words % (size(host.available), size(host.total), size(job.used), reserved), job.used
        )
        self._killed[job.id] = time.monotonic()
        family = _family(record)
        if family.group is not None:
            family.group.kill()
        family.signal(family.members(), signal.SIGSTOP)  # nobody forks away while others are killed
        family.signal(family.members(), signal.SIGKILL)
        freezer.thaw(job.id, family)  # some freezers keep even the dead
        self._frozen.pop(job.id, None)

    def _freeze(self, job: guard.Job, host: memory.Memory) -> None:
        record, now = self._running[job.id], time.monotonic()
        words = "the host has %s of memory left, for %d s at most"
        if freezer.freeze(record, _family(record), words % (size(host.available), guard.FROZEN_MOST)):
            self._frozen[job.id] = now
        else:
            self._spared[job.id] = now + guard.FROZEN_MOST

    def _thaw(self, job_id: str, spare: bool) -> None:
        now = time.monotonic()
        freezer.thaw(job_id, _family(self._running[job_id]))
        self._frozen.pop(job_id, None)
        self._thawed_at = now
        if spare:
            self._spared[job_id] = now + guard.FROZEN_MOST


def _as_started(record: Record) -> Record:
    """A job that was on its way at the last turn, and may have begun since: its lock tells."""
    if record.started_at is not None:
        return record
    begun = traces.begun(record.id)
    if begun is None or begun.start is None:
        return record
    at, pid, birth, _, group = begun.start
    return record._replace(attempt=begun.attempt, started_at=at, pid=pid, birth=birth, cgroup=group)


def _family(record: Record) -> tree.Tree:
    """Its processes, those too that have left the tree: they are its runner's children by then."""
    return tree.of(record, locks.holder(record.id))


def _used(record: Record) -> int:
    """Bytes, now: the runner's samples may be a second old."""
    group = cgroup.find(record.cgroup)
    counted = group.memory() if group is not None else None
    if counted:
        return counted
    sample = usage.read(layout.usage_file(record.id))
    largest = max((procs.resident(pid) for pid in _family(record).members()), default=0)
    return max(largest, sample.mem_bytes if sample is not None else 0)
