"""The bytes that a job wrote.

Invariants
- Bytes are counted as they come from the host. When the link is cut, the next request goes on at that count, so
  neither a byte is lost nor one repeated. Followers go on for as long as it takes.
- What is missing in a log that outgrew its limit is not counted: the host says where it goes on behind that.
- A reader's cursor moves only after the bytes are out: what nobody saw is shown again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orch.model import label
from orch.remote import Answer, Remote
from orch.transport import Completed, Stream
from orch_agent import wire
from orch_agent.model import JobView

from .hosts import heard
from .patience import PAUSES, Patience, Tell, unheard


class Received(NamedTuple):
    """How far the bytes of one log have come; in lines too where somebody wants to know."""

    total: int = 0
    lines: int = 0
    partial: int = 0  # bytes behind the last newline

    def plus(self, chunk: bytes, lines: bool) -> Received:
        """With ``chunk`` behind it."""
        if not lines:
            return self._replace(total=self.total + len(chunk))
        newline = chunk.rfind(b"\n")
        partial = self.partial + len(chunk) if newline < 0 else len(chunk) - newline - 1
        return Received(self.total + len(chunk), self.lines + chunk.count(b"\n"), partial)


class Log:
    """One log, read once from front to end.

    Whoever takes the chunks writes each one out before asking for the next: that it asks is what says so.
    ``surely``: the job is known to be there, so that not even the first contact is given up.
    """

    def __init__(self, remote: Remote, request: Mapping[str, Any], tell: Tell = unheard, surely: bool = False) -> None:
        self._remote = remote
        self._request = dict(request)
        self._patience = Patience(remote.host.name, tell, None if request.get("follow") else len(PAUSES))
        self._received = Received()
        self._shown = 0  # of the bytes received
        self._skip = 0
        self._note = b""
        header, self._stream = self._patience.go(lambda: remote.open("logs", request), surely)
        self.job: JobView = header["job"]
        heard(remote, [self.job])
        self.tty = bool(header.get("tty", True))
        self._offset: int = header["offset"]
        self._size: int = header["size"]
        self._note = header.get("note", "").encode()

    def chunks(self) -> Iterator[bytes]:
        """The bytes as the log has them, until its end (when following: the job's)."""
        while True:
            before = self._received
            try:
                if self._note:
                    yield self._note
                    self._note = b""
                yield from self._pump()
            finally:
                done = self._leave()
            if done.status == 0:
                return
            if done.status == wire.GAP:
                self._stream = self._patience.go(lambda: self._resume(beyond=True), surely=True)
                continue
            progress = self._received != before
            self._stream = self._patience.again(self._resume, self._remote.lost(done), progress)

    def _pump(self) -> Iterator[bytes]:
        while chunk := self._stream.read():
            fresh, self._skip = chunk[self._skip :], max(0, self._skip - len(chunk))
            if fresh:
                self._received = self._received.plus(fresh, "grep" in self._request)
                yield fresh
                self._shown = self._received.total

    def _leave(self) -> Completed:
        """Tell the host how far the reader has come, and close our end; the host then closes its own."""
        if "reader" in self._request:
            self._stream.send(wire.encode({"seen": self._position(self._shown)}))
        return self._stream.finish()

    def _position(self, count: int) -> int:
        # A filter leaves bytes out, so then only the log's size at the start is known to have been looked at.
        return self._size if "grep" in self._request else self._offset + count

    def _resume(self, beyond: bool = False) -> Stream:
        """Ask for what has not come yet, of the very run that the log began with; ``beyond`` what is missing there."""
        kept: dict[str, Any] = {key: self._request[key] for key in ("follow", "grep", "reader") if key in self._request}
        if not self._request.get("follow"):
            kept["until"] = self._size
        if beyond:
            kept["beyond"] = True
        if "grep" in kept:
            place = {"offset": self._offset, "skip_lines": 0 if beyond else self._received.lines}
        else:
            place = {"offset": self._offset + self._received.total}
        header, stream = self._remote.open("logs", {"job": label(self.job), **kept, **place})
        self._go_on(header, beyond)
        return stream

    def _go_on(self, header: Answer, beyond: bool) -> None:
        """Count on from where the host goes on, which is further on where something is missing."""
        self._note = header.get("note", "").encode()
        if "grep" not in self._request:
            self._offset = header["offset"] - self._received.total
        elif self._note or beyond:
            self._offset, self._skip = header["offset"], 0
            self._received = self._received._replace(lines=0, partial=0)
        else:
            self._skip = self._received.partial


class Newlines:
    """Undo what a terminal does to newlines, so that a job's bytes come out as it wrote them: CR LF was LF."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """``chunk`` as the job wrote it; a carriage return at its end waits for what follows."""
        text = self._held + chunk
        self._held = b"\r" if text.endswith(b"\r") else b""
        # As replace would, which looks for each place twice.
        return b"\n".join(text.removesuffix(self._held).split(b"\r\n"))

    def flush(self) -> bytes:
        """What was still waiting."""
        held, self._held = self._held, b""
        return held
