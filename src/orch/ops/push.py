"""Files and directories from here, put on a host.

Invariants
- First it is looked at what is there; then only what is not there, or differs, is sent. What differs is written over
  only by somebody's word.
- One file that cannot be read here, or cannot be there, holds up no other; it is told.
- Two exchanges, however many files; after a cut it is looked again, and gone on from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from orch.errors import OrchError
from orch.remote import Remote
from orch.transport import LinkDown
from orch_agent import outputs
from orch_agent.contents import Have, digest

from .manifest import KINDS, MOST, Entry, Said, text
from .patience import Patience, Tell, unheard
from .receiving import Left
from .sending import Sending

_TOLD = 5


class Push:
    """``paths`` are to be put into the directory ``to`` of a host; below the home there, unless it is absolute.

    A path keeps its last name; of one that ends with a slash it is what the directory holds.
    ``same`` counts what is there already, ``left`` is what cannot be put there, ``differing`` what is there and
    another.
    """

    def __init__(self, remote: Remote, paths: Sequence[str], to: str, tell: Tell = unheard) -> None:
        self._remote, self._to = remote, to
        self._patience = Patience(remote.host.name, tell)
        self.place = ""
        self.same = 0
        self.left: list[Left] = []
        self.changed: list[str] = []
        self.differing: list[str] = []
        self._newer = 0
        self._wants = self._found(paths)
        self._begun: dict[bytes, Have] = {}
        self._present: set[bytes] = set()
        self._is_again = False
        self._patience.go(self._look)
        self._over = frozenset(self.differing)
        self._is_again = True

    @property
    def count(self) -> int:
        """How many files and links are to be sent."""
        return sum(entry.kind != "directory" for entry in self._wants)

    @property
    def total(self) -> int:
        """How many bytes that is."""
        return sum(entry.size for entry in self._wants)

    # What there is here

    def _found(self, paths: Sequence[str]) -> list[Entry]:
        """What is of a kind that can be there, each path once; the rest is left out."""
        known: dict[bytes, Entry] = {}
        for entry in (entry for root in map(_root, paths) for entry in _entries(root)):
            if len(known) > MOST:
                raise OrchError("refused", f"these are more than {MOST:,} files and directories", "push an archive")
            first = known.setdefault(entry.path, entry)
            if entry.kind not in KINDS:
                self._leave(entry.path, entry.why)
            elif first is not entry and (first.base != entry.base and {first.kind, entry.kind} != {"directory"}):
                self._leave(entry.path, f"another one of that name, in {first.base}, comes to the same place")
        return [entry for entry in known.values() if entry.kind in KINDS]

    def _leave(self, path: bytes, why: str) -> None:
        self.left.append(Left(text(path) or ".", why))

    # What there is there

    def _look(self) -> None:
        """Sort out what need not be sent."""
        asked = [[text(one.path), one.kind, one.size, text(one.target)] for one in self._wants]
        header, stream = self._remote.open("push", {"to": self._to, "entries": asked})
        self.place = str(header["to"])
        said = Said(self._remote, stream)
        there: dict[int, Mapping[str, Any]] = {}
        while "at" in (record := said.record()):
            number = said.count(record, "at")
            if number >= len(self._wants):
                raise said.nonsense("it tells of what it was not asked")
            there[number] = record
        said.end()
        self._begun = {}
        wants, self._wants = self._wants, []
        for number, entry in enumerate(wants):
            if self._is_wanted(entry, there.get(number), said):
                self._wants.append(entry)

    def _is_wanted(self, entry: Entry, there: Mapping[str, Any] | None, said: Said) -> bool:
        if there is None:
            return True
        if "unfit" in there:
            self._leave(entry.path, str(there["unfit"])[:200])
            return False
        if "part" in there:
            self._begun[entry.path] = Have(said.count(there, "part"), str(there.get("of")))
        if entry.kind == "directory":
            if not self._is_again:
                self._present.add(entry.path)
            return entry.path not in self._present
        if "mtime_ns" not in there and "part" in there:
            return True
        if there.get("same") is True or ("sha256" in there and _digest(entry) == there["sha256"]):
            self.same += not self._is_again
            return False
        if not self._is_again:
            self.differing.append(text(entry.path))
            self._newer += said.time(there) > entry.mtime_ns > 0
        return True

    # Sending it

    @property
    def warning(self) -> str:
        """What would be written over, in words."""
        told, more = self.differing[:_TOLD], len(self.differing) - _TOLD
        newer = f", {self._newer} of them changed later than here" if self._newer else ""
        where = f"on {self._remote.host.name} and not the same{newer}: "
        return where + ", ".join(told) + (f" and {more} more" if more > 0 else "")

    def send(self, overwrite: bool = False, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
        """Send it, what differs only with ``overwrite``; how many files and links that were, and how many bytes."""
        if self.differing and not overwrite:
            raise OrchError("refused", self.warning, "--yes writes over it; another DIR leaves it alone")
        all_of_it, before = self._wants, len(self.left)
        if all_of_it:
            sending: Sending | None = self._patience.go(partial(self._begin, progress), surely=True)
            while sending is not None:
                sending = self._follow(sending, progress)
        gone = {one.path for one in self.left[before:]}
        sent = [one for one in all_of_it if one.kind != "directory" and text(one.path) not in gone]
        return len(sent), sum(one.size for one in sent)

    def _begin(self, progress: Callable[[int], None]) -> Sending:
        total = self.total
        return Sending(self._remote, self._to, self._begun, self._over, partial(self._tell, progress, total))

    def _tell(self, progress: Callable[[int], None], total: int, sent: int) -> None:
        progress(self._done + sent)

    _done = 0

    def _follow(self, sending: Sending, progress: Callable[[int], None]) -> Sending | None:
        """All that is wanted; after a cut, what is to go on with the rest."""
        try:
            left, changed = sending.all(self._wants, self._present)
        except LinkDown as cut:
            return self._patience.again(partial(self._again, progress), cut, sending.sent > 0)
        self.left += left
        self.changed += changed
        return None

    def _again(self, progress: Callable[[int], None]) -> Sending:
        before = self.total
        self._look()
        self._done += before - self.total
        return self._begin(progress)


def _digest(entry: Entry) -> str:
    """The hash of a file that is here."""
    return str(digest(os.path.join(os.fsencode(entry.base), entry.path)).get("sha256"))


def _root(path: str) -> outputs.Root:
    """What is meant by a path; an ``OrchError`` where there is no such thing."""
    place = os.fsencode(os.path.expanduser(path))
    base, name = os.path.split(place)
    if not os.path.lexists(place):
        raise OrchError("not_found", f"there is no {path} here", "ls")
    if name not in (b"", b".", b".."):
        return outputs.Root(outputs.absolute(base), name)
    if not os.path.isdir(place):
        raise OrchError("not_found", f"{path} is no directory", f"orch push {path.rstrip('/')} ...")
    return outputs.Root(outputs.absolute(place), b"")


def _entries(root: outputs.Root) -> list[Entry]:
    return [_entry(os.fsdecode(root.base), found) for found in outputs.entries(root)]


def _entry(base: str, found: Mapping[str, Any]) -> Entry:
    kind = found["kind"]
    return Entry(
        base,
        outputs.raw(found["path"]),
        kind,
        found.get("mode", 0),
        found.get("size", 0),
        found.get("mtime_ns", 0),
        outputs.raw(found.get("target", "")),
        "" if kind in KINDS else found.get("why") or f"it is a {kind}",
    )
