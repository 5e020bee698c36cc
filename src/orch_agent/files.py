"""Writing files so that a reader sees all of it or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any, Optional, Union

from . import wire


def write_whole(path: str, text: Union[str, bytes], durable: bool = True, mode: int = 0o600) -> None:
    """Write aside, to disk (unless it means nothing after a crash of the host), then rename into place.

    Where that fails, what is there stays as it was, and nothing is left aside.
    """
    aside = "%s.orch-%d" % (path, os.getpid())
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        try:
            if mode != 0o600:
                os.fchmod(fd, mode)
            _write_all(fd, text.encode("ascii") if isinstance(text, str) else text)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(aside, path)
    except BaseException:
        remove(aside)
        raise


def _write_all(fd: int, data: bytes) -> None:
    """A disk that is nearly full takes a part of it without an error: that comes with the rest."""
    while data:
        data = data[os.write(fd, data) :]


def create(path: str) -> None:
    """See to it that there is such a file, where that can be."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        pass


def sync_directory(path: str) -> None:
    """Bring to the disk which files are in it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
        _write_all(fd, b" " * size)
        os.fsync(fd)  # macOS, some file systems: only what is written has its place


def remove(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except OSError:
        pass


def removal(path: str) -> Iterator[None]:
    """Remove a directory and all that is in it, a little at each step. Follows no link, and minds no mode."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return remove(path)
    except OSError:
        return
    left = [(path, False)]
    while left:
        directory, is_empty = left.pop()
        if is_empty:
            try:
                os.rmdir(directory)
            except OSError:
                pass
        else:
            left.append((directory, True))
            for entry in _inside(directory):
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, False))
                else:
                    remove(entry.path)
                yield
        yield
    if os.path.lexists(path):
        import shutil  # hardly ever

        shutil.rmtree(path, ignore_errors=True)  # which knows a way to what lies too deep for any path


def _inside(directory: str) -> list[os.DirEntry[str]]:
    try:
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            os.chmod(directory, 0o700)
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []


def names(directory: str) -> list[str]:
    """What is in it, in order; nothing where it cannot be looked at."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def is_older(path: str, before: float) -> bool:
    """Whether it was last changed before that time. What has gone is of no age."""
    try:
        return os.lstat(path).st_mtime < before
    except OSError:
        return False
