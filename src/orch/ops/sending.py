"""The contents of files on their way to a host.

Invariants
- One stream takes all of them; the host answers when it has all, so nobody waits for the other in the middle.
- What the host has of a file is sent again unless it is, by its hash, how the file begins.
- Nothing is held in memory but a block.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from orch.remote import Remote
from orch_agent import wire
from orch_agent.contents import Have, send
from orch_agent.outputs import text

from .manifest import Entry, Said
from .receiving import Left

_BLOCK = 1 << 18
_WHY = 200


class _Closed(Exception):
    """The host reads no more; what it has to say comes first."""


class Sending(io.RawIOBase):
    """An exchange with a host that waits for files. ``begun``: what it has of them; ``over``: what may be replaced."""

    def __init__(
        self,
        remote: Remote,
        to: str,
        begun: Mapping[bytes, Have],
        over: Collection[str],
        progress: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._host = remote.host.name
        self._begun, self._over, self._progress = begun, over, progress
        _, self._stream = remote.open("push", {"to": to})
        self._said = Said(remote, self._stream)
        self._held: list[bytes] = []
        self._size = 0
        self.sent = 0

    def all(self, entries: Sequence[Entry], present: Collection[bytes]) -> tuple[list[Left], list[str]]:
        """Send them; what is not there now, and what was changed meanwhile. A ``LinkDown`` where the link broke."""
        try:
            self._all(entries, present)
        except _Closed:
            pass
        left: list[Left] = []
        changed: list[str] = []
        while record := {key: value for key, value in self._said.record().items() if key != "v"}:
            if "path" in record:
                left.append(Left(str(record["path"]), str(record.get("why"))[:_WHY]))
            changed += map(str, record.get("changed", ()))
        self._said.end()
        return left, changed

    def _all(self, entries: Sequence[Entry], present: Collection[bytes]) -> None:
        for entry in entries:
            if entry.kind == "directory":
                is_new = entry.path not in present
                self._tell({"directory": text(entry.path), "mode": entry.mode, "new": is_new})
        for entry in entries:
            over = text(entry.path) in self._over
            if entry.kind == "file":
                self._file(entry, over)
            elif entry.kind == "link":
                self._tell({"link": text(entry.path), "target": text(entry.target), "over": over})
        self._tell({})
        self._flush()

    def _file(self, entry: Entry, over: bool) -> None:
        self._tell({"file": text(entry.path), "over": over})
        before, have = self.sent, self._begun.get(entry.path, Have())
        self.sent += have.size
        send(os.path.join(os.fsencode(entry.base), entry.path), have, self)  # type: ignore[arg-type]
        self.sent = before + entry.size  # holes too
        self._progress(self.sent)

    def _tell(self, record: Mapping[str, Any]) -> None:
        self.write(wire.encode(record))

    def write(self, data: Any) -> int:
        """Keep what is small until it fills a block."""
        if len(data) >= _BLOCK:
            self._flush()
            self._send(data)
            return len(data)
        self._held.append(data)
        self._size += len(data)
        if self._size >= _BLOCK:
            self._flush()
        return len(data)

    def _flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held:
            self._send(b"".join(held))

    def _send(self, data: bytes) -> None:
        if not self._stream.send(data):
            raise _Closed
        self.sent += len(data)
        self._progress(self.sent)
