"""What a host says of its files: records of the verb ``pull``, and the bytes between them, looked at before use.

Invariants
- Whatever does not read as such a record is an error that names the host; where the link broke, it is a ``LinkLost``.
- Nothing is held in memory but the record, or the piece, that is at hand; what is kept of a record has a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch.answers import is_measure, nonsense
from orch.errors import OrchError
from orch.remote import Remote
from orch.transport import Stream
from orch_agent.model import Refusal
from orch_agent.outputs import text
from orch_agent.records import Records

__all__ = ["KINDS", "MOST", "Entry", "Said", "ask", "text"]
KINDS = ("file", "link", "directory")
"""What can be brought."""
_TEXT = 1 << 13  # characters of a path: twice what a kernel takes
_WHY = 200
MOST = 1_000_000  # what is listed


class Entry(NamedTuple):
    """Something there. ``path`` is below ``base``, and here below the directory that it is brought to.

    ``kind``: ``file`` ``directory`` ``link``, what else it is, or empty where it cannot be had, and ``why`` says why.
    ``size`` in bytes and ``mtime_ns`` since the epoch are those of files.
    """

    base: str
    path: bytes
    kind: str
    mode: int = 0
    size: int = 0
    mtime_ns: int = 0
    target: bytes = b""
    why: str = ""
    absent: bool = False


class Said:
    """What comes behind the first line of an answer."""

    def __init__(self, remote: Remote, stream: Stream) -> None:
        self._remote = remote
        self._stream = stream
        self._records = Records(self._more)

    def record(self) -> Mapping[str, Any]:
        """The next record; an error that the host tells of in its place is raised."""
        try:
            record = self._records.record()
        except OrchError:
            raise
        except Refusal as refusal:
            raise self.nonsense(refusal.message) from None
        if "error" in record:
            raise self._remote.error(record["error"])
        return record

    def data(self, count: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, in pieces."""
        return self._records.data(count)

    def end(self) -> None:
        """Nothing more is asked of it."""
        self._stream.finish()

    def _more(self) -> bytes:
        chunk = self._stream.read()
        if not chunk:
            raise self._remote.lost(self._stream.finish())
        return chunk

    def entries(self) -> Iterator[Entry]:
        """The records of what there is, until the empty one behind the last."""
        bases: list[str] = []
        while True:
            record = self.record()
            if "base" in record:
                if len(bases) == MOST:
                    raise self.nonsense("there are too many directories")
                bases.append(self._text(record, "base"))
            elif "path" in record:
                yield self._entry(record, bases)
            else:
                return

    def _entry(self, record: Mapping[str, Any], bases: list[str]) -> Entry:
        path, kind = self._path(record, "path"), self._text(record, "kind")
        below = self.count(record, "below") if "below" in record else -1
        if below >= len(bases):
            raise self.nonsense("a path below nothing")
        why = "" if kind in KINDS else str(record.get("why") or f"it is a {kind}")[:_WHY]
        return Entry(
            bases[below] if below >= 0 else "",
            path,
            sys.intern(kind),
            self.count(record, "mode") if kind in ("file", "directory") else 0,
            self.count(record, "size") if kind == "file" else 0,
            self.time(record) if kind == "file" else 0,
            self._path(record, "target") if kind == "link" else b"",
            why,
            record.get("absent") is True,
        )

    def count(self, record: Mapping[str, Any], key: str) -> int:
        """A whole number, at least 0, that the record must have."""
        value = record.get(key)
        if not isinstance(value, int) or not is_measure(value):
            raise self.nonsense(f"{key} is no number")
        return value

    def time(self, record: Mapping[str, Any]) -> int:
        """When the file was last changed, in nanoseconds since the epoch; it may have been before that."""
        value = record.get("mtime_ns")
        if not isinstance(value, int) or not is_measure(abs(value)):
            raise self.nonsense("a time that there cannot be")
        return value

    def _text(self, record: Mapping[str, Any], key: str) -> str:
        value = record.get(key)
        if not isinstance(value, str):
            raise self.nonsense(f"{key} is no text")
        if len(value) > _TEXT:
            raise self.nonsense(f"{key} has {len(value)} characters")
        return value

    def _path(self, record: Mapping[str, Any], key: str) -> bytes:
        try:
            return self._text(record, key).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise self.nonsense(f"{key} is no path") from None

    def nonsense(self, why: str) -> Exception:
        """The error of a host that says this."""
        return nonsense(self._remote.host.name, why)


def ask(remote: Remote, files: Sequence[tuple[Entry, int, str]], digest: bool = False) -> Said:
    """Ask for the contents of files, behind what is here of each: its size and hash. ``digest``: for hashes alone."""
    bases = {base: place for place, base in enumerate(dict.fromkeys(entry.base for entry, _, _ in files))}
    asked = [[bases[entry.base], text(entry.path), size, sha256] for entry, size, sha256 in files]
    request: dict[str, Any] = {"bases": list(bases), "files": asked}
    _, stream = remote.open("pull", {**request, "digest": True} if digest else request)
    return Said(remote, stream)
