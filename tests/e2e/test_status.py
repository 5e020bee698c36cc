"""What a person sees of many jobs, on a terminal and elsewhere."""

from __future__ import annotations

import re
import sqlite3
import time

from tests.support.agent import Agent, eventually, is_unsupervised
from tests.support.cli import Orch
from tests.support.terminal import Terminal

_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
HIDDEN_CURSOR, SHOWN_CURSOR = 0, 1


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_columns(orch: Orch, agent: Agent) -> None:
    orch("run", "lives", "sleep 300")
    orch("run", "fails", "exit 1", "--wait")
    agent.running("lives")
    done = orch("status")
    assert (done.status, done.err) == (0, "")
    header, lives, fails = rows(done.out)
    assert header == ["NAME", "STATE", "STARTED", "MEMORY"]
    assert (lives[:2], fails[:2]) == (["lives", "RUNNING"], ["fails", "FAILED"])
    for row in (lives, fails):
        assert re.fullmatch(_TIME, row[2])
        assert re.fullmatch(r"\d+B|\d+\.\d(KB|MB|GB)|-", row[3])
    started = time.mktime(time.strptime(lives[2], "%Y-%m-%d %H:%M:%S"))
    assert abs(started - time.time()) < 120


def test_memory_is_what_it_uses(orch: Orch) -> None:
    orch("run", "big", "python3 -c 'x = bytearray(300 << 20); print(\"full\", flush=True); input()'")
    eventually(lambda: "full" in orch("logs", "big").out, "the memory is taken")
    shown = eventually(lambda: re.search(r"big +RUNNING.* (\d+\.\d)MB", orch("status").out), "its memory is shown")
    assert 300 <= float(shown[1]) < 330


def test_the_run_is_told_where_a_name_repeats(orch: Orch) -> None:
    orch("run", "one", "true", "--wait")
    orch("run", "two", "true", "--wait")
    assert "RUN" not in orch("status").out
    orch("run", "one", "true", "--wait")
    header, *jobs = rows(orch("status").out)
    assert header[:3] == ["NAME", "RUN", "STATE"]
    assert [row[:2] for row in jobs] == [["one", "1"], ["two", "1"], ["one", "2"]]


def test_names_choose(orch: Orch) -> None:
    for name in ("a", "b", "a"):
        orch("run", name, "true", "--wait")
    assert [row[0] for row in rows(orch("status", "b").out)] == ["NAME", "b"]
    assert [job["run"] for job in orch("status", "a", "--json").json["jobs"]] == [1, 2]
    assert [job["run"] for job in orch("status", "a.1", "--json").json["jobs"]] == [1]
    done = orch("status", "a", "nobody")
    assert done.status == 1
    assert "there is no job called nobody on this host" in done.err and "did you mean" not in done.err
    assert "\n  did you mean b?\n  orch status --all" in orch("show", "bb").err


def test_the_last_day_and_all(orch: Orch) -> None:
    orch("run", "old", "true", "--wait")
    orch("run", "new", "true", "--wait")
    ledger = sqlite3.connect(orch.home / ".orch" / "ledger.db")
    with ledger:
        ledger.execute("UPDATE jobs SET submitted_at = submitted_at - 90000 WHERE name = 'old'")
        ledger.execute("UPDATE jobs SET started_at = started_at - 90000 WHERE name = 'old'")
        ledger.execute("UPDATE jobs SET ended_at = ended_at - 90000 WHERE name = 'old'")
    ledger.close()
    assert [row[0] for row in rows(orch("status").out)] == ["NAME", "new"]
    assert [row[0] for row in rows(orch("status", "--all").out)] == ["NAME", "old", "new"]
    assert [row[0] for row in rows(orch("status", "old").out)] == ["NAME", "old"]


def test_nothing_yet(orch: Orch) -> None:
    done = orch("status")
    assert (done.status, done.out) == (0, "")
    assert "orch run" in done.err


def test_two_hosts(orch: Orch, agent: Agent) -> None:
    config = orch.home / ".config" / "orch" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('default_host = "b"\n[hosts.a]\nprovider = "local"\n[hosts.b]\nprovider = "local"\n')
    assert orch("run", "job", "sleep 300").out == "job.1 submitted to b; follow it: orch logs -f job\n"
    agent.running("job")
    header, first, second = rows(orch("status").out)
    assert header == ["NAME", "RUN", "HOST", "STATE", "STARTED", "MEMORY"] or header[1] == "HOST"
    assert [row[header.index("HOST")] for row in (first, second)] == ["a", "b"]
    done = orch("cancel", "job")
    assert done.status == 1
    assert "job lives on a, b" in done.err
    assert "--host a" in done.err
    assert orch("cancel", "job", "--host", "a", "--grace", "0").status == 0


def test_no_colour_without_a_terminal(orch: Orch) -> None:
    orch("run", "fails", "exit 1", "--wait")
    for words in (["status"], ["show", "fails"], ["help"], ["status", "nobody"]):
        done = orch(*words, env={"TERM": "xterm-256color"})
        assert "\x1b" not in done.out + done.err


def test_colour_on_a_terminal(orch: Orch, terminal: Terminal) -> None:
    orch("run", "fails", "exit 1", "--wait")
    terminal.start(orch.argv("status"))
    terminal.shows("[ended 0]")
    assert "\x1b[31mFAILED" in terminal.screen("-e")


def test_no_color(orch: Orch, terminal: Terminal) -> None:
    orch("run", "fails", "exit 1", "--wait")
    terminal.start(orch.argv("status"), {"NO_COLOR": "1"})
    assert "FAILED" in terminal.shows("[ended 0]")
    assert "\x1b[3" not in terminal.screen("-e")


def test_what_jobs_write_cannot_command_the_terminal(orch: Orch) -> None:
    orch("run", "evil", "printf '\\033]0;title\\007\\033[2J'; exit 1", "--wait")
    assert "\x1b" not in orch("show", "evil").out
    orch("run", "evil2", "echo '\x1b[2J'", "--wait")
    assert "\x1b" not in orch("show", "evil2").out


def test_watch_redraws_in_place(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "first", "sleep 300")
    agent.running("first")
    terminal.start(orch.argv("status", "--watch"))
    terminal.shows("first  RUNNING")
    assert terminal.value("cursor_flag") == HIDDEN_CURSOR
    assert terminal.screen().startswith("NAME")
    orch("cancel", "first", "--grace", "0")
    orch("run", "second", "sleep 300")
    terminal.shows("second  RUNNING")
    screen = terminal.shows("first   CANCELLED")
    assert screen.count("NAME") == 1
    terminal.resize(60, 4)
    eventually(lambda: len(terminal.screen().splitlines()) == 4 and "second" in terminal.screen(), "it was redrawn")
    assert terminal.value("history_size") == 0
    terminal.resize(100, 30)
    terminal.shows("second  RUNNING")
    terminal.keys("C-c")
    screen = terminal.shows("[ended 130]")
    assert "Traceback" not in screen
    assert terminal.value("cursor_flag") == SHOWN_CURSOR
    assert agent.show("second")["job"]["state"] == "RUNNING"


def test_watch_restores_the_cursor_when_it_is_terminated(orch: Orch, terminal: Terminal) -> None:
    orch("run", "job", "true", "--wait")
    terminal.start(["timeout", "-s", "TERM", "3", *map(str, orch.argv("status", "--watch"))])
    terminal.shows("job   COMPLETED")
    terminal.shows("[ended 124]")
    assert terminal.value("cursor_flag") == SHOWN_CURSOR


def test_watch_shows_no_more_than_fits(orch: Orch, terminal: Terminal) -> None:
    for number in range(8):
        orch("run", f"job{number}", "--no-tty", "true")
    terminal.start(orch.argv("status", "--watch"), width=30, height=6)
    assert terminal.shows("... 5 ended earlier").splitlines()[0].startswith("NAME")
    assert terminal.value("history_size") == 0


def test_watch_without_a_terminal(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    with orch.popen("status", "--watch") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"NAME")
        assert process.stdout.readline().startswith(b"job ")
        assert process.stdout.readline() == b"\n"


def test_what_a_host_tells_unasked_is_said_once_and_not_among_the_answers(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    eventually(lambda: is_unsupervised(orch.home / ".orch"), "nobody reads while we write")
    (orch.home / ".orch" / "ledger.db").write_bytes(b"garbled" * 1000)
    done = orch("status", "--json")
    assert [job["name"] for job in done.json["jobs"]] == ["job"]
    assert "orch: local: the ledger" in done.err and "was damaged; it is kept as" in done.err
    again = orch("status")
    assert (again.status, again.err) == (0, "")
