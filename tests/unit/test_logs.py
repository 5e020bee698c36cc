from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.errors import OrchError
from orch.ops import patience
from orch.ops.logs import Log, Newlines
from orch_agent import wire

from .fakes import FakeStream, FakeTransport, job, remote

BYTES = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\xff", b"yes\n"]), max_size=30).map(b"".join)


@given(st.lists(BYTES, max_size=6))
def test_newlines_do_not_care_where_chunks_end(chunks: list[bytes]) -> None:
    newlines = Newlines()
    out = b"".join([*(newlines.feed(chunk) for chunk in chunks), newlines.flush()])
    assert out == b"".join(chunks).replace(b"\r\n", b"\n")


@given(BYTES)
def test_a_terminals_newlines_are_undone(written: bytes) -> None:
    """Line discipline: every LF becomes CR LF. What comes back is what was written."""
    newlines = Newlines()
    assert newlines.feed(written.replace(b"\n", b"\r\n")) + newlines.flush() == written


class CutHost(FakeTransport):
    """A host whose link is cut after each of ``cuts`` bytes of log; it answers as the agent does."""

    def __init__(self, log: bytes, cuts: list[int]) -> None:
        super().__init__({"logs": self._logs})
        self.log = log
        self.cuts = list(cuts)
        self.streams: list[FakeStream] = []

    def _logs(self, request: dict[str, Any]) -> FakeStream:
        offset = request.get("offset", 0)
        body = self.log[offset:]
        if "grep" in request:
            found = [line for line in body.splitlines(keepends=True) if re.search(request["grep"].encode(), line)]
            body = b"".join(found[request.get("skip_lines", 0) :])
        header = {"job": job(run=3), "offset": offset, "size": len(self.log)}
        cut = self.cuts.pop(0) if self.cuts else None
        stream = FakeStream(json.dumps(header).encode() + b"\n" + body[:cut], 0 if cut is None else 255, chunk=3)
        self.streams.append(stream)
        return stream


@given(BYTES, st.lists(st.integers(0, 20), max_size=4), st.sampled_from([None, "yes"]))
def test_a_cut_link_loses_and_repeats_nothing(log: bytes, cuts: list[int], grep: str | None) -> None:
    log = log.replace(b"\r", b"")  # splitlines of the fake host knows more line ends than the agent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience.time, "sleep", lambda _: None)
        host = CutHost(log, cuts)
        request = {"job": "train", "follow": True} | ({"grep": grep} if grep else {})
        got = b"".join(Log(remote(host), request).chunks())
    assert got == (b"".join(x for x in log.splitlines(keepends=True) if b"yes" in x) if grep else log)
    assert {asked["job"] for _, asked in host.asked[1:]} <= {"train.3"}


class GappyHost(CutHost):
    """Its log loses more and more of its middle: before each answer the gap ends at the next of ``ends``."""

    def __init__(self, log: bytes, cuts: list[int], start: int, ends: list[int]) -> None:
        super().__init__(log, cuts)
        self.start, self.end, self.ends = start, start, sorted(ends)

    def _logs(self, request: dict[str, Any]) -> FakeStream:
        if self.ends:
            self.end = max(self.end, self.ends.pop(0))
        asked = request.get("offset", 0)
        behind = asked >= self.end or self.end == self.start
        begins_in_it = not behind and (asked >= self.start or request.get("beyond", False))
        offset = self.end if begins_in_it else asked
        stops = not begins_in_it and not behind
        body = self.log[offset : self.start if stops else len(self.log)]
        header = {"job": job(run=3), "offset": offset, "size": len(self.log)}
        if begins_in_it:
            header["note"] = f"<{self.end - max(asked, self.start)}>"
        if self.cuts and (cut := self.cuts.pop(0)) < len(body):
            body, status = body[:cut], 255
        else:
            status = wire.GAP if stops else 0
        return FakeStream(json.dumps(header).encode() + b"\n" + body, status, chunk=3)


LOG = bytes(range(128, 228))


@given(st.lists(st.integers(0, 60), max_size=4), st.integers(1, 40), st.lists(st.integers(40, 90), max_size=4))
def test_what_is_missing_is_told_and_nothing_else_is_lost(cuts: list[int], start: int, ends: list[int]) -> None:
    """Each note stands for as many bytes as it says, wherever the link was cut and however the gap grew meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience.time, "sleep", lambda _: None)
        got = b"".join(Log(remote(GappyHost(LOG, cuts, start, ends)), {"job": "train", "follow": True}).chunks())
    place = 0
    for missing, kept in re.findall(rb"<(\d+)>|([^<>]+)", got):
        assert LOG[place : place + len(kept)] == kept
        place += int(missing or 0) + len(kept)
    assert place == len(LOG)


def test_a_link_that_stays_cut_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", slept.append)
    host = CutHost(b"0123456789" * 10, [10, *[0] * len(patience.PAUSES)])
    log = Log(remote(host), {"job": "train"})
    with pytest.raises(OrchError, match="the connection to box broke"):
        list(log.chunks())
    assert slept == list(patience.PAUSES)


def seen(stream: FakeStream) -> list[int]:
    return [json.loads(line)["seen"] for line in stream.sent.splitlines()]


def test_a_reader_moves_when_everything_is_out() -> None:
    host = CutHost(b"x" * 10, [])
    list(Log(remote(host), {"job": "train", "reader": "me", "offset": 4}).chunks())
    assert seen(host.streams[0]) == [10]


def test_a_reader_that_leaves_early_has_seen_what_it_wrote_out() -> None:
    host = CutHost(b"x" * 10, [])
    chunks = Log(remote(host), {"job": "train", "reader": "me"}).chunks()
    next(chunks), next(chunks)  # the second one was handed out; whether it was shown, nobody knows
    chunks.close()
    assert seen(host.streams[0]) == [3]
    assert host.streams[0].finished


def test_a_filtering_reader_has_looked_at_all_there_was() -> None:
    host = CutHost(b"no\nyes\nno\n", [])
    assert b"".join(Log(remote(host), {"job": "train", "reader": "me", "grep": "yes"}).chunks()) == b"yes\n"
    assert seen(host.streams[0]) == [10]


def test_without_a_reader_nothing_is_said() -> None:
    host = CutHost(b"x", [])
    list(Log(remote(host), {"job": "train"}).chunks())
    assert host.streams[0].sent == b""
