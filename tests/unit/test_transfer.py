"""How much has come, as a person sees it."""

from __future__ import annotations

import io
import os
import sys

import pytest

from orch.cli import progress
from orch.cli.progress import Transfer


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Screen(io.StringIO):
    """A terminal of 80 columns; ``shows`` is what was written since it was last asked."""

    def isatty(self) -> bool:
        return True

    def shows(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def in_front_of(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A screen; a fixture would not do, for pytest puts its own standard error back when the test begins."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    return screen


def test_bytes_speed_and_time_left(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = in_front_of(monkeypatch)
    with Transfer(3 << 30) as transfer:
        for second in range(61):
            screen.shows()
            clock.now = 1000.0 + second
            transfer.tell(second * (10 << 20))
        assert screen.shows() == "\r\x1b[K 19%  600.0MB of 3.0GB  10.0MB/s  4m left"
        clock.now += 0.1
        transfer.tell(3 << 30)
        assert screen.shows() == "", "too soon to be drawn anew"
        clock.now += 20
        transfer.tell((3 << 30) - 1)
        assert screen.shows() == "\r\x1b[K 99%  3.0GB of 3.0GB", "after a cut the speed is that of now"
    assert screen.shows() == "\r\x1b[K"


def test_a_file_that_has_grown_is_no_more_than_all(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = in_front_of(monkeypatch)
    with Transfer(0) as transfer:
        transfer.tell(5)
    assert " 0%  5B of 0B" in screen.shows()


def test_without_a_terminal_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Transfer(100) as transfer:
        transfer.tell(50)
    assert capsys.readouterr() == ("", "")
