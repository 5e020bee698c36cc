"""The working tree of a job is laid out before the job starts: exactly the snapshot, or there is none.

Invariants
- It is laid out beside its place and renamed when it is complete. One of an earlier boot counts only if all of it had
  come to the disk by then (``code.mark``).
- Bytes are git's objects as they are: no filter, no other line ends, whatever the snapshot says of itself.
- Whatever is made is made new, in directories that were made here: nothing is written through a link.
- No job begins where a link has come into the place of its tree, or leads out of it: what an attempt has made of the
  tree is there for the next one, and may be anything.
- Jobs of one submission share it, and one of their runners lays it out; the others wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from . import extraction, files, layout, listing, locks, procs, workplace
from .launch import detach
from .ledger import Record
from .model import Refusal

KEPT = "kept"
FULL = (errno.ENOSPC, errno.EDQUOT)
_PAUSE = 0.1
_ASK = 0.5
"""Seconds between two questions whether the job is still wanted."""
_ROOM = 1 << 20
"""Bytes that stay free, for the logs of those who run."""


class Unwanted(Exception):
    """Nobody waits for the job any more."""


class Wanted:
    """Asks now and then whether somebody still waits for the job."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._next = time.monotonic() + _ASK

    def check(self) -> None:
        """Raise ``Unwanted`` where nobody does."""
        if time.monotonic() >= self._next:
            if not self._ask():
                raise Unwanted
            self._next = time.monotonic() + _ASK


def prepare(record: Record, ask: Callable[[], bool]) -> None:
    """See to it that the job's code is there; ``ask`` tells whether it is still wanted.

    Refuses what can never be. An ``OSError`` is one of want of room, and ends with that.
    """
    owner, wanted = workplace.owner(record), Wanted(ask)
    assert record.spec.code is not None
    os.makedirs(layout.job_dir(owner), mode=0o700, exist_ok=True)
    if os.path.islink(layout.job_dir(owner)):
        raise Refusal("refused", "%s has become a link, and is to be a directory" % layout.job_dir(owner))
    if not is_laid_out(owner):
        with _alone(owner, wanted) as tell:
            if not is_laid_out(owner):
                _lay_out(owner, record.spec.code, wanted, tell)
    _check_start(record, record.spec.code)


def is_laid_out(owner: str) -> bool:
    """Whether the tree is there as it was laid out, or as its jobs have left it."""
    mark, tree = files.read_text(layout.code_mark(owner)), layout.code_dir(owner)
    return mark in (KEPT, procs.boot_id()) and os.path.isdir(tree) and not os.path.islink(tree)


def _check_start(record: Record, code: Mapping[str, Any]) -> None:
    """Refuse to begin below the top in what is no directory, or neither in the tree nor in what runs share."""
    start, asked = workplace.directory(record), record.spec.cwd or ""
    if not os.path.isdir(start):
        said = "the snapshot has no directory %s, in which it was to start" % ascii(asked)
        raise Refusal("refused", said, "orch run --cwd DIR …")
    shared = [layout.shared_dir(code["store"], path) for path in code.get("share", ())]
    inside = map(os.path.realpath, [layout.code_dir(workplace.owner(record)), *shared])
    real = os.path.realpath(start)
    if not os.path.isabs(asked) and not any(os.path.commonpath([real, one]) == one for one in inside):
        said = "%s, in which it was to start, is reached by a link that leads out of its code, to %s"
        raise Refusal("refused", said % (ascii(asked), ascii(real)), "orch run --cwd DIR …")


@contextlib.contextmanager
def _alone(owner: str, wanted: Wanted) -> Iterator[Callable[[str], None]]:
    """Within it no other runner lays out the same; what is told shows in the status. It is over with the tree's."""
    path = layout.code_lock(owner)
    fd = locks.try_hold(path)
    while fd is None:
        time.sleep(_PAUSE)
        wanted.check()
        fd = locks.try_hold(path)
    held = fd

    def tell(text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(held, 0)
            os.pwrite(held, text.encode("ascii", "backslashreplace"), 0)

    try:
        yield tell
        files.remove(path)
    finally:
        os.close(held)


def _lay_out(owner: str, code: Mapping[str, Any], wanted: Wanted, tell: Callable[[str], None]) -> None:
    beside = layout.code_dir(owner) + ".new"
    tell("its code is laid out")
    try:
        for path in (layout.code_dir(owner), beside):
            for _ in files.removal(path):
                wanted.check()
        _fill(beside, code, wanted)
        files.write_whole(layout.code_mark(owner), procs.boot_id(), durable=False)
        os.rename(beside, layout.code_dir(owner))
    except BaseException as error:
        for _ in files.removal(beside):
            pass
        if isinstance(error, OSError):
            tell(("no room for its code: %s" if error.errno in FULL else "its code is delayed: %s") % error.strerror)
        raise
    detach.aside(lambda: _keep(owner))


def _keep(owner: str) -> None:
    """Nobody waits for the disk: only after a crash of the host it matters what had come to it."""
    fd = os.open(layout.code_dir(owner), os.O_RDONLY)
    sync_all(fd)
    files.write_whole(layout.code_mark(owner), KEPT)


def sync_all(fd: int) -> None:
    """Bring to the disk all of the file system that ``fd`` is on."""
    import ctypes

    try:
        status = ctypes.CDLL(None, use_errno=True).syncfs(fd)
    except AttributeError:  # macOS
        os.sync()
    else:
        if status:
            raise OSError(ctypes.get_errno(), "syncfs")


def _fill(beside: str, code: Mapping[str, Any], wanted: Wanted) -> None:
    """The whole tree, with the person's usual modes."""
    found = listing.read(code["store"], code["commit"], code.get("share", ()))
    _check_room(found)
    here = os.open(".", os.O_RDONLY)
    mask = os.umask(detach.original_umask)
    try:
        os.mkdir(beside)
        os.chdir(beside)
        extraction.make(code["store"], found.entries, wanted.check)
        for path in found.links:
            _share(code["store"], path)
    finally:
        os.umask(mask)
        os.fchdir(here)
        os.close(here)


def _check_room(found: listing.Listing) -> None:
    """Rather than to fill the disk for everybody."""
    disk, takes = os.statvfs(layout.jobs_dir()), found.room()
    free = disk.f_bavail * disk.f_frsize
    if free < takes + _ROOM:
        sizes = layout.jobs_dir(), max(1, free >> 20), (takes >> 20) + 1
        raise OSError(errno.ENOSPC, "the disk that holds %s has %d MB left, and it takes %d" % sizes)
    if disk.f_files and disk.f_favail < len(found.entries) + 100:
        sizes = layout.jobs_dir(), disk.f_favail, len(found.entries)
        raise OSError(errno.ENOSPC, "the disk that holds %s takes %d more files, and it has %d" % sizes)


def _share(store: str, path: bytes) -> None:
    """Link a directory that all runs share; made if there is none."""
    place = layout.shared_dir(store, os.fsdecode(path))
    try:
        os.makedirs(place, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        said = "the runs of this repository share %s, and on this host that is no directory"
        raise Refusal("refused", said % ascii(os.fsdecode(path)), "ls -ld %s" % place, there=True) from None
    os.symlink(os.fsencode(place), path)
