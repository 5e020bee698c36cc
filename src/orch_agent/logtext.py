"""What a log says, as a person would have seen it: the line that asks, and the line that tells what went wrong.

Invariants
- A log of any size is read in a few blocks: from its end, and for the first error from its beginning too.
- What a terminal would not have shown (colours, titles, what a carriage return wrote over) is not in it.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Optional

PROMPT, LINE = 200, 500
"""Characters at most of a prompt and of an error."""
_END = 4096
_WINDOW = 1 << 17
"""Bytes that are searched for errors, at the beginning of a log and at its end."""

_LOOKED_AT = 2000
"""Characters of a line that are searched."""

_ESCAPE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # colours, movements
    "|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?"  # titles, links
    "|\x1b[ -/]*[0-~]"
)
_TRACEBACK = "Traceback (most recent call last):"
_PLAIN = re.compile(
    r"\b[A-Z]\w*(?:Error|Exception)(?=:|\s*$)|\bKeyboardInterrupt\b|^Exception in "  # Python, Java, JavaScript, Ruby
    r"|(?i:\b(?:error|fatal|panic|critical)(?:\[\w+\])?:(?!\s*[-.\d]))"  # compilers, git, Rust, Go; `error[E0308]:`
    r"|(?:^|[\s\[])(?:ERROR|FATAL|CRITICAL|FAILED)\b|\bnpm ERR!|\*\*\* .{0,200}Error \d"  # loggers, pytest, npm, make
    r"|: line \d+:\s+\d+ [A-Z]\w+"  # bash, of a child that a signal ended
    r"|(?i:\b(?:uncaught|unhandled) (?:exception|rejection)|\bassertion .{0,200}failed\b)"
    r"|(?i:\bterminate called|\bpanicked at|\b(?:fatal error|segmentation fault|core dumped|too many open files)\b)"
    r"|(?i:\b(?:command not found|no such file or directory|permission denied|connection refused)\b)"
    r"|(?i:\b(?:no space left on device|cannot allocate memory|disk quota exceeded|out of memory|killed process)\b)"
)
_HINTS = (
    *("err", "exception", "interrupt", "fatal", "panic", "critical", "fail", ": line ", "handled", "fault", "quota"),
    *("terminate", "dumped", "memory", "killed", "too many", "not found", "no such", "denied", "refused", "no space"),
)
"""Of these one is in every line that the pattern finds; to look for them costs a tenth."""
_NONE = re.compile(r"\b(?:no|0|without|zero|any) (?:\w+ )?errors?\b|\berrors?\s*[=:]\s*(?:0|none)\b", re.IGNORECASE)


def plain(data: bytes) -> list[str]:
    """The lines as a terminal would have left them, without what commands it."""
    text = _ESCAPE.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return [_printable(line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n")]


def _printable(line: str) -> str:
    while "\b" in line[1:]:
        line = re.sub("[^\b]\b", "", line)
    return "".join(c for c in line.expandtabs() if c.isprintable()).rstrip()


def prompt(path: str) -> Optional[str]:
    """The last line that says something: where a job waits for input, what it asks; its end where it is long."""
    lines = [line for line in plain(_read(path, -_END, _END)) if line]
    return lines[-1].lstrip()[-PROMPT:] if lines else None


def first_error(path: str) -> Optional[str]:
    """The line that tells what went wrong first, as far as a line can be seen to; None where none can.

    Of a Python traceback that is its last line.
    """
    head = _read(path, 0, _WINDOW)
    tail = _read(path, -_WINDOW, _WINDOW) if len(head) == _WINDOW else b""
    windows = plain(head), plain(tail.partition(b"\n")[2])
    found = itertools.chain(*(map(seek, windows) for seek in (_in_traceback, _in_line)))
    return next((line[:LINE] for line in found if line), None)


def _in_traceback(lines: list[str]) -> Optional[str]:
    """The line behind the first traceback; what a logger or a launcher sets before its lines is taken off."""
    before: Optional[str] = None
    for line in lines:
        if before is None:
            before = line.partition(_TRACEBACK)[0] if _TRACEBACK in line else None
            continue
        rest = line[len(before) :] if line.startswith(before) else line
        if rest and not rest[0].isspace():
            return rest.strip()
    return None


def _in_line(lines: list[str]) -> Optional[str]:
    return next((line.strip() for line in lines if _tells(line[:_LOOKED_AT])), None)


def _tells(line: str) -> bool:
    small = line.lower()
    return any(hint in small for hint in _HINTS) and bool(_PLAIN.search(line)) and not _NONE.search(line)


def _read(path: str, start: int, size: int) -> bytes:
    """At most ``size`` bytes; a negative ``start`` counts from the end."""
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            file.seek(max(0, end + start) if start < 0 else start)
            return file.read(size)
    except OSError:
        return b""
