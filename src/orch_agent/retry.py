"""Whether another attempt follows the end of one, and when. Pure.

Invariants
- What a person ended, or a limit they set, is not tried again: cancelled, timed out. Nor is what they asked to end,
  though it had ended by itself by then.
- Every further attempt waits twice as long as the one before, up to ten minutes.
- After an attempt that ran out of memory the next one reserves half as much again as it is known to need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

from .model import FAILED, NODE_FAIL, OUT_OF_MEMORY, Ended, Result

if TYPE_CHECKING:
    from .ledger import Record

_AGAIN = frozenset({FAILED, NODE_FAIL, OUT_OF_MEMORY})
LONGEST = 600.0
"""Seconds that an attempt waits for at most, unless it was asked to wait longer."""


class Following(NamedTuple):
    """Another attempt: not before ``due``, for the reason ``why``, with ``mem`` bytes to reserve."""

    due: float
    why: str
    mem: Optional[int]


def following(record: Record, ended: Ended, is_cancelled: bool) -> Optional[Following]:
    """The attempt that follows the end of the one in ``record``, or None."""
    spec, result = record.spec, ended.result
    if is_cancelled or record.started_at is None or result.state not in _AGAIN or record.attempt > spec.retries:
        return None
    delay = min(spec.retry_delay * 2 ** min(record.attempt - 1, 30), max(LONGEST, spec.retry_delay))
    return Following(ended.at + delay, "attempt %d: %s" % (record.attempt, how(result)), _memory(record, result))


def pending(record: Record, ended: Ended, is_cancelled: bool) -> Optional[Record]:
    """The row as it will be when the end of this attempt is written down, if another one follows."""
    found = following(record, ended, is_cancelled)
    if found is None:
        return None
    return record._replace(started_at=None, admitted_at=None, queued=1, due=found.due, why=found.why, mem=found.mem)


def how(result: Result) -> str:
    """How an attempt ended, in a few words."""
    if result.state == FAILED and result.exit_code:
        return "exit status %d" % result.exit_code
    return result.reason or result.state


def _memory(record: Record, result: Result) -> Optional[int]:
    if result.state != OUT_OF_MEMORY:
        return record.mem
    known = max(record.mem or 0, record.reserved or 0, result.mem_peak_bytes or 0)
    return known + known // 2 if known else None
