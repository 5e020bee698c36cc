"""What a person should know of a snapshot: how far it is from the commit they are at, and what it lacks."""

from __future__ import annotations

import os

from .git import Failed, Git, gather, split
from .listing import Listing
from .own import Own
from .tree import Tree

_POINTER = b"version https://git-lfs.github.com/spec/v1"
_LONGEST = 1024  # bytes of a pointer, by its specification
_TOLD = 3
_FEW = 200  # names that go into a command line


def changed(tree: Tree, own: Own, listing: Listing, commit: str) -> int | None:
    """How many files are not as in the commit they are at; None where there is none, or it is not all here.

    Where what is committed may rightly differ from what is on disk (filters, ends of lines, submodules), it is what the
    person's git takes for changed, too.
    """
    if tree.head is None or not tree.objects:
        return None
    try:
        listed = own.git.run("diff-tree", "-r", "-z", "--no-renames", "--name-status", tree.head, commit)
    except Failed:
        return None
    fields = split(listed)
    found = {path: kind for kind, path in zip(fields[::2], fields[1::2], strict=True)}
    if not found or not (listing.inner or listing.absent or _converts(tree, listing)):
        return len(found)
    these = ["--", *map(os.fsdecode, found)] if len(found) <= _FEW else []  # git looks at no others
    asked = Git(tree.top).start("--literal-pathspecs", "diff-index", "-z", "--name-only", tree.head, *these)
    said = set(split(gather(asked)[0].output))
    return len({path for path in found if path in said or (found[path] == b"A" and not _is_inside(path, listing))})


def _is_inside(path: bytes, listing: Listing) -> bool:
    return any(path.startswith(one + b"/") for one in listing.inner)


def _converts(tree: Tree, listing: Listing) -> bool:
    return tree.converts or bool(_attributes(tree, listing))


def _attributes(tree: Tree, listing: Listing) -> list[bytes]:
    """The files that say how git is to convert others."""
    top = os.fsencode(tree.top)
    found = [os.path.join(top, path) for path in listing.paths if path.endswith(b".gitattributes")]
    return [*found, *([os.fsencode(tree.attributes)] if os.path.exists(tree.attributes) else [])]


def remarks(tree: Tree, listing: Listing) -> list[str]:
    """Sentences."""
    notes = []
    if listing.conflicts:
        notes.append(
            f"{_some(listing.conflicts)}: in conflict; the snapshot has what is in the working tree, with the marks"
        )
    for path, why in sorted(listing.refused.items())[:_TOLD]:
        name = _some([path])
        notes.append(
            f"{name}: a repository that git does not read, so what it ignores stays here, tracked or not ({why})"
        )
    if listing.absent:
        notes.append(
            f"{_some(listing.absent)}: not checked out here, nor there: git submodule update --init --recursive"
        )
    pointers = _pointers(tree, listing)
    if pointers:
        notes.append(f"{_some(pointers)}: only Git LFS's pointers to it are here, and will be there: git lfs pull")
    if listing.is_sparse:
        notes.append("the checkout is sparse: what is not here will not be there: git sparse-checkout disable")
    if len({path.lower() for path in listing.paths}) < len(listing.paths):
        notes.append(f"{_some(_colliding(listing.paths))}: names that a Mac takes for the same")
    below = os.fsencode(tree.directory + "/")
    if tree.directory and not any(path.startswith(below) for path in listing.paths):
        notes.append(f"{tree.directory}: nothing in it goes along, so there is no such directory there")
    return notes


def _pointers(tree: Tree, listing: Listing) -> set[bytes]:
    """Files that git-lfs is to bring, and has not brought."""
    if not tree.is_git or not any(b"filter=lfs" in _beginning(path) for path in _attributes(tree, listing)):
        return set()
    (asked,) = gather(Git(tree.top).start("ls-files", "-z", ":(attr:filter=lfs)"))
    found = [path for path in split(asked.output) if path in listing.paths]
    return {path for path in found if _beginning(os.path.join(os.fsencode(tree.top), path)).startswith(_POINTER)}


def _beginning(path: bytes) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def _colliding(paths: set[bytes]) -> list[bytes]:
    seen: dict[bytes, bytes] = {}
    return [path for path in sorted(paths) if seen.setdefault(path.lower(), path) != path]


def _some(paths: set[bytes] | list[bytes]) -> str:
    told = sorted(paths)[:_TOLD]
    more = f" and {len(paths) - _TOLD} more" if len(paths) > _TOLD else ""
    return ", ".join(path.decode(errors="backslashreplace") for path in told) + more
