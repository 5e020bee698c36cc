"""Whom the kernel takes when it is out of memory: a job, not its keepers, and nobody whom a person logged in with.

Invariants
- A job counts as much worse than its size; a keeper, where we may say so (root), as much better.
- Whatever a keeper starts that is neither a job nor a keeper (tmux) counts as what a person starts.
- Nothing here is needed: what the system refuses is left.
"""

from __future__ import annotations

import os
import sys
from typing import Optional

_FILE = "/proc/self/oom_score_adj"
_JOB, _KEEPER = 500, -500
_usual: Optional[int] = None
"""What this process had before it became a keeper; None while it is none."""


def _set(value: int) -> bool:
    try:
        with open(_FILE, "w") as file:
            file.write(str(value))
        return True
    except OSError:
        return False


def spare() -> None:
    """The calling process is a keeper. One that was started from a job would count as one."""
    global _usual
    try:
        with open(_FILE) as file:
            found = int(file.read())
    except (OSError, ValueError):
        return
    _usual = found if found not in (_JOB, _KEEPER) else _usual or 0
    if not _set(_KEEPER) and found == _JOB:
        _set(_usual)


def expose() -> None:
    """The calling process is about to be a job."""
    _set(max(_JOB, _usual or 0))


def be_usual() -> None:
    """The calling process, if it was a keeper until now, is neither."""
    if _usual is not None:
        _set(_usual)


def stay_in_memory() -> None:
    """Have nothing of the calling process taken out of memory; its children are not meant.

    Only without a limit: with one, memory asked for later would be refused.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    try:
        import ctypes

        ctypes.CDLL(None).mlockall(7)  # what is there, what will be, each when it is touched
    except (ImportError, OSError, AttributeError):
        pass
