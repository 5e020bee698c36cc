"""What is being done to which thing, and for how long already: on a terminal redrawn in place, else a line each."""

from __future__ import annotations

import os
import sys
import termios
import threading
import time
from collections import deque
from typing import Any

from .output import age, clean, is_terminal, size

_TICK = 1.0
_FRAME = 0.2
_WINDOW = 10.0  # seconds over which a speed is taken


class Progress:
    """``tell`` is heard by it; leaving it ends the display. All of it goes to standard error."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._things: dict[str, tuple[str, float, float]] = {}
        self._drawn = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._live = is_terminal(sys.stderr)
        self._terminal: list[Any] | None = None
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Progress:
        sys.stdout.flush()  # what was said before stands before this
        if self._live:
            self._quiet()
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            self._draw()
            self._drawn = 0
        if self._terminal is not None:
            termios.tcsetattr(0, termios.TCSANOW, self._terminal)

    def _quiet(self) -> None:
        """What is typed meanwhile is not shown: it would stand between the lines."""
        if is_terminal(sys.stdin):
            self._terminal = termios.tcgetattr(0)
            flags = self._terminal[:]
            flags[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, flags)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def tell(self, thing: str, status: str) -> None:
        """``thing`` is ``status`` now."""
        now = self.seconds
        with self._lock:
            before, since, _ = self._things.get(thing, ("", now, now))
            if before == status:
                return
            self._things[thing] = (status, since, now)
            if self._live:
                self._draw()
            else:
                _write(f"{now:6.0f}s  {clean(thing)}: {clean(status)}\n")

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if not self._live or not self._things:
            return
        width = max(map(len, self._things))
        lines = [
            f"  {clean(thing):<{width}}  {clean(status)}  {self._length(status, since, changed):.0f}s"
            for thing, (status, since, changed) in self._things.items()
        ]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        wide = os.get_terminal_size(2).columns - 1
        _write(up + "".join(f"\r\x1b[K{line[:wide]}\n" for line in lines))
        self._drawn = len(lines)

    def _length(self, status: str, since: float, changed: float) -> float:
        """Of what is done, how long it took; of what goes on, how long it has."""
        done = status.endswith(("complete", "running", "stopped", "answers", "failed"))
        return (changed if done else self.seconds) - since


class Transfer:
    """How many of ``total`` bytes have come, and how long the rest will take; on a terminal, and nowhere else."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._points: deque[tuple[float, int]] = deque()
        self._drawn = 0.0
        self._live = is_terminal(sys.stderr)

    def __enter__(self) -> Transfer:
        sys.stdout.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            _write("\r\x1b[K")

    def tell(self, come: int) -> None:
        """So many bytes have come."""
        now = time.monotonic()
        if not self._live or now - self._drawn < _FRAME:
            return
        self._drawn = now
        self._points.append((now, come))
        while now - self._points[0][0] > _WINDOW:
            self._points.popleft()
        _write(f"\r\x1b[K{self._line(come)}"[: os.get_terminal_size(2).columns + 3])

    def _line(self, come: int) -> str:
        began, before = self._points[0]
        now, _ = self._points[-1]
        line = f"{min(come, self._total) * 100 // max(1, self._total):3d}%  {size(come)} of {size(self._total)}"
        if now - began < 1.0 or come <= before:
            return line
        rate = (come - before) / (now - began)
        return f"{line}  {size(int(rate))}/s  {age(max(0, self._total - come) / rate)} left"


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
