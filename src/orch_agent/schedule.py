"""Which of the waiting jobs may start now, and why the others may not. Pure.

Invariants
- What is given away never exceeds what is left: a job starts only where all it asks for fits.
- First come, first served (by ``nice`` first). The first job that does not fit is the head: what starts before it
  may not make it later than it would have been. That is so for a job that fits beside it, and for one whose time limit
  ends it before the head can start.
- Nobody knows when jobs without a time limit end, so a head may be overtaken wrongly; once it has waited for
  ``PATIENCE``, only jobs that are sure to end in time may still pass it. So no head starves.
- A head that could not start if all jobs ended, since other programs use the memory, holds up nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

PATIENCE = 1800.0
"""Seconds for which a head lets others pass that are not sure to end in time."""
DEPTH = 500
"""How many jobs behind the head are looked at."""


class Room(NamedTuple):
    """What is left to give away: bytes of memory, processors."""

    mem: int
    cpus: float

    def fits(self, mem: int, cpus: float) -> bool:
        """Whether that much is left."""
        return mem <= self.mem and (cpus <= self.cpus + 1e-9 or not cpus)

    def less(self, mem: int, cpus: float) -> Room:
        """What is left after giving that away."""
        return Room(self.mem - mem, self.cpus - cpus)


class Active(NamedTuple):
    """A job that has been admitted: what it holds, and when it is expected to end (seconds since the epoch)."""

    name: str
    mem: int
    cpus: float
    ends: Optional[float] = None


class Waiting(NamedTuple):
    """A job that could start. ``limit``: the seconds after which it is ended; ``since``: when it came to wait.

    ``assumed``: nobody has asked for this much memory, and nothing is known of what it will use.
    """

    id: str
    name: str
    mem: int
    cpus: float = 0.0
    limit: Optional[float] = None
    since: float = 0.0
    assumed: bool = False


class Head(NamedTuple):
    """The first that does not fit: what it lacks, whose end makes room for it (None: nobody's), and when.

    ``most``: what it could have if all jobs ended.
    """

    job: Waiting
    lacks: str
    frees: Optional[str]
    at: Optional[float]
    most: Room


def most_of(left: Room, holding: Sequence[Active]) -> Room:
    """What there could be if all jobs ended."""
    return Room(left.mem + sum(one.mem for one in holding), left.cpus + sum(one.cpus for one in holding))


class Plan(NamedTuple):
    """Who starts, in this order, and who is first among those who do not."""

    starts: list[Waiting]
    head: Optional[Head]


def plan(now: float, left: Room, active: Sequence[Active], waiting: Iterable[Waiting], most: int = 1 << 30) -> Plan:
    """Choose among ``waiting``, which come in the order of the queue; at most ``most`` of them."""
    starts: list[Waiting] = []
    holding = list(active)
    queue = iter(waiting)
    for job in queue:
        if len(starts) >= most:
            return Plan(starts, None)
        if not left.fits(job.mem, job.cpus):
            passing = _overtake(now, left, holding, job, queue, most - len(starts))
            return Plan(starts + passing, _head(job, left, holding))
        starts.append(job)
        left = left.less(job.mem, job.cpus)
        holding.append(Active(job.name, job.mem, job.cpus, None if job.limit is None else now + job.limit))
    return Plan(starts, None)


class _Turn(NamedTuple):
    """When the head can start (None: unknown), after whose end, and what is left beside it then."""

    at: Optional[float]
    frees: Optional[str]
    spare: Room


_LAST, _FIRST = float("inf"), float("-inf")


def _turn(head: Waiting, left: Room, holding: Sequence[Active], unknown: float = _LAST) -> _Turn:
    """The head's turn, if all end when they are expected to, and those of which nobody knows it last, or first."""
    for one in sorted(holding, key=lambda job: unknown if job.ends is None else job.ends):
        left = Room(left.mem + one.mem, left.cpus + one.cpus)
        if left.fits(head.mem, head.cpus):
            return _Turn(one.ends, one.name, left.less(head.mem, head.cpus))
    return _Turn(None, None, left)


def _overtake(
    now: float, left: Room, holding: Sequence[Active], head: Waiting, behind: Iterable[Waiting], most: int
) -> list[Waiting]:
    turn = _turn(head, left, holding)
    patient, spare = now - head.since < PATIENCE, turn.spare
    if turn.frees is None:
        patient, spare = True, left  # to wait for jobs to end would not help it
    elif turn.at is None:
        spare = _both(spare, _turn(head, left, holding, _FIRST).spare)
    starts: list[Waiting] = []
    for _, job in zip(range(DEPTH), behind):
        if len(starts) >= most:
            break
        if not left.fits(job.mem, job.cpus):
            continue
        in_time = job.limit is not None and turn.at is not None and now + job.limit <= turn.at
        if not in_time:
            if not patient or not spare.fits(job.mem, job.cpus):
                continue
            spare = spare.less(job.mem, job.cpus)
        starts.append(job)
        left = left.less(job.mem, job.cpus)
    return starts


def _both(one: Room, other: Room) -> Room:
    """What is left in either case."""
    return Room(min(one.mem, other.mem), min(one.cpus, other.cpus))


def _head(job: Waiting, left: Room, holding: Sequence[Active]) -> Head:
    turn = _turn(job, left, holding)
    return Head(job, _lack(job, left), turn.frees, turn.at, most_of(left, holding))


def reasons(now: float, left: Room, active: Sequence[Active], waiting: Sequence[Waiting]) -> dict[str, str]:
    """Why each of the jobs that could start does not yet, for a person; who would start now is left out."""
    made = plan(now, left, active, waiting)
    if made.head is None:
        return {}
    starts = {job.id for job in made.starts}
    for job in made.starts:
        left = left.less(job.mem, job.cpus)
    told = {made.head.job.id: reason(made.head, now)}
    for job in waiting:
        if job.id not in starts and job.id not in told:
            told[job.id] = _behind(made.head.job, job, left, len(told))
    return told


def reason(head: Head, now: float) -> str:
    """Why the head waits."""
    if head.frees is None:
        leave = size(max(0, head.most.mem)) if head.job.mem > head.most.mem else "%g" % head.most.cpus
        return "waits for %s; other programs leave %s" % (head.lacks, leave)
    text = "waits for %s; frees when %s ends" % (head.lacks, head.frees)
    return text if head.at is None else "%s, %s" % (text, about(head.at - now))


def _behind(head: Waiting, job: Waiting, left: Room, before: int) -> str:
    """Why a job behind the head waits, ``before`` jobs standing before it."""
    if left.fits(job.mem, job.cpus):
        text = "waits behind %s, which it might delay" % head.name
    else:
        text = "waits behind %s for %s" % (head.name, _lack(job, left))
    return text if before < 2 else "%s (%d jobs are before it)" % (text, before)


def _lack(job: Waiting, left: Room) -> str:
    if job.mem > left.mem:
        return size(job.mem) + " (assumed: nobody said --mem)" * job.assumed
    return "%g processor%s" % (job.cpus, "s" if job.cpus != 1 else "")


def size(amount: int) -> str:
    """``4.0GB`` of 2^32 bytes."""
    value = float(amount)
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return "%d%s" % (value, unit) if unit == "B" else "%.1f%s" % (value, unit)
        value /= 1024
    return "%.1fGB" % value


def about(seconds: float) -> str:
    """``about 40 min``"""
    if seconds < 60:
        return "within a minute" if seconds > 0 else "any time now"
    if seconds < 5400:
        return "about %d min" % round(seconds / 60)
    return "about %d h" % round(seconds / 3600)
