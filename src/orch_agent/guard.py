"""What is to be done when a host runs short of memory. Pure.

Invariants
- In this order, the less is left: no job is admitted; the youngest is frozen, for what is young has least to lose and
  grows most; one is killed. It is one job at a look, and the next look sees what became of it.
- A frozen job gives no memory back, so none is frozen for longer than ``FROZEN_MOST``, and none at all where nothing
  else could give any back meanwhile. Once that time is over, a job that broke its promise pays for the shortage; where
  none has, the frozen one goes on, and is spared for as long.
- The job that exceeds its reservation most is killed. One that promised nothing counts with the share of the memory
  that it was admitted with.
- A job that uses next to nothing is neither frozen nor killed: it would help nobody.
- While a killed job still dies, no other is killed: its memory is on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from .memory import Memory

FROZEN_MOST = 60.0
"""Seconds for which a job stays frozen at most."""
STALLED = 0.2
"""Where everybody waited for memory for this share of the time, what is left counts for half."""
SHARE = 16
"""A job that promised nothing counts with one part in so many of the memory."""
_DYING = 5.0
"""Seconds that a killed job may take to be gone before another is killed."""
_PACE = 0.5
"""Seconds between two freezes, and between two thaws."""
_FASTEST = 4 << 30
"""Bytes a second that jobs are taken to allocate at most."""
_OFTEN, _SELDOM = 0.02, 5.0
"""Seconds between two looks."""


class Job(NamedTuple):
    """A running job. ``can_freeze``: it can be frozen and is not spared."""

    id: str
    used: int
    reserved: Optional[int]
    started_at: float
    frozen_at: Optional[float] = None
    killed_at: Optional[float] = None
    can_freeze: bool = True


class Decision(NamedTuple):
    """Whether no job is admitted, and which to freeze, to thaw (``spare``: for its time was over), to kill."""

    hold: bool
    freeze: Optional[Job] = None
    thaw: Optional[Job] = None
    kill: Optional[Job] = None
    spare: bool = False


def line(memory: Memory) -> int:
    """Bytes below which no job is admitted. At a half of that one is frozen, at a quarter one is killed."""
    return max(memory.reserve, min(256 << 20, memory.total // 4))


def left(memory: Memory, stalls: float) -> int:
    """Bytes that are left, as they count."""
    return memory.available // 2 if stalls >= STALLED else memory.available


def is_calm(memory: Memory, stalls: float) -> bool:
    """Whether nothing is to be done unless somebody is frozen."""
    return left(memory, stalls) >= line(memory)


def pause(memory: Memory, stalls: float) -> float:
    """Seconds until the next look: no more than it takes until the first job would have to be frozen."""
    room = left(memory, stalls) - line(memory) // 2
    return min(_SELDOM, max(_OFTEN, room / _FASTEST))


def excess(job: Job, memory: Memory) -> int:
    """Bytes beyond what it was admitted with."""
    return job.used - (memory.total // SHARE if job.reserved is None else job.reserved)


def decide(now: float, memory: Memory, stalls: float, jobs: Sequence[Job], thawed_at: float = 0.0) -> Decision:
    """What to do now. ``thawed_at``: when a job was last thawed."""
    short, rest = line(memory), left(memory, stalls)
    alive = [job for job in jobs if job.killed_at is None]
    frozen = [job for job in alive if job.frozen_at is not None]
    overdue = [job for job in frozen if now - (job.frozen_at or now) >= FROZEN_MOST or not _is_use(alive, memory)]
    is_dying = any(job.killed_at is not None and now - job.killed_at < _DYING for job in jobs)
    hold = rest < short or bool(frozen)
    if rest < short // 4 and not is_dying:
        victim = _victim(alive, memory, short - rest)
        if victim is not None:
            return Decision(hold, kill=victim)
    if overdue and not is_dying:
        worst = _worst(alive, memory) if rest < short // 2 else None
        if worst is not None:
            return Decision(hold, kill=worst)
        return Decision(hold, thaw=_oldest(overdue), spare=rest < short)
    if rest >= short and frozen and now - thawed_at >= _PACE:
        return Decision(hold, thaw=_oldest(frozen))
    if rest < short // 2 and not is_dying:
        return Decision(hold, freeze=_youngest(now, alive, memory))
    return Decision(hold)


def _counts(job: Job, memory: Memory) -> bool:
    """Whether what it does matters to a host that is short."""
    return job.used >= line(memory) // SHARE


def _worst(jobs: Sequence[Job], memory: Memory) -> Optional[Job]:
    """The job that exceeds its reservation most, if any does."""
    guilty = [job for job in jobs if _counts(job, memory) and excess(job, memory) > 0]
    return max(guilty, key=lambda job: excess(job, memory), default=None)


def _victim(jobs: Sequence[Job], memory: Memory, needed: int) -> Optional[Job]:
    """The job that exceeds most; where none does, the youngest whose end is enough, else the largest."""
    worst = _worst(jobs, memory)
    if worst is not None:
        return worst
    enough = [job for job in jobs if job.used >= needed and _counts(job, memory)]
    if enough:
        return max(enough, key=lambda job: job.started_at)
    return max((job for job in jobs if _counts(job, memory)), key=lambda job: job.used, default=None)


def _oldest(jobs: Sequence[Job]) -> Job:
    return min(jobs, key=lambda job: job.started_at)


def _is_use(jobs: Sequence[Job], memory: Memory, but: Optional[Job] = None) -> bool:
    """Whether to wait frozen is of use: a job that runs, ``but`` this, might give memory back, or other programs might.

    Those that have no more than what is left to them count as having nothing to give.
    """
    others = memory.total - memory.available - sum(job.used for job in jobs)
    running = (job for job in jobs if job.frozen_at is None and job is not but)
    return others > line(memory) or any(_counts(job, memory) for job in running)


def _youngest(now: float, jobs: Sequence[Job], memory: Memory) -> Optional[Job]:
    """The youngest that can be frozen, if there is a use in that."""
    if any(now - job.frozen_at < _PACE for job in jobs if job.frozen_at is not None):
        return None
    choice = [job for job in jobs if job.frozen_at is None and job.can_freeze and _counts(job, memory)]
    youngest = max(choice, key=lambda job: job.started_at, default=None)
    return youngest if _is_use(jobs, memory, youngest) else None
