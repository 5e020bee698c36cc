"""Whether a job does anything: processor time, input and output, log. Pure, but for what it asks.

Invariants
- Nothing happens: no byte of log, at most ``_BYTES`` read and written, less than a thousandth of a processor. So the
  heartbeat of a thread that waits for ever is nothing, and a job that polls for something is at work.
- Who waits for input, or was frozen, is not stalled: its time begins anew when that is over.
- What costs a look at every process is asked last.
"""

from __future__ import annotations

from typing import Callable, Optional

from . import units

USUAL = 1800.0
"""Seconds after which it is told, where ``--stall`` does not say."""
_BYTES = 4096
_PROCESSOR = 0.001
_TICKS = 0.02
"""Seconds of processor time that count as none: it is told in hundredths."""


class Stillness:
    """Since when nothing happens. Times are of a clock that only goes forward."""

    def __init__(self, now: float) -> None:
        self.since = now
        self._cpu, self._output = 0.0, 0
        self._moved: Optional[int] = None

    def look(self, now: float, cpu: float, output: int, moved: Callable[[], int]) -> float:
        """For how many seconds nothing has happened. ``cpu`` in seconds; ``output`` and ``moved`` in bytes.

        What a process has used and moved goes with it, unless its parent waits for it: fewer is a change too.
        """
        still = now - self.since
        if output != self._output or abs(cpu - self._cpu) > _TICKS + _PROCESSOR * still:
            self.begin_anew(now, cpu, output)
            return 0.0
        bytes_now = moved()
        if self._moved is None:
            self._moved = bytes_now
        if abs(bytes_now - self._moved) > _BYTES:
            self.begin_anew(now, cpu, output)
            return 0.0
        return still

    def begin_anew(self, now: float, cpu: float, output: int) -> None:
        """Something has happened."""
        self.since, self._cpu, self._output, self._moved = now, cpu, output, None


def reason(seconds: float) -> str:
    """Why a job was ended."""
    return "stalled: no output, CPU or I/O for %s (--stall)" % units.duration(seconds)


def report(seconds: float) -> str:
    """What is to be said of a job that has been still for so long."""
    return "stalled: no output, CPU or I/O for %s" % units.span(seconds)
