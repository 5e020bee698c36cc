"""A log that outgrows its limit loses its middle: the disk gets the bytes back, and nobody's place in it changes.

Invariants
- Offsets stay what they are: the file keeps its size, and its middle becomes a hole. Where lines are not very long,
  head and tail are whole lines. A quarter of the limit is kept as the head, at least a half as the tail.
- What is to go is written down first (``jobs/ID/dropped``, to disk). So whoever reads a block, then looks there and
  finds the block outside of the gap, has read what was written.
- For those who look at the file itself, a note stands where the hole begins.
- Where the file system knows no holes the head is kept: at its limit the log is shut, and says so in its last line.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from typing import NamedTuple, Optional

from . import files, layout

_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.EPERM)
_PUNCH, _KEEP_SIZE = 2, 1
_F_PUNCHHOLE = 99
_PAGE = 4096
_LINE = 1 << 16


class Gap(NamedTuple):
    """What is missing: the bytes from ``start`` to ``end``. An empty one is where a log was shut."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes are missing."""
        return self.end - self.start


def gap(job_id: str) -> Optional[Gap]:
    """The gap in the log of a job, or None."""
    words = (files.read_text(layout.dropped_file(job_id)) or "").split()
    return Gap(int(words[0]), int(words[1])) if len(words) == 2 and all(map(str.isdigit, words)) else None


def note(missing: int, limit: int) -> str:
    """What stands in the place of so many bytes."""
    return "[orch: %s are missing here: --log-max %s]" % (_size(missing, "%.1f%sB"), _size(limit, "%g%s"))


def _size(amount: float, form: str) -> str:
    for unit in ("", "K", "M"):
        if amount < 1024:
            return form % (amount, unit) if unit else "%d bytes" % amount
        amount /= 1024
    return form % (amount, "G")


class Cap:
    """Holds one log to ``limit`` bytes; one that is not there needs no holding."""

    def __init__(self, job_id: str, path: str, limit: int) -> None:
        self._path = layout.dropped_file(job_id)
        self._limit = limit
        try:
            self._fd = os.open(path, os.O_RDWR)  # not to append: what is written here goes where it is told to
        except OSError:
            self._fd = os.open(os.devnull, os.O_RDWR)
        self.gap = gap(job_id)
        self._cut = 0

    @property
    def lost(self) -> int:
        """How many bytes are missing; what others wrote in the moment of a cut is not counted."""
        return self._cut + (self.gap.size if self.gap is not None else 0)

    @property
    def shut_at(self) -> Optional[int]:
        """The size beyond which nothing is kept, where there can be no holes."""
        return self.gap.start if self.gap is not None and not self.gap.size else None

    @property
    def floor(self) -> int:
        """The place behind the gap."""
        return self.gap.end if self.gap is not None else 0

    def room(self, size: int) -> int:
        """How many bytes more a log of ``size`` may have before something goes."""
        return self._limit - size + (self.gap.size if self.gap is not None else 0)

    def look(self) -> None:
        """Make room where the log has grown beyond the limit."""
        size = os.fstat(self._fd).st_size
        if size < self.floor:
            self.gap = None  # somebody emptied it
            files.remove(self._path)
        try:
            if self.shut_at is not None:
                self._cut_off(self.shut_at)
            elif self.room(size) < 0:
                self._drop(size)
        except OSError:
            pass  # a full disk, on which nothing can be written down: at the next look

    def _drop(self, size: int) -> None:
        before = self.gap
        start = self._line_start(self._limit // 4) if before is None else before.start
        self._note_down(Gap(start, self._line_start(size - self._limit // 2)))
        assert self.gap is not None
        try:
            _punch(self._fd, *self.gap)
        except OSError as error:
            if error.errno not in _NO_HOLES:
                raise
            self._shut()
        else:
            os.pwrite(self._fd, note(self.gap.size, self._limit).encode() + b"\n", start)

    def _shut(self) -> None:
        text = "\r\n[orch: the log ends here: --log-max %s]\r\n" % _size(self._limit, "%g%s")
        end = self._limit + len(text)
        self._note_down(Gap(end, end))
        self._cut_off(self._limit)
        os.pwrite(self._fd, text.encode(), self._limit)

    def _cut_off(self, end: int) -> None:
        size = os.fstat(self._fd).st_size
        if size > end:
            os.ftruncate(self._fd, end)
            self._cut += size - end

    def _note_down(self, found: Gap) -> None:
        files.write_whole(self._path, "%d %d\n" % found)
        self.gap = found

    def _line_start(self, offset: int) -> int:
        """Where the first line begins at or behind ``offset``, or ``offset`` where none is near."""
        found = os.pread(self._fd, min(_LINE, self._limit // 8), offset).find(b"\n")
        return offset + found + 1


def _punch(fd: int, start: int, end: int) -> None:
    """Give the bytes from ``start`` to ``end`` back to the file system; they read as zeros."""
    if sys.platform == "darwin":
        start, end = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        fcntl.fcntl(fd, _F_PUNCHHOLE, struct.pack("IIqq", 0, 0, start, end - start))
        return
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(library, "fallocate64", None) or library.fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if fallocate(fd, _PUNCH | _KEEP_SIZE, start, end - start):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
