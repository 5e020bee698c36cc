"""Writing files so that a reader sees all of it or none."""

from __future__ import annotations

import os
from typing import Any, Optional

from . import wire


def write_whole(path: str, text: str, durable: bool = True) -> None:
    """Write aside, to disk (unless it means nothing after a crash of the host), then rename into place."""
    aside = "%s.%d" % (path, os.getpid())
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, text.encode("ascii"))
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(aside, path)


def create(path: str) -> None:
    """See to it that there is such a file, where that can be."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        pass


def read_text(path: str) -> Optional[str]:
    """The whole file, or None where there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def read_table(path: str) -> dict[str, Any]:
    """The object in a file of ours; empty where there is none, or anything else is in it."""
    return wire.table(read_text(path))


def fill(path: str, text: str) -> None:
    """Write a small file in place, to disk; the room that it takes once it keeps, should the disk be full later."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, text.encode("ascii").ljust(Reserved.SIZE), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


class Reserved:
    """Room on the disk for a small file that must be written later, also when the disk is full by then."""

    SIZE = 4096

    def __init__(self, path: str) -> None:
        self.path = path
        self._aside = "%s.%d" % (path, os.getpid())
        fd = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _allocate(fd, self.SIZE)
        finally:
            os.close(fd)

    def give_back(self) -> None:
        """Nothing will be written."""
        remove(self._aside)

    def write(self, text: str) -> None:
        """Fill the room, to disk, and rename it into place."""
        fd = os.open(self._aside, os.O_WRONLY)
        try:
            os.pwrite(fd, text.encode("ascii")[: self.SIZE].ljust(self.SIZE), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(self._aside, self.path)


def set_aside(path: str, size: int) -> None:
    """Keep so much of the disk, where there is plenty: whoever removes the file gives it back."""
    found = os.statvfs(os.path.dirname(path))
    if os.path.exists(path) or found.f_bavail * found.f_frsize < 4 * size:
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        _allocate(fd, size)
    finally:
        os.close(fd)


def _allocate(fd: int, size: int) -> None:
    """Have the disk keep ``size`` bytes for this file."""
    try:
        os.posix_fallocate(fd, 0, size)
    except (AttributeError, OSError):
        os.write(fd, b" " * size)
        os.fsync(fd)  # macOS, some file systems: only what is written has its place


def remove(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except OSError:
        pass
