"""A pack of git's that comes from a laptop: all of it gets into the store, or nothing.

Invariants
- It is taken apart in a directory of its own; into the store it goes when it is sound, and the snapshot whole with it.
  What git would not check out (``git~1``, odd .gitmodules) are files like others here; what may be nowhere is refused
  where a snapshot is laid out, however it came into the store.
- A pack that was cut, is broken, or finds no room leaves nothing. What one leaves whose agent was killed goes with
  the next one.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, BinaryIO, Callable, NamedTuple, Optional

from . import files, git, idle, layout, stores
from .check import check_place
from .model import Refusal
from .settings import DAY

_BLOCK = 1 << 16
_LAPTOP = re.compile(r"[0-9a-f]{16}")
_BESIDE = "incoming-"
_BEGUN = "fresh-"
_ON_THE_WAY = (_BEGUN, "git.", "ref.")
_MORE = 1.3
"""What a pack may take here, as a multiple of what is sent: an index, and what it is a change of."""
_LEAST = 1 << 18


class Pack(NamedTuple):
    """What a laptop says of a pack: ``size`` bytes; ``base``, a snapshot that is here, is what it is a change of."""

    store: str
    commit: str
    base: Optional[str]
    size: int
    laptop: Optional[str]

    @staticmethod
    def parse(fields: Any) -> Pack:
        """Read a request; refuses what is none. Without a size it asks whether the snapshot is here."""
        if not isinstance(fields, Mapping):
            raise Refusal("usage", "a pack is told of by an object")
        check_place(fields)
        base, size, laptop = fields.get("base"), fields.get("size", 0), fields.get("laptop")
        if base is not None:
            check_place({**fields, "commit": base})
        if type(size) is not int or size < 0:
            raise Refusal("usage", "the pack's size is none")
        if (size or laptop is not None) and not (isinstance(laptop, str) and _LAPTOP.fullmatch(laptop)):
            raise Refusal("usage", "the pack's laptop is none")
        return Pack(fields["store"], fields["commit"], base, size, laptop)


def receive(pack: Pack, source: BinaryIO, ready: Optional[Callable[[], None]] = None) -> None:
    """Read it from ``source``, after a word that it may come, and have the laptop's ref name what came."""
    git.check()
    objects = None
    with contextlib.ExitStack() as stack:
        if pack.size:
            _check_room(pack.size)
            stores.make(pack.store)
            if ready is not None:
                _check_base(pack)
                ready()
            objects = stack.enter_context(_beside(pack.store))
            _take(pack, source, objects)
        with stores.held(pack.store):
            stores.check_whole(pack.store, pack.commit, objects, pack.base)
            if objects is not None:
                _let_in(pack.store, objects)
            if pack.laptop is not None:
                stores.write_ref(pack.store, "laptops/" + pack.laptop, pack.commit)


def _check_room(size: int) -> None:
    os.makedirs(layout.stores(), mode=0o700, exist_ok=True)
    found = os.statvfs(layout.stores())
    if found.f_bavail * found.f_frsize < size * _MORE + _LEAST:
        raise git.full()


def _check_base(pack: Pack) -> None:
    """Before much is sent for nothing."""
    if pack.base is not None and git.run(pack.store, "cat-file", "-e", pack.base + "^{tree}")[0]:
        raise stores.lacking(pack.store)


@contextlib.contextmanager
def _beside(name: str) -> Iterator[str]:
    """A directory for objects that may come to nothing, held for as long as somebody is at work there."""
    sweep(name)
    aside = "%d-%s" % (os.getpid(), os.urandom(4).hex())
    fresh, path = (os.path.join(stores.directory(name), kind + aside) for kind in (_BEGUN, _BESIDE))
    os.makedirs(os.path.join(fresh, "pack"), mode=0o700)
    fd = os.open(fresh, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.rename(fresh, path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def is_coming(name: str) -> bool:
    """Whether somebody takes a pack apart."""
    return any(one.startswith((_BESIDE, _BEGUN)) for one in os.listdir(stores.directory(name)))


def sweep(name: str) -> None:
    """Remove what others have left who were killed."""
    for one in os.listdir(stores.directory(name)):
        path = os.path.join(stores.directory(name), one)
        with contextlib.suppress(OSError):
            if one.startswith(_BESIDE):
                _remove_if_free(path)
            elif one.startswith(_ON_THE_WAY) and os.lstat(path).st_mtime < time.time() - DAY:
                collections.deque(files.removal(path), 0)


def _remove_if_free(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)


def _take(pack: Pack, source: BinaryIO, objects: str) -> None:
    """Have git take it apart, and look at every object."""
    process = git.start(
        pack.store, "index-pack", "--stdin", "--fix-thin", objects=objects, stdin=-1, stdout=-3, stderr=-1
    )
    assert process.stdin and process.stderr  # each was asked for
    try:
        missing = _pour(source, process.stdin, pack.size)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        said = process.stderr.read().decode("ascii", "backslashreplace")
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stderr.close()
        status = process.wait()
    if status:
        raise _refusal(pack, status, said, missing)
    if missing:
        raise Refusal("refused", "the pack is shorter than it was said to be: %d of %d bytes" % (missing, pack.size))


def _pour(source: BinaryIO, sink: IO[bytes], size: int) -> int:
    """Bytes that did not come through: the link was cut, or git wants no more."""
    left = size
    while left:
        block = source.read(min(left, _BLOCK))
        idle.go_on()
        try:
            sink.write(block)
        except BrokenPipeError:
            break
        if not block:
            break
        left -= len(block)
    return left


def _refusal(pack: Pack, status: int, said: str, missing: int) -> Refusal:
    if "early EOF" in said and missing:
        return Refusal("host", "the pack broke off: %d of %d bytes did not come" % (missing, pack.size))
    if pack.base is not None and ("unresolved delta" in said or "did not receive expected object" in said):
        return stores.lacking(pack.store)
    return git.explain(status, said, "take what was sent")


def _let_in(name: str, objects: str) -> None:
    """What was taken apart becomes the store's: the index last, for by that git finds the rest."""
    stores.make(name)  # it may have gone meanwhile
    into, beside = os.path.join(layout.store(name), "objects", "pack"), os.path.join(objects, "pack")
    found = [one for one in os.listdir(beside) if one.startswith("pack-")]
    for one in sorted(found, key=lambda one: one.endswith(".idx")):
        if not os.path.exists(os.path.join(into, one)):
            os.rename(os.path.join(beside, one), os.path.join(into, one))
    files.sync_directory(into)
