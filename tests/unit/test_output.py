from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.cli import output
from orch.cli.watch import cut, frame


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KB"),
        (int(5.8 * 2**30), "5.8GB"),
        (2**30, "1.0GB"),
        (2**30 - 1, "1.0GB"),
        (2**20 - 1, "1.0MB"),
        (3 * 2**40, "3072.0GB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (120, "2m"), (3 * 3600, "3h"), (5 * 86400, "5d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert output.age(seconds) == text


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert output.local_time("2026-02-16T05:30:00.250Z") == "2026-02-16 14:30:00"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert output.local_time(None) == "-"
    assert output.local_time("\x1b[2J") == "\\x1b[2J"


@given(st.text() | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)))
def test_nothing_printed_commands_a_terminal(text: str) -> None:
    clean = output.clean(text)
    assert clean.isprintable()
    clean.encode()
    assert not text.isprintable() or clean == text


def test_tables_are_aligned_and_plain_without_a_terminal() -> None:
    lines = output.table([["NAME", "STATE"], ["a", "RUNNING"], ["long-name", "x\x1b"]], [[], ["", "32"], []])
    assert lines == ["NAME       STATE", "a          RUNNING", "long-name  x\\x1b"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    assert output.colour("x", "31") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.colour("x", "31") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert output.colour("x", "31") == "x"


def test_a_frame_fits_its_window() -> None:
    shown = frame([f"row {n} " + "x" * 50 for n in range(10)], width=20, height=5)
    rows = shown.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\n")
    assert len(rows) == 5 and rows[-1] == ""
    assert rows[3] == "... 7 ended earlier\x1b[K"
    assert all(len(row.removesuffix("\x1b[K")) <= 20 for row in rows)


def test_cutting_leaves_no_colour_on() -> None:
    assert cut("\x1b[32mRUNNING\x1b[0m  rest", 3) == "\x1b[32mRUN\x1b[0m"
    assert cut("short", 80) == "short"


def shown(*size: int, rows: int, live: int = 0, below: int = 0) -> list[str]:
    table = ["NAME", *(f"job{n}" for n in range(rows))]
    text = frame(table, 80, *size, live, [f"note{n}" for n in range(below)])
    return text.removeprefix("\x1b[H").removesuffix("\x1b[J").replace("\x1b[K", "").splitlines()


def test_a_frame_gives_its_room_to_what_lives() -> None:
    assert shown(7, rows=30, live=2, below=1) == ["NAME", "job0", "job1", "job2", "... 27 ended earlier", "note0"]
    assert shown(5, rows=30, live=2, below=9) == ["NAME", "job0", "job1", "... 28 ended earlier"]
    assert shown(5, rows=30, live=9) == ["NAME", "job0", "job1", "... 28 more, 7 of them live"]
    assert shown(5, rows=3, live=3) == ["NAME", "job0", "job1", "job2"]
    assert shown(9, rows=3, live=1, below=2) == ["NAME", "job0", "job1", "job2", "note0", "note1"]
    assert frame([], 80, 2, 0, ["nothing yet"]).count("nothing yet") == 1


@pytest.mark.parametrize("name", ["caf\u00e9", "\U0001f600", "\u65e5\u672c"])
def test_letters_of_any_language_are_shown_as_they_are(name: str) -> None:
    assert output.clean(name) == name
