"""The contents of files, as they come from a host.

Invariants
- Every file is checked by its hash. What was cut off goes on where it stopped, now or with the next pull: a part that
  is here is told to the host with its hash, and the host goes on behind it, or begins anew.
- A file brings as much as it was said to have when it was opened. What all of them have grown by since they were
  listed has a limit, so the disk here fills with nothing that nobody was told of.
- One stream brings all of them, so that many small files take no longer than one large one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from orch.remote import Remote
from orch.transport import LinkDown
from orch_agent.landing import Place
from orch_agent.parts import Part, Unfit

from .manifest import Entry, Said, ask, text
from .patience import Patience

_GROWTH = 1 << 30  # bytes that files may have become longer since they were listed, if they were not longer in all
_HELD = 16  # parts of earlier pulls that go on at once, each with two descriptors
_TRIES = 3  # attempts at a file whose bytes are not those that were hashed


class Left(NamedTuple):
    """Something that was not brought."""

    path: str
    why: str


class Receiving:
    """Brings files into ``place``. ``over``: those that may be written over what is there."""

    def __init__(
        self,
        remote: Remote,
        place: Place,
        patience: Patience,
        over: Collection[str],
        progress: Callable[[int], None],
    ) -> None:
        self._remote, self._place, self._patience = remote, place, patience
        self._over, self._progress = over, progress
        self._wants: deque[Entry] = deque()
        self._parts: dict[bytes, Part] = {}
        self._failures: dict[bytes, int] = {}
        self._come = self._growth = 0
        self.files = self.bytes = 0
        self.left: dict[bytes, Left] = {}
        self.changed: list[str] = []

    def all(self, entries: Sequence[Entry]) -> None:
        """Bring them all, however often the link breaks."""
        self._wants.extend(entries)
        self._growth = max(_GROWTH, sum(entry.size for entry in entries))
        while self._wants:
            said: Said | None = self._patience.go(self._ask, surely=True)
            while said is not None:
                said = self._follow(said)

    def close(self) -> None:
        """What has half arrived stays as it is."""
        for part in self._parts.values():
            part.close()

    def _ask(self) -> Said:
        """Ask for what has not come yet, from where it stopped."""
        for entry in self._wants:
            self._resume(entry)
        parts = [self._parts.get(entry.path) for entry in self._wants]
        return ask(
            self._remote,
            [
                (entry, part.size if part else 0, part.sha256 if part else "")
                for entry, part in zip(self._wants, parts, strict=True)
            ],
        )

    def _resume(self, entry: Entry) -> None:
        try:
            is_known = entry.path in self._parts or len(self._parts) >= _HELD
            if not is_known and self._place.is_begun(entry.path):
                self._parts[entry.path] = self._place.part(entry.path)
                self._come += self._parts[entry.path].size
        except Unfit:
            pass  # told when its turn comes

    def _follow(self, said: Said) -> Said | None:
        """All that was asked for; after a cut, the answer to what is asked anew."""
        before = self._come, len(self._wants)
        try:
            for _ in range(len(self._wants)):
                self._one(self._wants[0], said)
                self._wants.popleft()
            said.end()
        except LinkDown as cut:
            return self._patience.again(self._ask, cut, (self._come, len(self._wants)) != before)
        return None

    def _one(self, entry: Entry, said: Said) -> None:
        """One file. What cannot be here is heard to its end all the same, for others come behind it."""
        record = said.record()
        part = None if "gone" in record else self._part(entry)
        if part is not None:
            part = self._begin(entry, part, record, said)
        while not {"gone", "sha256"} & record.keys():
            record = said.record()
            if "bytes" in record:
                for piece in said.data(said.count(record, "bytes")):
                    part = self._add(entry, part, len(piece), partial(part.write, piece) if part else None)
            elif "hole" in record:
                count = said.count(record, "hole")
                part = self._add(entry, part, count, partial(part.skip, count) if part else None)
        if "gone" in record:
            self._leave(entry, str(record["gone"]))
        elif part is not None:
            self._end(entry, part, record, said)

    def _add(self, entry: Entry, part: Part | None, count: int, work: Callable[[], None] | None) -> Part | None:
        """So many bytes have come; None once they can no longer be here."""
        self._come += count
        self._progress(self._come)
        try:
            if work is not None:
                work()
        except Unfit as unfit:
            self._leave(entry, str(unfit))
            return None
        return part

    def _part(self, entry: Entry) -> Part | None:
        try:
            if entry.path not in self._parts:
                self._parts[entry.path] = self._place.part(entry.path)
            return self._parts[entry.path]
        except Unfit as unfit:
            self._leave(entry, str(unfit))
            return None

    def _begin(self, entry: Entry, part: Part, record: Mapping[str, Any], said: Said) -> Part | None:
        start, part.limit = said.count(record, "from"), said.count(record, "size")
        if start not in (0, part.size) or start > part.limit:
            raise said.nonsense("a file that goes on where it did not stop")
        if start != part.size:
            self._come -= part.size
            part.restart()
        if part.limit - entry.size > self._growth:
            self._leave(entry, f"it has {part.limit} bytes by now, and had {entry.size} when it was listed")
            return None
        return part

    def _end(self, entry: Entry, part: Part, record: Mapping[str, Any], said: Said) -> None:
        mode, size, mtime_ns = said.count(record, "mode"), part.size, said.time(record)
        if part.sha256 != record["sha256"]:
            self._fail(entry, part)
            return
        try:
            part.finish(mode, mtime_ns, text(entry.path) in self._over)
        except Unfit as unfit:
            self._leave(entry, str(unfit))
            return
        del self._parts[entry.path]
        self._growth -= max(0, size - entry.size)
        self.files, self.bytes = self.files + 1, self.bytes + size
        if record.get("changed") is True:
            self.changed.append(text(entry.path))

    def _fail(self, entry: Entry, part: Part) -> None:
        """Its bytes are not those that were hashed: it is asked for anew, whole."""
        failures = self._failures[entry.path] = self._failures.get(entry.path, 0) + 1
        if failures == _TRIES:
            self._leave(entry, "what came is not what was sent, by its hash")
            return
        self._come -= part.size
        self._parts.pop(entry.path).drop()
        self._wants.append(entry)

    def _leave(self, entry: Entry, why: str) -> None:
        """Nothing of it stays here."""
        self.left[entry.path] = Left(text(entry.path), why)
        part = self._parts.pop(entry.path, None)
        if part is not None:
            part.drop()
