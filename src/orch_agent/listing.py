"""What a snapshot holds, and whether that can be laid out here at all. No file is looked at but by git.

Invariants
- Every name is one component after another, none of them ``..`` or git's own; nothing lies below what is no directory.
- Where a directory is shared, the snapshot has nothing: what it had there is left out, or refused.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from . import git, layout
from .model import Refusal

FILE, PROGRAM, LINK, DIRECTORY, MODULE = b"100644", b"100755", b"120000", b"040000", b"160000"
_MODES = {b"100664": FILE, **{mode: mode for mode in (FILE, PROGRAM, LINK, DIRECTORY, MODULE)}}
_BLOCK, _OWN = 4096, 512
"""Bytes by which a file system gives room, and what it writes of a file besides."""


class Entry(NamedTuple):
    """One thing of a snapshot: its path from the top, and of a file or link the object that has its contents."""

    mode: bytes
    id: bytes
    size: int
    path: bytes


class Listing(NamedTuple):
    """``entries``: each directory before what is in it. ``links``: which directories are shared, outermost only."""

    entries: Sequence[Entry]
    links: Sequence[bytes]

    def room(self) -> int:
        """Bytes that it takes on a disk, about."""
        return sum(_OWN + -(-entry.size // _BLOCK) * _BLOCK for entry in self.entries)


def read(store: str, commit: str, share: Sequence[str]) -> Listing:
    """What is to be laid out of a snapshot, beside the directories ``share``; refuses what can be nowhere."""
    status, out, said = git.run(store, "ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit)
    if status < 0:
        raise OSError(errno.EAGAIN, "git was killed")
    if status:
        raise damaged(store, "the list of its files (%s)" % git.why(status, said))
    entries = [_entry(store, line) for line in out.split(b"\0") if line]
    return _around([os.fsencode(path) for path in share], entries)


def _entry(store: str, line: bytes) -> Entry:
    facts, _, path = line.partition(b"\t")
    try:
        mode, _, id_, size = facts.split()
        entry = Entry(_MODES[mode], id_, 0 if size == b"-" else int(size), path)
    except (KeyError, ValueError):
        raise damaged(store, ascii(os.fsdecode(path))) from None
    if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in path.split(b"/")):
        raise Refusal("refused", "the snapshot has a file called %s, which may be nowhere" % ascii(os.fsdecode(path)))
    return entry


def damaged(store: str, what: str) -> Refusal:
    """The refusal where the store does not have what it had."""
    said = "the store that has the snapshot is damaged, and %s cannot be had: with %s moved away --sync sends all anew"
    return Refusal("host", said % (what, layout.store(store)))


def _around(share: Sequence[bytes], entries: Iterable[Entry]) -> Listing:
    """The entries without what lies where a directory is shared."""
    links = [path for path in sorted(set(share)) if not any(_is_below(path, other) for other in share)]
    above = {part for path in links for part in _parents(path)}
    left = []
    for entry in entries:
        if entry.path in links and entry.mode not in (DIRECTORY, LINK, MODULE):
            raise _in_the_way(entry.path, entry.path)
        if entry.path in above and entry.mode != DIRECTORY:
            raise _in_the_way(next(path for path in links if _is_below(path, entry.path)), entry.path)
        if not any(entry.path == path or _is_below(entry.path, path) for path in links):
            left.append(entry)
    known = {entry.path for entry in left}
    missing = sorted(above - known)
    return Listing([*left, *(Entry(DIRECTORY, b"", 0, path) for path in missing)], links)


def _is_below(path: bytes, other: bytes) -> bool:
    return path.startswith(other + b"/")


def _parents(path: bytes) -> Iterable[bytes]:
    parts = path.split(b"/")
    return (b"/".join(parts[:count]) for count in range(1, len(parts)))


def _in_the_way(path: bytes, what: bytes) -> Refusal:
    said = "runs cannot share %s: %s is no directory in the snapshot"
    names = tuple(ascii(os.fsdecode(one)) for one in (path, what))
    return Refusal("refused", said % names, "take it out of [sync] share in orch.toml")
