"""Files that a laptop sends, as they arrive here.

Invariants
- Every file is checked by its hash before it has its name. What a cut broke off stays beside its place, and goes on
  from there; nothing of one that cannot be here stays.
- What was there already is written over only where the laptop says so. What cannot be here is heard to its end all the
  same, for others come behind it, and told when all have come: until then the laptop only sends.
- A laptop that says nothing for ``QUIET`` seconds is gone: whoever comes again must find the half files free.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Optional, TypeVar

from . import idle
from .landing import Place
from .model import Refusal
from .outputs import raw, text
from .parts import Part, Unfit
from .records import Records

QUIET = 15.0
PATIENCE = 2 * QUIET
"""Seconds that a file is waited for which somebody else, most likely ourselves before a cut, is just bringing."""
_STALE = 7 * 86400.0
_CHUNK = 1 << 16  # more, and the memory for each would be fetched from the system anew
T = TypeVar("T")


class Cut(Exception):
    """Nothing more comes."""


def incoming(fd: int) -> Records:
    """What comes out of ``fd``, while it does."""

    def more() -> bytes:
        idle.go_on()
        if not select.select([fd], [], [], QUIET)[0]:
            raise Cut
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            raise Cut
        return chunk

    return Records(more)


class Arrivals:
    """What goes into ``place``. ``left``: what did not, and why; ``changed``: what was changed while it was read."""

    def __init__(self, place: Place, records: Records) -> None:
        self._place, self._records = place, records
        self._part: Optional[Part] = None
        self._tidied: set[bytes] = set()
        self.left: list[dict[str, str]] = []
        self.changed: list[str] = []

    def all(self) -> None:
        """Until the empty record behind the last; a ``Cut`` where that does not come."""
        while True:
            record = self._records.record()
            over = record.get("over") is True
            if "directory" in record:
                path = raw(record["directory"])
                self._try(path, self._place.make, path, _count(record, "mode"), record.get("new") is True)
            elif "link" in record:
                path = raw(record["link"])
                self._try(path, self._place.link, path, raw(record.get("target")), over)
            elif "file" in record:
                self._file(raw(record["file"]), over)
            else:
                return

    def close(self) -> None:
        """What has half arrived stays as it is."""
        if self._part is not None:
            self._part.close()

    def _file(self, path: bytes, over: bool) -> None:
        record = self._records.record()
        if "gone" not in record:
            self._tidy(os.path.dirname(path))
            self._part = self._try(path, self._place.part, path)
            self._go_on(path, _begin, record)
        while not {"gone", "sha256"} & record.keys():
            record = self._records.record()
            if "hole" in record:
                self._go_on(path, Part.skip, _count(record, "hole"))
            elif "bytes" in record:
                for data in self._records.data(_count(record, "bytes")):
                    self._go_on(path, Part.write, data)
        if "gone" in record:
            self._leave(path, str(record["gone"]))
        elif self._go_on(path, _end, record, over):
            self._part = None
            self.changed += [text(path)] if record.get("changed") is True else []

    def _try(self, path: bytes, work: Callable[..., T], *words: object) -> Optional[T]:
        try:
            return work(*words)
        except Unfit as unfit:
            self._leave(path, str(unfit))
            return None

    def _go_on(self, path: bytes, work: Callable[..., None], *words: object) -> bool:
        """Do it with the part; whether it can still be here."""
        if self._part is not None:
            self._try(path, work, self._part, *words)
        return self._part is not None

    def _leave(self, path: bytes, why: str) -> None:
        """Nothing of it stays here."""
        self.left.append({"path": text(path), "why": why})
        if self._part is not None:
            self._part.drop()
            self._part = None

    def _tidy(self, directory: bytes) -> None:
        """Away with what others have begun there long ago, and have not come back to."""
        if directory not in self._tidied:
            self._tidied.add(directory)
            with suppress(OSError, Unfit):
                self._place.tidy(directory, time.time() - _STALE)


def _begin(part: Part, record: dict[str, Any]) -> None:
    start, part.limit = _count(record, "from"), _count(record, "size")
    if start and start != part.size:
        raise Unfit("what had come of it is not there any more; push it again")
    if not start:
        part.restart()


def _end(part: Part, record: dict[str, Any], over: bool) -> None:
    if part.sha256 != record["sha256"]:
        raise Unfit("what came is not what was sent, by its hash; push it again")
    part.finish(_count(record, "mode"), _time(record), over)


def _count(record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise Refusal("usage", "%s is no number" % key)
    return value


def _time(record: dict[str, Any]) -> int:
    value = record.get("mtime_ns")
    if type(value) is not int or abs(value) >= 1 << 63:
        raise Refusal("usage", "mtime_ns is no time")
    return value


def seen(place: Place, entries: Iterable[tuple[bytes, str, int, bytes]]) -> Iterator[dict[str, Any]]:
    """What there is already in the place of each, by its number: nothing of what is not."""
    for number, (path, kind, size, target) in enumerate(entries):
        try:
            found = _seen(place, path, kind, size, target)
        except Unfit as unfit:
            found = {"unfit": str(unfit)}
        if found:
            yield {"at": number, **found}


def _seen(place: Place, path: bytes, kind: str, size: int, target: bytes) -> dict[str, Any]:
    there = place.look(path)
    if there is None:
        return _begun(place, path) if kind == "file" else {}
    if kind == "directory":
        if stat.S_ISLNK(there.st_mode):
            raise Unfit("there it is a link: push to where that leads")
        if not stat.S_ISDIR(there.st_mode):
            raise Unfit("there it is no directory")
        return {"same": True}
    if stat.S_ISDIR(there.st_mode):
        raise Unfit("there it is a directory")
    if kind == "link" and stat.S_ISLNK(there.st_mode) and place.target(path) == target:
        return {"same": True}
    told = {"mtime_ns": there.st_mtime_ns, **(_begun(place, path) if kind == "file" else {})}
    if kind == "file" and stat.S_ISREG(there.st_mode) and there.st_size == size:
        told["sha256"] = place.digest(path)
    return told


def _begun(place: Place, path: bytes) -> dict[str, Any]:
    """How far it has come, if it has begun to."""
    if not place.is_begun(path):
        return {}
    part = place.part(path)
    try:
        return {"part": part.size, "of": part.sha256}
    finally:
        part.close()
