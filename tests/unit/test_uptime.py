"""What is kept of when a codespace was awake, and what is hidden of its secrets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from orch_agent import codespace, procs, secrets, uptime

DAY = 86400.0


@pytest.fixture(autouse=True)
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A codespace that has started a minute ago, in the middle of March."""
    now = time.mktime((2026, 3, 15, 12, 0, 0, 0, 0, 0)) - time.timezone
    monkeypatch.setenv("ORCH_CODESPACE", "here")
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(procs, "boot_id", lambda: "this")
    monkeypatch.setattr(codespace, "started_at", lambda: now - 60)
    (home / ".orch").mkdir()
    return home / ".orch/awake.json"


def span(boot: str, days_ago: float, days: float) -> dict[str, object]:
    start = time.time() - days_ago * DAY
    return {"boot": boot, "start": start, "end": start + days * DAY, "present": start, "timer": 30}


def test_one_start_is_one_span(here: Path) -> None:
    for _ in range(3):
        uptime.note(time.time())
    assert uptime.spans() == [(time.time() - 60, time.time())]


def test_it_reaches_back_to_the_beginning_of_last_month(here: Path) -> None:
    """March 15: what was in January has gone, what began there counts from February 1 on."""
    old, across, lately = span("a", 60, 1), span("b", 43, 2), span("c", 3, 1)
    here.write_text(json.dumps({"spans": [old, across, lately]}))
    uptime.note(time.time())
    starts = [time.strftime("%m-%d", time.gmtime(start)) for start, _ in uptime.spans()]
    assert starts == ["02-01", "03-12", "03-15"]
    assert [one["boot"] for one in json.loads(here.read_text())["spans"]] == ["b", "c", "this"]


@pytest.mark.parametrize("text", ["", "[]", '{"spans": 7}', '{"spans": [7, {}, {"boot": "x", "start": "y"}]}'])
def test_a_ruined_file_is_begun_anew(here: Path, text: str) -> None:
    here.write_text(text)
    assert uptime.spans() == [] and uptime.why_stopped("x", 0.0) == "why is not known"
    uptime.note(time.time())
    assert len(uptime.spans()) == 1


def test_what_is_hidden() -> None:
    given = {"A": "first line\r\nab\nthird line\n", "B": "short", "GITHUB_SERVER_URL": "https://x.y"}
    hidden = secrets.hidden(secrets.private(given).values())
    assert {b"first line", b"third line", b"first line\nab\nthird line", b"first line\r\nab\r\nthird line"} <= set(
        hidden
    )
    assert not [one for one in hidden if len(one) < secrets.LEAST or b"https" in one or one.endswith(b"\n")]
