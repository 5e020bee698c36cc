"""A directory into which files from elsewhere are written, and nothing beside it: on a laptop, or on a host.

Invariants
- Whatever is said, nothing outside of the directory is made, written or changed: each step of a path is opened from the
  one before it, and none through a link. A link is made only where it leads to a place inside, unless any may be made.
- What has come to be there since it was looked at is not written over.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from typing import Optional

from .outputs import absolute
from .parts import ASIDE, Part, Unfit, aside, fitting
from .sparse import summed

_OPEN = 64  # directories that are kept open
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")  # in names, by Apple's file systems
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def steps(path: bytes) -> list[bytes]:
    """The names that a path consists of; refuses one that leads anywhere but further in."""
    names = path.split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise Unfit("its path leads out of the directory")
    if any(name.startswith(ASIDE) for name in names):
        raise Unfit("its name is one under which orch keeps what has half arrived")
    return names


def of_git(path: bytes) -> Optional[bytes]:
    """The part of a path as far as the first name that is a repository's inside to git, on any file system."""
    names = path.split(b"/")
    for count, name in enumerate(names, 1):
        if _IGNORED.sub("", os.fsdecode(name)).lower() in (".git", "git~1"):
            return b"/".join(names[:count])
    return None


def stays_inside(path: bytes, target: bytes) -> bool:
    """Whether a link at ``path`` leads inside, whatever other such links there are.

    So no name may stand before a ``..``: were it a link, nobody could tell from the words where that leads.
    """
    names = [name for name in target.split(b"/") if name not in (b"", b".")]
    ups = next((place for place, name in enumerate(names) if name != b".."), len(names))
    leads_in = target[:1] not in (b"", b"/") and b"\0" not in target
    return leads_in and b".." not in names[ups:] and ups <= path.count(b"/")


class Place:
    """The directory ``path``, made if need be; an ``OSError`` or a ``ValueError`` where that cannot be.

    ``any_link``: those who bring files here are trusted to say where links lead; nothing is written through one.
    ``patience`` in seconds, with a file that somebody else is just bringing.
    """

    def __init__(self, path: str, any_link: bool = False, patience: float = 0.0) -> None:
        self.path = absolute(path)
        self._any_link, self._patience = any_link, patience
        os.makedirs(self.path, exist_ok=True)
        self._root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[bytes, int] = {b"": self._root}
        self._made: dict[bytes, int] = {}

    def look(self, path: bytes) -> Optional[os.stat_result]:
        """What is there; None where nothing is."""
        *way, name = steps(path)
        with fitting():
            try:
                return os.stat(name, dir_fd=self._enter(way), follow_symlinks=False)
            except FileNotFoundError:
                return None

    def digest(self, path: bytes) -> str:
        """The hash of a file that is there."""
        *way, name = steps(path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with fitting(), open(os.open(name, flags, dir_fd=self._enter(way)), "rb", 0) as file:
            return summed(file.fileno(), os.fstat(file.fileno()).st_size).hexdigest()

    def target(self, path: bytes) -> bytes:
        """Where a link that is there leads."""
        *way, name = steps(path)
        with fitting():
            return os.readlink(name, dir_fd=self._enter(way))

    def make(self, path: bytes, mode: int, is_new: bool = False) -> None:
        """See to it that there is a directory; one that is new gets this mode, once ``close`` is called."""
        way = steps(path)
        with fitting():
            directory = self._enter(way, make=True)
            if is_new or path in self._made:
                self._made[path] = mode & 0o777
                os.fchmod(directory, mode & 0o777 | 0o700)

    def link(self, path: bytes, target: bytes, replace: bool) -> None:
        """A link; in the place of what is there only with ``replace``."""
        if not self._any_link and not stays_inside(path, target):
            raise Unfit(f"a link to {os.fsdecode(target)}, which may be outside of the directory")
        *way, name = steps(path)
        with fitting():
            directory = self._enter(way, make=True)
            if not replace:
                os.symlink(target, name, dir_fd=directory)
                return
            with suppress(FileNotFoundError):
                os.unlink(aside(path), dir_fd=directory)
            os.symlink(target, aside(path), dir_fd=directory)
            os.rename(aside(path), name, src_dir_fd=directory, dst_dir_fd=directory)

    def part(self, path: bytes) -> Part:
        """The file in the making, as far as it has come."""
        *way, name = steps(path)
        with fitting():
            return Part(self._enter(way, make=True), aside(path), name, self._patience)

    def is_begun(self, path: bytes) -> bool:
        """Whether some of it may have come before."""
        *way, _ = steps(path)
        try:
            os.stat(aside(path), dir_fd=self._enter(way), follow_symlinks=False)
        except OSError:
            return False
        return True

    def tidy(self, path: bytes, before: float) -> None:
        """Remove what has half arrived in a directory and was last gone on with before that time."""
        directory = self._enter(steps(path) if path else [])
        for name in os.listdir(directory):
            if name.startswith(os.fsdecode(ASIDE)):
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if found.st_mtime < before and stat.S_ISREG(found.st_mode):
                    os.unlink(name, dir_fd=directory)

    def close(self, is_whole: bool = True) -> None:
        """Give the new directories their modes, the innermost first, if all that goes into them has come."""
        for path, mode in sorted(self._made.items(), reverse=True) if is_whole else ():
            if mode & 0o700 != 0o700:
                with suppress(OSError, Unfit):  # it is another one by now
                    os.fchmod(self._enter(steps(path)), mode)
        self._forget()
        os.close(self._root)

    def _enter(self, way: list[bytes], make: bool = False) -> int:
        """The directory at the end of that way, open until the next is asked for."""
        if len(self._open) > _OPEN:
            self._forget()
        fd = self._root
        for count in range(1, len(way) + 1):
            path = b"/".join(way[:count])
            if path not in self._open:
                if make and _is_made(way[count - 1], fd):
                    self._made[path] = 0o777
                self._open[path] = self._step(way[count - 1], fd, path)
            fd = self._open[path]
        return fd

    def _step(self, name: bytes, directory: int, path: bytes) -> int:
        try:
            return os.open(name, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise Unfit(f"{os.fsdecode(path)} is no directory here, or a link to one") from None
            raise

    def _forget(self) -> None:
        for fd in self._open.values():
            if fd != self._root:
                os.close(fd)
        self._open = {b"": self._root}


def _is_made(name: bytes, directory: int) -> bool:
    """Whether there was no such directory and now is one."""
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:
        return False
    return True
