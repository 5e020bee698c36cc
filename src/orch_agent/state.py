"""What state a job is in, from what its record says and what can be seen. Pure.

Invariants, in the order they are applied
- A written end wins over everything.
- What was not started is pending.
- A held lock is the kernel's word that the job lives.
- A changed boot id proves that nothing survived; an unchanged one proves nothing.
- A free lock alone proves nothing either: a job is gone only when its processes are gone too.
- What ended unseen has an exit status that nobody knows, and is never said to have failed by itself.
"""

from __future__ import annotations

import signal
from typing import NamedTuple, Optional

from .ledger import Record, stored_end
from .model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    NODE_FAIL,
    OUT_OF_MEMORY,
    STARTS,
    TIMEOUT,
    Ended,
    Pending,
    Result,
    Running,
    State,
)

QUEUED = "waits for its turn"
"""Of what the row alone is known."""


class Evidence(NamedTuple):
    """What an observer saw, in this order: lock, processes, written result.

    ``frozen``, ``condemned``: why the guard has frozen or killed it. ``stopped``: why its codespace did, if it is one.
    """

    lock_held: bool
    alive: bool
    end: Optional[Ended]
    boot_id: str
    cancelled: bool
    last_sign: float
    disk_full: bool = False
    frozen: Optional[str] = None
    condemned: Optional[str] = None
    stopped: Optional[str] = None


def derive(record: Record, seen: Evidence) -> State:
    """The state of ``record`` in the light of ``seen``."""
    end = stored_end(record) or seen.end
    if end is not None:
        return end
    if record.started_at is None:
        return Pending("waits for room on a full disk" if seen.disk_full else _why_pending(record))
    if seen.lock_held:
        return Running(record.started_at, record.pid or 0, False, seen.frozen, seen.frozen is not None)
    if record.boot_id and seen.boot_id and record.boot_id != seen.boot_id:
        why = "the codespace stopped: %s" % seen.stopped if seen.stopped else "the host restarted while it ran"
        return _lost(record, seen, why, "host")
    if seen.alive:
        return Running(record.started_at, record.pid or 0, True, seen.frozen, seen.frozen is not None)
    return _lost(record, seen, "its runner was killed, and nothing of the job is left; its exit status is unknown")


def _why_pending(record: Record) -> str:
    """What the row itself tells; what others have to do with it is for the scheduler to say."""
    return QUEUED if record.is_queued else STARTS


def _lost(record: Record, seen: Evidence, why: str, cause: Optional[str] = None) -> Ended:
    at = max(seen.last_sign, record.started_at or 0.0)
    if seen.cancelled:
        return Ended(at, Result(CANCELLED, reason="cancelled; " + why, attempt=record.attempt, cause="cancel"))
    if seen.condemned is not None:
        return Ended(at, Result(OUT_OF_MEMORY, reason=seen.condemned, attempt=record.attempt, cause="guard"))
    return Ended(at, Result(NODE_FAIL, reason=why, attempt=record.attempt, cause=cause))


_CAUSES = {
    "cancel": (CANCELLED, "cancelled"),
    "timeout": (TIMEOUT, "it reached its time limit"),
    "stall": (CANCELLED, "stalled"),
    "guard": (OUT_OF_MEMORY, "the guard of this host's memory ended it"),
    "limit": (OUT_OF_MEMORY, "it reached its limit of memory (--mem-max)"),
    "kernel": (OUT_OF_MEMORY, "killed by the kernel: the host was out of memory"),
    "host": (NODE_FAIL, "the host was going down (its runner got SIGTERM)"),
}
"""What becomes of a job that somebody ended, and the reason where he gives none."""


def verdict(
    cause: Optional[str], code: Optional[int], number: Optional[int], left: int, why: Optional[str] = None
) -> tuple[str, Optional[str]]:
    """State and reason of a command that was seen to end: by exit status ``code`` or signal ``number``.

    ``cause``: who ended it, as in ``Result``, and ``why``. ``left``: how many processes it left behind.
    """
    if cause in _CAUSES:
        state, usual = _CAUSES[cause]
        return state, why or usual
    if number is not None:
        return FAILED, "killed by %s" % _signal_name(number)
    reason = "%s it left behind %s ended (--keep-children keeps them)" % _some(left) if left else None
    return (COMPLETED if code == 0 else FAILED), reason


def _some(processes: int) -> tuple[str, str]:
    return ("1 process", "was") if processes == 1 else ("%d processes" % processes, "were")


def _signal_name(number: int) -> str:
    """``SIGKILL`` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
