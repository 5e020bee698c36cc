"""Is anything going on here, and if not, since when? What the timer asks that stops an idle machine.

Invariants
- Busy is the kernel's word: somebody holds a lock in ``live``, a job's keeper or the supervisor, who also holds his
  while anything is pending or due to start by itself. What has not ended by the ledger alone is busy too.
- A machine is idle since the latest of: the end of a job, a command that means use, the arrival of this agent.
  A command means use for as long as it sends something: results may take longer than a machine may be idle.
  To look at ``status`` is no use: who watches a machine does not keep it awake.
- In doubt it is busy, or the question is refused: a job must not be stopped by a wrong answer.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple, Optional

from . import files, layout, locks
from .launch import detach
from .ledger import Ledger

_LOOKS = ("logs", "wait", "show", "pull", "ports", "diff")
USES = frozenset({"submit", "attach", "send", "cancel", "push", "receive", "repo", *_LOOKS})
"""The verbs that mean use."""
_EACH = 1.0
_next_note = 0.0


class Look(NamedTuple):
    """What is going on: ids of jobs whose lock is held, whether a supervisor is there, whether a job has not ended.

    Times in seconds since the epoch, None where there was none.
    """

    live: list[str]
    supervised: bool
    unended: bool
    last_end: Optional[float]
    last_use: Optional[float]
    arrived: float

    @property
    def is_busy(self) -> bool:
        """Whether anything is going on."""
        return self.unended or self.supervised or bool(self.live)

    @property
    def seconds(self) -> Optional[float]:
        """For how long nothing has; None while something is."""
        since = max(self.last_end or 0.0, self.last_use or 0.0, self.arrived)
        return None if self.is_busy else max(0.0, time.time() - since)


def look(ledger: Ledger) -> Look:
    """Look now."""
    last_end, unended = next(
        ledger.rows("SELECT (SELECT max(ended_at) FROM jobs), EXISTS (SELECT 1 FROM jobs WHERE ended_at IS NULL)")
    )
    supervisor = layout.supervisor_lock()
    held = [path for path in _locks() if locks.is_held(path)]
    live = {os.path.splitext(os.path.basename(path))[0] for path in held if path != supervisor}
    arrived = os.stat(detach.AGENT).st_mtime
    return Look(sorted(live), supervisor in held, bool(unended), last_end, _time_of(layout.used_file()), arrived)


def _locks() -> list[str]:
    try:
        names = os.listdir(layout.live_dir())
    except FileNotFoundError:
        return []
    return [os.path.join(layout.live_dir(), name) for name in names if name.endswith((".lock", ".adopt"))]


def _time_of(path: str) -> Optional[float]:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def go_on() -> None:
    """Somebody still uses it, who began with one of ``USES``: call it with whatever is sent to him."""
    global _next_note
    now = time.monotonic()
    if now >= _next_note:
        _next_note = now + _EACH
        note_use()


def note_use() -> None:
    """Somebody uses this host, and this agent, now."""
    try:
        os.utime(layout.used_file())
    except OSError:
        files.create(layout.used_file())
    try:
        os.utime(detach.AGENT)
    except OSError:
        pass  # somebody else's, or a disk that may not be written
