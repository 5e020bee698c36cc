"""Files with holes: how they are read, and a hash to which a hole costs nothing, whoever holds the file, and however.

Invariants
- The hash follows from the bytes alone, not from where a file system has holes: whole blocks of zeros count by their
  place and number, written or not. Of a file without any it is the plain sha256.
- Nothing is held in memory but a block.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Union

BLOCK = 1 << 16
_ZEROS = bytes(BLOCK)
_PIECE = 1 << 18
_SECTOR = 512


class Unreadable(OSError):
    """The disk does not give it."""


class Sum:
    """The hash of ``size`` bytes, which come one after another."""

    def __init__(self) -> None:
        self.size = 0
        self._data = hashlib.sha256()
        self._holes = hashlib.sha256()
        self._has_holes = False
        self._zeros = 0  # the last bytes, from the beginning of a block on; neither of the hashes has them yet

    def add(self, data: Union[bytes, memoryview]) -> None:
        """Go on with these bytes."""
        view = memoryview(data)
        while view:
            piece = view[: BLOCK - self.size % BLOCK]
            if _ZEROS.startswith(piece):
                self.skip(len(piece))
            else:
                self._fill(self.size % BLOCK)
                self._data.update(piece)
                self.size += len(piece)
            view = view[len(piece) :]

    def skip(self, count: int) -> None:
        """Go on with so many zeros."""
        rest = min(count, -self.size % BLOCK) if not self._zeros else 0
        self._data.update(_ZEROS[:rest])
        self._zeros += count - rest
        self.size += count

    def _fill(self, begun: int) -> None:
        """Something comes behind zeros; ``begun`` bytes of its block are there."""
        if self._zeros:
            count = self._zeros - begun
            if count:
                self._has_holes = True
                self._holes.update(b"%d %d\n" % (self.size - self._zeros, count))
            self._data.update(_ZEROS[:begun])
            self._zeros = 0

    def hexdigest(self) -> str:
        """That of the data, and behind it, if there are holes, that of their places; in hex digits."""
        holes = self._holes.copy()
        if self._zeros:
            holes.update(b"%d %d\n" % (self.size - self._zeros, self._zeros))
        return self._data.hexdigest() + (holes.hexdigest() if self._has_holes or self._zeros else "")


def summed(fd: int, size: int) -> Sum:
    """The hash of the first ``size`` bytes, of fewer where there are no more."""
    found = Sum()
    for count, data in read(fd, 0, size):
        if data:
            found.add(data)
        else:
            found.skip(count)
    return found


def read(fd: int, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Pieces with their lengths, until ``end``; a hole has a length only."""
    found = os.fstat(fd)
    end = min(end, found.st_size)
    has_holes = found.st_blocks * _SECTOR < found.st_size
    until = at if has_holes else end
    while at < end:
        if at >= until:
            start, until = _data(fd, at, end)
            if start > at:
                yield start - at, b""
                at = start
                continue
        data = _pread(fd, min(_PIECE, until - at), at)
        if not data:
            return
        yield len(data), data
        at += len(data)


def _data(fd: int, at: int, end: int) -> tuple[int, int]:
    """From where to where there is something, from ``at`` on."""
    try:
        start = min(os.lseek(fd, at, os.SEEK_DATA), end)
    except (OSError, AttributeError):
        start = _hole_to_the_end(fd, at, end)
    if start >= end:
        return end, end
    try:
        return start, min(os.lseek(fd, start, os.SEEK_HOLE), end)
    except (OSError, AttributeError):
        return start, end


def _hole_to_the_end(fd: int, at: int, end: int) -> int:
    """There is no data behind ``at``, or nobody knows: ``end`` where the file system says that it is a hole."""
    try:
        return end if os.lseek(fd, at, os.SEEK_HOLE) == at else at
    except (OSError, AttributeError):
        return at


def _pread(fd: int, amount: int, at: int) -> bytes:
    try:
        return os.pread(fd, amount, at)
    except OSError as error:
        raise Unreadable(error.errno, error.strerror) from None
