"""How a job comes to be out of memory, and how its runner knows: the host's guard, its own limit, the kernel.

Invariants
- The guard leaves a note, of one attempt, before it kills; it tells why, and what the job used.
- A job with a limit is killed as a whole, and the limit is the kernel's where the job has a group that counts.
  Elsewhere the runner looks, the nearer to the limit the more often.
- A command that ended with 0 did not run out of memory, whoever of its processes was killed; but one whose own limit
  the kernel enforced did, however it ended.
- Without a group the kernel says of no kill whose it was: then a death by SIGKILL counts as one if the kernel killed
  somebody on this machine within the last few seconds.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import NamedTuple, Optional

from . import cgroup, files, layout
from .ledger import Record
from .schedule import size

_FASTEST = 2 << 30
"""Bytes a second that one job is taken to allocate at most."""
_WINDOW = 5.0
"""Seconds that a process may take to die: what it had in memory is given back before its end is told."""
_OFTEN = 0.02
"""Seconds between two looks at a job that is all but at its limit."""


class End(NamedTuple):
    """Who ended a job for want of memory (``Result.cause``), why, and what it is known to have used by then."""

    cause: str
    why: Optional[str]
    used: int


def condemn(record: Record, why: str, used: int) -> bool:
    """Leave the guard's note; whether that could be done."""
    text = json.dumps({"attempt": record.attempt, "why": why, "used": used})
    try:
        os.makedirs(layout.job_dir(record.id), mode=0o700, exist_ok=True)  # the job may have removed it
        files.write_whole(layout.condemned_file(record.id), text, durable=False)
        return True
    except OSError:
        return False  # a full disk


def condemned(record: Record) -> Optional[End]:
    """The guard's note, or None."""
    fields = files.read_table(layout.condemned_file(record.id))
    why, used = fields.get("why"), fields.get("used")
    if not isinstance(why, str) or not isinstance(used, int) or fields.get("attempt") != record.attempt:
        return None
    return End("guard", why, used)


def reason(record: Record) -> Optional[str]:
    """Why the guard has killed it, in words, or None."""
    found = condemned(record) if os.path.exists(layout.condemned_file(record.id)) else None
    return None if found is None else found.why


class Limit:
    """What a runner sees of its job's end in memory. Make it before the job begins."""

    def __init__(self, record: Record, group: Optional[cgroup.Group]) -> None:
        self._record = record
        self._group = group
        self._most = record.spec.mem_max
        self._is_kernels = self._most is not None and group is not None and group.limit(self._most)
        self._is_counted = group is not None and group.oom_kills() is not None
        self._kills = self._count()
        self._killed_at = float("-inf")

    def exceeded(self, used: int) -> Optional[End]:
        """Why the job has to be ended now, or None. With every sample."""
        was_killed = self._look() if self._is_kernels or not self._is_counted else False
        if self._most is None:
            return None
        if self._is_kernels:
            return self._by_kernel(None) if was_killed else None
        words = "it used %s, and its limit is %s (--mem-max)"
        return End("limit", words % (size(used), size(self._most)), used) if used > self._most else None

    def pause(self, used: int) -> float:
        """Seconds after which the next look must come."""
        if self._most is None or self._is_kernels:
            return float("inf")
        return max(_OFTEN, (self._most - used) / _FASTEST)

    def end(self, code: Optional[int], number: Optional[int]) -> Optional[End]:
        """Who ended the command that exited so, if that was for want of memory."""
        if code == 0:
            met = self._by_kernel(None) if self._is_kernels and self._look() else None
            return met if met is not None and met.cause == "limit" else None
        if self._is_counted:
            was_killed = self._look()
        else:
            was_killed = self._look(_WINDOW) and signal.SIGKILL in (number, (code or 0) - 128)
        return condemned(self._record) or (self._by_kernel(number) if was_killed else None)

    def _look(self, within: float = float("inf")) -> bool:
        """Whether the kernel has killed somebody since the job began, within the last so many seconds."""
        now, count = time.monotonic(), self._count()
        if count > self._kills:
            self._kills, self._killed_at = count, now
        return self._killed_at > float("-inf") and now - self._killed_at <= within

    def _by_kernel(self, number: Optional[int]) -> End:
        how = "killed by the kernel" if number == signal.SIGKILL else "the kernel killed one of its processes"
        if self._most is not None and self._is_kernels and self._group is not None and self._group.has_met(self._most):
            return End("limit", "%s: it reached its limit of %s (--mem-max)" % (how, size(self._most)), self._most)
        return End("kernel", "%s: the host was out of memory" % how, 0)

    def _count(self) -> int:
        """How many of the group the kernel has killed; without one that counts, how many of this machine."""
        kills = self._group.oom_kills() if self._group is not None else None
        return cgroup.number("/proc/vmstat", "oom_kill") or 0 if kills is None else kills
