from __future__ import annotations

from pathlib import Path

import pytest

from orch_agent.terminfo import COMMON, knows


def test_common_ones(home: Path) -> None:
    assert all(map(knows, (COMMON, "xterm", "screen", "vt100", "dumb")))


@pytest.mark.parametrize(
    "name", ["", "no-such-terminal", "../x/xterm", "/etc/passwd", "x", "-V", "xterm\n", ".", "a b"]
)
def test_what_is_none(home: Path, name: str) -> None:
    assert not knows(name)


@pytest.mark.parametrize("first", ["o", "6f"])
@pytest.mark.parametrize("variable", ["TERMINFO", "TERMINFO_DIRS", None])
def test_places_of_the_persons_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, first: str, variable: str | None
) -> None:
    monkeypatch.setenv("PATH", "")
    place = home / ("mine" if variable else ".terminfo")
    (place / first).mkdir(parents=True)
    (place / first / "orch-own").touch()
    assert knows("orch-own") is (variable is None)
    if variable:
        monkeypatch.setenv(variable, str(place) if variable == "TERMINFO" else f":{place}")
        assert knows("orch-own")


def test_ncurses_own_word_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = home / "infocmp"
    tool.write_text('#!/bin/sh\n[ "$1" = orch-other ]\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:/bin:/usr/bin")
    assert knows("orch-other") and not knows("orch-own")
