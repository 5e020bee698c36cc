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
