"""A line that is typed where nobody sees it.

Invariants
- What comes back is all that was typed or pasted, however long a line that is: the terminal's own editing cuts it.
- Of what has several lines nothing comes back, and nothing is left for a shell to run and to remember.
- The terminal is as it was, whatever happens.
"""

from __future__ import annotations

import os
import select
import sys
import termios

_PAUSE = 0.3
"""Seconds without a byte after which a paste is over."""


class SeveralLines(ValueError):
    """What was pasted is more than a line."""


def line(question: str) -> bytes:
    """What is typed after the question; ``EOFError`` for nothing."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return _asked(sys.stdin.fileno(), sys.stderr.fileno(), question)
    try:
        return _asked(fd, fd, question)
    finally:
        os.close(fd)


def _asked(terminal: int, shown: int, question: str) -> bytes:
    before, now = termios.tcgetattr(terminal), termios.tcgetattr(terminal)
    now[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, now)
        os.write(shown, question.encode())
        return _line(terminal, before[6])
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        os.write(shown, b"\n")


def _line(terminal: int, keys: list[bytes]) -> bytes:
    erase, kill, end = (keys[key] for key in (termios.VERASE, termios.VKILL, termios.VEOF))
    typed = bytearray()
    while (key := os.read(terminal, 1)) not in (b"", end):
        if key in (b"\r", b"\n"):
            if _rest(terminal).strip(b"\r\n"):
                raise SeveralLines
            return bytes(typed)
        if key == kill:
            typed.clear()
        elif key in (erase, b"\b", b"\x7f"):
            last = typed.decode("utf-8", "surrogateescape")[-1:]
            del typed[len(typed) - len(last.encode("utf-8", "surrogateescape")) :]
        else:
            typed += key
    if not typed:
        raise EOFError
    return bytes(typed)


def _rest(terminal: int) -> bytes:
    """What comes without a pause."""
    found = b""
    while select.select([terminal], [], [], _PAUSE)[0] and (data := os.read(terminal, 1 << 16)):
        found += data
    return found
