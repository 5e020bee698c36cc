"""A file in the making: written aside, in its directory, and renamed when it is whole.

Invariants
- It is called by a name that follows from its path, so whoever comes again finds how far it came.
- Two processes do not write one at once. What was planted under its name is neither written to nor read.
- It is never longer than ``limit``. What somebody does to it meanwhile holds up no other.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .sparse import Sum, summed

ASIDE = b".orch-part-"
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_OF_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_POLL = 0.05
_TAKEN = "something of this name has come to be here meanwhile"


class Unfit(Exception):
    """This one cannot be here; its text says why. Others may."""


def aside(path: bytes) -> bytes:
    """What a file is called until it is whole: short enough, whatever its name is."""
    return ASIDE + hashlib.sha256(path).hexdigest()[:16].encode()


@contextmanager
def fitting() -> Iterator[None]:
    """Inside, what is wrong with this one file is told so; what is wrong with all of them is what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_ALL:
            raise
        raise Unfit(error.strerror or "it cannot be written") from None
    except OverflowError:
        raise Unfit("no file can be that large") from None


class Part:
    """A file in the making; ``size`` and ``sha256`` are of what has come, ``limit`` is of what may."""

    def __init__(self, directory: int, aside: bytes, name: bytes, patience: float = 0.0) -> None:
        self._fd = _begun(aside, directory)
        self._directory = os.dup(directory)
        self._aside, self._name = aside, name
        self.limit = 0
        try:
            self._claim(time.monotonic() + patience)
            self._sum = summed(self._fd, os.fstat(self._fd).st_size)
        except BaseException:
            self.close()
            raise

    def _claim(self, until: float) -> None:
        while not _locked(self._fd):
            if time.monotonic() >= until:
                raise Unfit("another orch is just bringing it")
            time.sleep(_POLL)
        if not self._is_there():
            raise Unfit("another orch has just brought it")

    def _is_there(self) -> bool:
        try:
            found = os.stat(self._aside, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._fd), found)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._sum.size

    @property
    def sha256(self) -> str:
        """As ``sparse`` has it: holes cost nothing."""
        return self._sum.hexdigest()

    def restart(self) -> None:
        """Drop what has come."""
        os.ftruncate(self._fd, 0)
        self._sum = Sum()

    def write(self, data: memoryview) -> None:
        """Go on with these bytes."""
        self._check(len(data))
        while data:
            with fitting():
                count = os.pwrite(self._fd, data, self.size)
            self._sum.add(data[:count])
            data = data[count:]

    def skip(self, count: int) -> None:
        """Go on with a hole."""
        self._check(count)
        with fitting():
            os.ftruncate(self._fd, self.size + count)
        self._sum.skip(count)

    def _check(self, count: int) -> None:
        if self.size + count > self.limit:
            raise Unfit(f"more has come than the {self.limit} bytes that it is said to have")

    def finish(self, mode: int, mtime_ns: int, replace: bool) -> None:
        """It is whole: put it in its place, over what is there only with ``replace``."""
        with fitting():
            with suppress(PermissionError):  # a file system that has no modes
                os.fchmod(self._fd, mode & 0o777)
            os.utime(self._fd, ns=(mtime_ns, mtime_ns))
            if not self._is_there():
                raise Unfit("somebody has removed it before it was whole")
            if replace or not self._take():
                os.rename(self._aside, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self.close()

    def _take(self) -> bool:
        """Give it its name unless something has that; False where only a rename can, on a file system without links."""
        if self._is_taken():
            raise Unfit(_TAKEN)
        both = {"src_dir_fd": self._directory, "dst_dir_fd": self._directory}
        try:
            os.link(self._aside, self._name, **both, follow_symlinks=False)
        except FileExistsError:
            raise Unfit(_TAKEN) from None
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        os.unlink(self._aside, dir_fd=self._directory)
        return True

    def _is_taken(self) -> bool:
        try:
            os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def drop(self) -> None:
        """Nothing will become of it."""
        with suppress(OSError):
            if self._is_there():
                os.unlink(self._aside, dir_fd=self._directory)
        self.close()

    def close(self) -> None:
        """Leave it as far as it has come."""
        os.close(self._fd)
        os.close(self._directory)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _begun(aside: bytes, directory: int) -> int:
    """What was begun before, if we have begun it; else a new file."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        found = os.stat(aside, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            return os.open(aside, flags, dir_fd=directory)
        os.unlink(aside, dir_fd=directory)
    except FileNotFoundError:
        pass
    return os.open(aside, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
