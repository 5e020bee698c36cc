"""Reading a job's log: from the end, from a time, line by line, and along with a job that still writes.

Invariants
- Offsets are bytes of the file, so a reader can go on from where it was, on any connection.
- Nothing is read that is not asked for: the last lines of 5 GB cost a few blocks.
- A follower ends only after it has seen the job's end *and then* the end of the file.
- What is missing in the middle of a log (``logcap``) is never read: a reader stops in front of it.
- The file is looked at, not subscribed to: that works on every file system and costs one fstat each time.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from re import Pattern
from typing import Callable, Optional

from . import joblog, logcap
from .model import Refusal

BLOCK = 1 << 16
_POLL = 0.02
_PIECES = (64 << 20) // BLOCK


class Source:
    """The open log of a job. ``met``: reading has come to what is missing."""

    def __init__(self, fd: int, job_id: str) -> None:
        self.fd = fd
        self.met = False
        self._job_id = job_id

    @property
    def size(self) -> int:
        """How far it goes."""
        return os.fstat(self.fd).st_size

    @property
    def gap(self) -> Optional[logcap.Gap]:
        """What is missing now."""
        return logcap.gap(self._job_id)

    def at(self, offset: int, amount: int) -> bytes:
        """At most ``amount`` bytes from ``offset``; none at the end, and in front of what is missing."""
        data = os.pread(self.fd, amount, offset)
        gap = self.gap if data else None  # looked at when all is read: what goes is written down first
        if gap is None or offset + len(data) <= gap.start or offset >= gap.end > gap.start:
            return data
        self.met = gap.size > 0
        return data[: max(0, gap.start - offset)]


def tail_offset(fd: int, lines: int, gap: Optional[logcap.Gap] = None) -> int:
    """Where the last ``lines`` lines begin. A last line without its newline counts; what is missing is skipped."""
    end = os.fstat(fd).st_size
    if lines <= 0:
        return end
    floor = gap.end if gap is not None and gap.size else 0
    # The newline that ends the last line separates nothing.
    position = end - 1 if end and os.pread(fd, 1, end - 1) == b"\n" else end
    while position > 0:
        if gap is not None and floor and position <= floor:
            if lines == 1:
                return floor
            lines, floor = lines - 1, 0
            position = gap.start - 1  # in front of the newline there
            continue
        start = max(floor, position - BLOCK)
        block = os.pread(fd, position - start, start)
        found = block.count(b"\n")
        if found >= lines:
            at = len(block)
            for _ in range(lines):
                at = block.rindex(b"\n", 0, at)
            return start + at + 1
        lines -= found
        position = start
    return 0


def since_offset(times_path: str, since: float, end: int) -> int:
    """Where the bytes written at ``since`` (seconds since the epoch) or later begin; a clock set back is no trap."""
    for at, offset in joblog.times(times_path):
        if at >= since:
            return min(offset, end)
    return end


def compile_pattern(text: str) -> Pattern[bytes]:
    """The regular expression, or a refusal that says where it is wrong."""
    try:
        return re.compile(os.fsencode(text))
    except re.error as error:
        raise Refusal("usage", "the pattern %s is not a regular expression: %s" % (ascii(text), error)) from None


class Client:
    """The other side of our standard input."""

    def __init__(self) -> None:
        self._said = b""

    def is_gone(self, patience: float = _POLL) -> bool:
        """Whether it has closed; waits ``patience`` seconds for news."""
        if select.select([0], [], [], patience)[0]:
            data = os.read(0, 4096)
            self._said += data
            return not data
        return False

    def last_line(self) -> bytes:
        """What it says until it closes or ends a line."""
        while b"\n" not in self._said:
            data = os.read(0, 4096)
            if not data:
                break
            self._said += data
        return self._said.partition(b"\n")[0]


def whole_lines(fd: int, end: int, gap: Optional[logcap.Gap] = None) -> int:
    """Where the last whole line before ``end`` ends."""
    floor = gap.end if gap is not None and gap.end < end else 0
    while end > floor:
        start = max(floor, end - BLOCK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return floor


def follow(source: Source, offset: int, ended: Callable[[], bool], client: Client) -> Iterator[bytes]:
    """Blocks from ``offset`` until the job has ended and all is read, or the client is gone, or a gap comes."""
    last_look = 0.0
    while True:
        data = source.at(offset, BLOCK)
        if data:
            offset += len(data)
            yield data
        if source.met:
            return
        if data:
            if client.is_gone(0):  # a job that never pauses would keep us for ever
                return
            continue
        if source.size < offset and source.gap is None:
            offset = 0  # somebody emptied the log
            continue
        if time.monotonic() - last_look > 3 * _POLL:
            last_look = time.monotonic()
            if ended():
                # It may have written between our read and its end.
                yield from read(source, offset, source.size)
                return
        if client.is_gone():
            return


def read(source: Source, offset: int, end: int) -> Iterator[bytes]:
    """Blocks from ``offset`` to ``end``, or to a gap."""
    while offset < end:
        data = source.at(offset, min(BLOCK, end - offset))
        if not data:
            return
        offset += len(data)
        yield data


def matching(blocks: Iterator[bytes], pattern: Pattern[bytes], skip: int) -> Iterator[bytes]:
    """The lines that match, without the first ``skip`` of them. The end of a line is not part of the match."""
    for line in lines(blocks):
        if pattern.search(line.rstrip(b"\r\n")):
            if skip > 0:
                skip -= 1
            else:
                yield line


def lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines; the last may lack its newline, and one beyond 64 MiB comes in pieces."""
    parts: list[bytes] = []
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for piece in whole:
            yield b"".join([*parts, piece, b"\n"])
            parts = []
        if rest:
            parts.append(rest)
        if len(parts) > _PIECES:
            yield b"".join(parts)
            parts = []
    if parts:
        yield b"".join(parts)
