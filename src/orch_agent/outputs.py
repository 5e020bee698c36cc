"""What there is to be pulled: the files, links and directories below what was asked for.

Invariants
- Paths are bytes in here. On the wire they are text in which bytes that are no UTF-8 are lone surrogates, whatever the
  locale: any name survives.
- No link is followed, unless it was asked for by its own name.
- What cannot be looked at is told, and holds up nothing else.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from typing import Any, AnyStr, NamedTuple

from .model import Refusal

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_MAGIC = frozenset(b"*?[")


class Root(NamedTuple):
    """Something that was asked for: ``path`` below ``base``; it keeps this path where it is brought to.

    An empty path is what the directory ``base`` holds. ``follow``: should it be a link, what that leads to is meant.
    """

    base: bytes
    path: bytes
    follow: bool = True


def text(path: bytes) -> str:
    """A path as it goes over the wire."""
    return path.decode("utf-8", "surrogateescape")


def raw(said: Any) -> bytes:
    """A path that came over the wire."""
    try:
        path: bytes = said.encode("utf-8", "surrogateescape")
    except (AttributeError, UnicodeEncodeError):
        path = b"\0"
    if b"\0" in path:
        raise Refusal("usage", "%s is no path" % ascii(said))
    return path


def absolute(path: AnyStr) -> AnyStr:
    """The same place, from the root; a ``..`` behind a link leads where the system says, and not where the words do."""
    is_up = os.pardir in os.fsdecode(path).split(os.sep)
    return os.path.realpath(path) if is_up else os.path.abspath(path)


def roots(asked: str, directory: bytes, home: bytes) -> list[Root]:
    """What ``asked``, a path or a pattern, means in ``directory``; nothing where there is nothing."""
    pattern = raw(asked)
    if pattern == b"~" or pattern.startswith(b"~/"):
        pattern = home + pattern[1:]
    place = os.path.join(directory, pattern)
    if os.path.lexists(place):
        return [_root(place, pattern, directory)]
    start = b"/" if os.path.isabs(pattern) else directory
    found = sorted(set(_matches(start, [part for part in pattern.split(b"/") if part not in (b"", b".")])))
    return [_root(one, pattern, directory)._replace(follow=False) for one in found]


def _matches(directory: bytes, parts: list[bytes]) -> Iterator[bytes]:
    """What a pattern means below ``directory``; ``**`` is this directory and all below it, through no link."""
    if not parts:
        yield directory
    elif parts[0] == b"**":
        for below, _, _ in os.walk(directory) if parts[1:] else [(directory, [], [])]:
            yield from _matches(below, parts[1:])
    else:
        for name in _named(directory, parts[0]):
            yield from _matches(os.path.join(directory, name), parts[1:])


def _named(directory: bytes, part: bytes) -> list[bytes]:
    """What in the directory has such a name; where that is to begin with a dot, it is said."""
    if not set(part) & _MAGIC:
        return [part] if os.path.lexists(os.path.join(directory, part)) else []
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [one for one in names if fnmatch.fnmatchcase(one, part) and (one[:1] != b"." or part[:1] == b".")]


def _root(place: bytes, pattern: bytes, directory: bytes) -> Root:
    """Below the job's directory a path is kept whole; of any other the last name."""
    if os.path.isabs(pattern) or b".." in pattern.split(b"/"):
        base, name = os.path.split(absolute(place))
        return Root(base or b"/", name)
    inside = [part for part in place[len(directory) :].split(b"/") if part not in (b"", b".")]
    return Root(directory, b"/".join(inside))


def entries(root: Root) -> Iterator[dict[str, Any]]:
    """What is there, a directory before what it holds."""
    pending = []
    if root.path:
        first = _entry(root.base, root.path, root.follow)
        yield first
        if first["kind"] != "directory":
            return
    pending.append(root.path)
    while pending:
        directory = pending.pop()
        try:
            names = sorted(os.listdir(os.path.join(root.base, directory)))
        except OSError as error:
            yield {"path": text(directory), "kind": "", "why": error.strerror}
            continue
        for name in names:
            path = os.path.join(directory, name)
            entry = _entry(root.base, path)
            yield entry
            if entry["kind"] == "directory":
                pending.append(path)


def _entry(base: bytes, path: bytes, follow: bool = False) -> dict[str, Any]:
    place = os.path.join(base, path)
    try:
        found = os.stat(place) if follow and os.path.exists(place) else os.lstat(place)
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "unknown thing")
        entry = {"path": text(path), "kind": kind, "mode": stat.S_IMODE(found.st_mode)}
        if kind == "file":
            entry.update(size=found.st_size, mtime_ns=found.st_mtime_ns)
        elif kind == "link":
            entry["target"] = text(os.readlink(place))
        return entry
    except OSError as error:
        return {"path": text(path), "kind": "", "why": error.strerror}
