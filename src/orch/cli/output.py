"""How things look: tables, sizes, times, colour. Text from elsewhere is made harmless before it is shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

from orch_agent.model import COMPLETED, PENDING, RUNNING

BOLD, RED, GREEN, YELLOW, DIM = "1", "31", "32", "33", "2"


spoken: Callable[[str], str] = str
"""What is said in the words of the face that was called: its commands are typed otherwise."""


def say(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(spoken(text) + "\n")


def note(text: str) -> None:
    """A line on standard error, for the person; never part of the output."""
    try:
        sys.stdout.flush()
        sys.stderr.write(spoken(text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody listens


def note_of_link(text: str) -> None:
    """How a link does, while something else goes on."""
    note(f"orch: {clean(text)}")


def document(value: Any) -> None:
    """One JSON document on standard output."""
    import json

    sys.stdout.write(json.dumps(value, indent=2) + "\n")  # data, in nobody's words


def clean(text: str) -> str:
    """``text`` without anything that could command a terminal: control characters and broken bytes as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person looks at it."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def colour(text: str, code: str) -> str:
    """``text`` in a colour, on a terminal that may have one."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and has_colours() else text


def has_colours() -> bool:
    """Whether what we print is seen on a terminal that may have colours."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and is_terminal(sys.stdout)


def state_colour(state: str) -> str:
    """The colour that says how a job does."""
    return {RUNNING: GREEN, PENDING: YELLOW, COMPLETED: ""}.get(state, RED)


def size(count: int | None) -> str:
    """``5.8GB``: 2^30 bytes are 1.0GB; nobody knows: ``-``."""
    if count is None:
        return "-"
    if count < 1024:
        return f"{count}B"
    value, units = count / 1024, ["KB", "MB", "GB"]
    while value >= 1023.95 and units[1:]:
        value, units = value / 1024, units[1:]
    return f"{value:.1f}{units[0]}"


def local_time(text: str | None) -> str:
    """``2026-02-16 14:30:00`` here, of a time in RFC 3339; ``-`` for none."""
    if text is None:
        return "-"
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return clean(text)


def age(seconds: float) -> str:
    """``40s``, ``2m``, ``3h``, ``5d``."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def length(seconds: float) -> str:
    """Exactly, in one unit, as it may be typed: ``3h``, ``90m``, ``0.5s``."""
    for unit_length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit_length and seconds % unit_length == 0:
            return f"{seconds // unit_length:g}{unit}"
    return f"{seconds:g}s"


def table(rows: Sequence[Sequence[str]], colours: Iterable[Sequence[str]]) -> list[str]:
    """Lines of aligned columns; ``colours`` has for each row a code for each cell, or nothing."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[*map(str.ljust, row[:-1], widths), row[-1]] for row in cells]
    if has_colours():
        padded = [list(map(colour, row, codes)) if codes else row for row, codes in zip(padded, colours, strict=True)]
    return ["  ".join(row).rstrip() for row in padded]
