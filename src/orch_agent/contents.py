"""The bytes of files on their way to a laptop, and their hashes.

Invariants
- A file is read as far as it went when it was opened, which is told first, and hashed as it is read: what is told is
  what was sent.
- Holes are told and not sent. Nothing is held in memory but a block.
- What the laptop has already is sent again unless it is, by its hash, how the file begins.
"""

from __future__ import annotations

import os
import stat
from typing import Any, BinaryIO, NamedTuple

from . import wire
from .sparse import Sum, Unreadable, read, summed


class Have(NamedTuple):
    """What the laptop has of a file: so many bytes, and their hash."""

    size: int = 0
    sha256: str = ""


def send(path: bytes, have: Have, out: BinaryIO) -> None:
    """Records of one file, some with bytes behind them: where it begins, what it holds, how it ended."""
    try:
        fd = _open(path)
    except OSError as error:
        out.write(wire.encode({"gone": error.strerror}))
        return
    try:
        before = os.fstat(fd)
        sum_ = _begin(fd, have, before.st_size)
        out.write(wire.encode({"from": sum_.size, "size": before.st_size}))
        for count, data in read(fd, sum_.size, before.st_size):
            _write(count, data, sum_, out)
        after = os.fstat(fd)
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        end = {"sha256": sum_.hexdigest(), "mode": stat.S_IMODE(after.st_mode), "mtime_ns": before.st_mtime_ns}
        out.write(wire.encode({**end, "size": sum_.size, "changed": changed}))
    except Unreadable as error:
        out.write(wire.encode({"gone": error.strerror}))
    finally:
        os.close(fd)


def digest(path: bytes) -> dict[str, Any]:
    """The size of a file and its hash, or why there is none."""
    try:
        fd = _open(path)
    except OSError as error:
        return {"gone": error.strerror}
    try:
        size = os.fstat(fd).st_size
        return {"size": size, "sha256": summed(fd, size).hexdigest()}
    except Unreadable as error:
        return {"gone": error.strerror}
    finally:
        os.close(fd)


def _open(path: bytes) -> int:
    """A file, which was one a moment ago: no fifo holds us up."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(0, "it is no file any more")


def _begin(fd: int, have: Have, size: int) -> Sum:
    """The hash of what need not be sent."""
    if 0 < have.size <= size:
        found = summed(fd, have.size)
        if (found.size, found.hexdigest()) == have:
            return found
    return Sum()


def _write(count: int, data: bytes, sum_: Sum, out: BinaryIO) -> None:
    if data:
        sum_.add(data)
        out.write(wire.encode({"bytes": count}))
        out.write(data)
    else:
        sum_.skip(count)
        out.write(wire.encode({"hole": count}))
