"""``ended.log``: what has ended is told there, all of it, where somebody wants to know."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orch_agent import endlog, layout
from orch_agent.ledger import Ledger, Start, open_ledger
from orch_agent.model import COMPLETED, FAILED, Ended, JobSpec, Result
from tests.support.agent import Agent, eventually, is_unsupervised


@pytest.fixture
def log(agent: Agent) -> Path:
    """A log that somebody wants."""
    path = agent.root / "ended.log"
    path.touch(mode=0o600)
    return path


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def at_rest(agent: Agent) -> None:
    eventually(lambda: is_unsupervised(agent.root), "nothing goes on")


def test_every_end_is_told_once(agent: Agent, log: Path) -> None:
    agent.submit("good", "true")
    agent.submit("bad", "exit 7")
    agent.submit("late", "exec sleep 100", timeout=0.3)
    agent.submit("again", "[ $ORCH_JOB_ATTEMPT = 2 ]", retries=2, retry_delay=0)
    agent.submit("tasks", "true", array="1-3")
    agent.submit("stopped", "exec sleep 100")
    agent.submit("never", "true", after=["stopped"])
    agent.running("stopped")
    agent.call("cancel", jobs=["stopped"])
    at_rest(agent)
    jobs = {f"{job['name']}.{job['run']}": job for job in agent.call("status")["jobs"]}
    told = {line["label"]: line for line in lines(log)}
    assert Counter(line["label"] for line in lines(log)) == Counter(jobs.keys())
    for label, job in jobs.items():
        keys = ("id", "name", "run", "state", "exit_code", "signal", "reason", "started_at", "ended_at", "attempt")
        assert told[label] == {"label": label, **{key: job[key] for key in keys}}
    assert {label: one["state"] for label, one in told.items()} == {
        "good.1": "COMPLETED",
        "bad.1": "FAILED",
        "late.1": "TIMEOUT",
        "again.1": "COMPLETED",
        **{f"tasks.{run}": "COMPLETED" for run in (1, 2, 3)},
        "stopped.1": "CANCELLED",
        "never.1": "CANCELLED",
    }
    assert (told["again.1"]["attempt"], told["bad.1"]["exit_code"], told["never.1"]["started_at"]) == (2, 7, None)


def test_what_lost_its_runner_is_told_too(agent: Agent, log: Path) -> None:
    job = agent.submit("lost", "exec sleep 100")
    agent.running("lost")
    started = json.loads((agent.root / "live" / f"{job['id']}.lock").read_text())["pid"]
    for pid in (agent.supervisor(), agent.runner(job["id"]), started):
        os.kill(pid, signal.SIGKILL)
    agent.wait("lost")
    eventually(lambda: lines(log), "it is told")
    at_rest(agent)
    assert [(line["label"], line["state"]) for line in lines(log)] == [("lost.1", "NODE_FAIL")]


def untold(agent: Agent) -> int:
    with sqlite3.connect(agent.root / "ledger.db") as db:
        (number,) = db.execute("SELECT count(*) FROM untold").fetchone()
    db.close()
    return int(number)


def test_where_nobody_wants_it_nothing_is_written(agent: Agent) -> None:
    agent.finished("one", "true")
    at_rest(agent)
    assert not (agent.root / "ended.log").exists() and untold(agent) == 0


def test_a_log_that_cannot_be_written_keeps_nobody_and_is_made_up_for(agent: Agent) -> None:
    log = agent.root / "ended.log"
    log.symlink_to("/dev/full")
    agent.finished("one", "true")
    agent.finished("two", "true")
    at_rest(agent)
    assert untold(agent) == 2
    log.unlink()
    log.touch()
    agent.finished("three", "true")
    at_rest(agent)
    assert sorted(line["label"] for line in lines(log)) == ["one.1", "three.1", "two.1"]
    assert untold(agent) == 0


def test_what_was_left_untold_is_told_after_a_boot(agent: Agent) -> None:
    log = agent.root / "ended.log"
    log.symlink_to("/dev/full")
    agent.finished("one", "true")
    at_rest(agent)
    log.unlink()
    log.touch()
    subprocess.run(agent.argv("wake"), check=True, env={**os.environ, "HOME": str(agent.home)})
    eventually(lambda: lines(log), "it is told")
    at_rest(agent)
    assert untold(agent) == 0


def test_a_full_log_begins_anew(agent: Agent, log: Path) -> None:
    os.truncate(log, (10 << 20) + 1)
    agent.finished("one", "true")
    at_rest(agent)
    assert [line["label"] for line in lines(log)] == ["one.1"]
    assert log.stat().st_mode & 0o777 == 0o600
    assert (agent.root / "ended.log.1").stat().st_size == (10 << 20) + 1
    agent.finished("two", "true")
    at_rest(agent)
    assert len(lines(log)) == 2


# What comes between two of its steps


@pytest.fixture
def ledger(home: Path) -> Ledger:
    (home / ".orch").mkdir(mode=0o700)
    return open_ledger()


def settle(ledger: Ledger, name: str, result: Result, retries: int = 0) -> None:
    """A job that has begun and ended."""
    with ledger.transaction():
        record = ledger.insert(name, 1, JobSpec(name, "true", retries=retries), 1.0)
        ledger.claim(record.id, Start(2.0, 1, "b", "c", None))
    begun = ledger.get(record.id)
    assert begun and ledger.settle(begun, Ended(3.0, result))


def test_the_ledger_knows_what_is_untold(ledger: Ledger) -> None:
    log = Path(layout.ended_log())
    with ledger:
        settle(ledger, "before", Result(COMPLETED, 0))
        log.touch()
        assert not endlog.is_behind(ledger)
        settle(ledger, "tried-again", Result(FAILED, 1), retries=1)
        assert not endlog.is_behind(ledger)
        settle(ledger, "after", Result(COMPLETED, 0, reason='"odd\n\udcff'))
        assert endlog.is_behind(ledger)
        endlog.tell(ledger)
        endlog.tell(ledger)
        assert not endlog.is_behind(ledger)
    assert [(line["label"], line["reason"]) for line in lines(log)] == [("after.1", '"odd\n\udcff')]


def test_who_is_killed_in_between_is_made_up_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the end and before the line, and after the line and before that is known."""
    log = Path(layout.ended_log())
    log.touch()
    with ledger:
        settle(ledger, "one", Result(COMPLETED, 0))
    with open_ledger() as later:
        assert endlog.is_behind(later)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Ledger, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            endlog.tell(later)
        assert len(lines(log)) == 1 and endlog.is_behind(later)
        endlog.tell(later)
    assert [line["label"] for line in lines(log)] == ["one.1", "one.1"]


def test_many_are_told_in_one_piece_and_half_a_piece_is_taken_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path(layout.ended_log())
    log.write_text("{}\n")
    written: list[int] = []
    write = os.write

    def counted(fd: int, data: bytes) -> int:
        written.append(len(data))
        return write(fd, data)

    def short(fd: int, data: bytes) -> int:
        return write(fd, data[:-10])

    with ledger:
        for number in range(20):
            settle(ledger, f"job{number}", Result(COMPLETED, 0))
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(OSError, match="no room"):
            endlog.tell(ledger)
        assert log.read_text() == "{}\n"
        monkeypatch.setattr(os, "write", counted)
        endlog.tell(ledger)
    assert len(written) == 1 and len(lines(log)) == 21


def test_it_exists_at_every_moment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".orch").mkdir(mode=0o700)
    log = Path(layout.ended_log())
    log.write_text("x" * 10)
    (home / ".orch/ended.log.1").write_text("older")
    seen: list[bool] = []
    for name in ("unlink", "link", "rename"):
        real = getattr(os, name)

        def watched(*words: Any, real: Any = real, **more: Any) -> None:
            real(*words, **more)
            seen.append(log.exists())

        monkeypatch.setattr(os, name, watched)
    monkeypatch.setattr(endlog, "_LARGEST", 5)
    endlog._append("line\n")
    assert seen == [True] * 3
    assert (log.read_text(), (home / ".orch/ended.log.1").read_text()) == ("line\n", "x" * 10)
