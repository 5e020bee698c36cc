"""The request to end a job: a file in its directory, and a word to its runner.

The file reaches the job also if its runner dies meanwhile; the word reaches it at once, and on a full disk.
"""

from __future__ import annotations

import math
import os
import signal
import struct
from typing import Optional

from . import files, layout, locks

_GRACE = struct.Struct(">d")


def write(job_id: str, grace: float) -> None:
    """Ask for the job's end, with so many seconds between TERM and KILL."""
    files.write_whole(layout.cancel_file(job_id), "%f" % grace)


def read(job_id: str) -> Optional[float]:
    """The grace in seconds that was asked for, or None where nobody asked. What cannot be read asks for none."""
    text = files.read_text(layout.cancel_file(job_id))
    if text is None:
        return None
    try:
        return _sound(float(text))
    except ValueError:
        return 0.0


def wake(job_id: str) -> None:
    """Have a runner go on that somebody has stopped, its own job perhaps."""
    runner = locks.holder(job_id)
    if runner is not None:
        try:
            os.kill(runner, signal.SIGCONT)
        except OSError:
            pass


def pack(grace: float) -> bytes:
    """The word to the runner."""
    return _GRACE.pack(grace)


def unpack(payload: bytes) -> float:
    """The grace in a word to the runner."""
    return _sound(_GRACE.unpack(payload)[0]) if len(payload) == _GRACE.size else 0.0


def _sound(grace: float) -> float:
    return max(0.0, grace) if math.isfinite(grace) else 0.0
