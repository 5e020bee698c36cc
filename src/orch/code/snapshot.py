"""A snapshot is taken: what is on disk, as a commit in our own repository.

Invariants
- What would be too large, or cannot be read, is refused before any byte of it is read.
- A file that changes while it is read is read again; if it does not come to rest, that is said.
- Where our repository turns out damaged it is made anew, once.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

from orch import paths, project
from orch.errors import OrchError, is_want_of_room
from orch.files import write_whole

from .changes import Changes
from .doubts import Doubts
from .git import Failed, gather, refused, split
from .ignored import patterns
from .listing import Listing
from .own import LAST, Own, owned
from .remarks import changed, remarks
from .tree import Tree, find

Tell = Callable[[str, str], None]


class Snapshot(NamedTuple):
    """A working tree as it was. ``directory``: below ``top``, where somebody was; ``share``: what runs have in common.

    ``branch`` and ``head`` say where the repository was, and ``changed`` how many files were not as in ``head``; each
    is None where there is no such thing. ``notes``: sentences that the person should see.
    """

    store: str
    name: str
    top: str
    directory: str
    commit: str
    branch: str | None
    head: str | None
    changed: int | None
    share: tuple[str, ...]
    notes: tuple[str, ...]


def unheard(_: str, __: str) -> None:
    """Nobody listens."""


def take(start: str, tell: Tell = unheard) -> Snapshot:
    """The working tree that ``start`` is in, as it is now. ``tell(what, how)`` hears of what takes long."""
    start = os.path.realpath(start)
    wanted = project.sync(start)
    tree = find(start)
    try:
        with owned(tree.top, lambda: tell("snapshot", "waiting for another one of this directory")) as own:
            try:
                return _take(tree, wanted, own, tell)
            except Failed as failed:
                if failed.is_want_of_room:
                    own.sweep()
                    raise
                own.wipe()
            return _take(tree, wanted, own, tell)
    except Failed as failed:
        raise refused(f"no snapshot can be taken of {tree.top}", failed) from None
    except OSError as error:
        if is_want_of_room(error):
            raise
        where = str(error.filename or paths.snapshots(""))
        message = f"no snapshot can be taken of {tree.top}: {error.strerror}: {where}"
        raise OrchError("refused", message, f"ls -ld {shlex.quote(where)}") from None


def place(start: str) -> str:
    """Where ``start`` is below the top of its working tree; nothing where it is in none."""
    try:
        return find(start).directory
    except OrchError:
        return ""


def renew(snapshot: Snapshot) -> None:
    """Make our repository anew, for objects are gone: the person's git may have removed what nothing led to."""
    with owned(snapshot.top, lambda: None) as own:
        own.wipe()
    if take(snapshot.top).commit != snapshot.commit:
        message = f"{snapshot.top} has changed while it was sent"
        raise OrchError("refused", message, "the same command again takes a new snapshot")


def _take(tree: Tree, wanted: project.Sync, own: Own, tell: Tell) -> Snapshot:
    seen = wanted.shared_in(tree.top)
    share = tuple(one for one in seen if one.split("/")[0] not in (".", ".."))
    for path in share:
        if os.path.lexists(there := os.path.join(tree.top, path)) and not os.path.isdir(there):
            message = f"{path} is to be shared by all runs, and here it is no directory"
            raise OrchError("refused", message, "[sync] share in orch.toml names directories")
    own.prepare(tree.objects)
    listing = Listing(tree, patterns(tree.top, [*share, *_cache_in(tree.top)]), own.directory)
    doubts = Doubts(own)
    known = gather(own.git.start("ls-files", "-z"), own.git.start("diff-files", "-z", "--name-only"))
    listing.end()
    names, dirty = (set(split(done.sure)) for done in known)
    changes = Changes(own, doubts, wanted.max_file, tell)
    commit = own.ref(LAST)
    if changes.find(listing, names, dirty) or commit is None:
        own.set_ref(LAST, None)
        changes.enter()
        written = own.git.run("write-tree").decode().strip()
        commit = own.git.run("commit-tree", "-m", "snapshot", written).decode().strip()
        own.set_ref(LAST, commit)
    count = changed(tree, own, listing, commit)
    notes = (*changes.notes, *remarks(tree, listing))
    if len(share) < len(seen):
        notes += (f"{wanted.source}: what it shares outside of {tree.top} is not shared by runs of this repository",)
    place = (tree.store, tree.name, tree.top, tree.directory)
    return Snapshot(*place, commit, tree.branch, tree.head, count, share, notes)


def _cache_in(top: str) -> list[str]:
    """Where our own repositories are, if that is in the tree."""
    place = os.path.relpath(os.path.realpath(os.path.dirname(paths.laptop())), top)
    return [] if place.split("/")[0] == ".." else [place]


def code_of(snapshot: Snapshot) -> dict[str, Any]:
    """What a job's specification says of it."""
    fields = ("store", "commit", "share", "branch", "head", "changed")
    found = {key: getattr(snapshot, key) for key in fields}
    return {**found, "share": list(snapshot.share)}


def laptop() -> str:
    """By which name stores know this laptop: 16 hex digits, at random."""
    path = paths.laptop()
    for _ in range(3):
        try:
            with open(path, encoding="ascii") as file:
                return file.read(16)
        except OSError:
            pass
        aside = f"{path}.{os.urandom(6).hex()}"
        write_whole(aside, os.urandom(8).hex())
        try:
            os.link(aside, path)  # of two at once, one comes first
        except FileExistsError:
            pass
        finally:
            os.unlink(aside)
    raise AssertionError
