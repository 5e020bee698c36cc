"""Ledgers that other versions wrote, and older agents that go on using ours."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orch_agent.migrations import GENERATION, MIGRATIONS
from orch_agent.model import END_STATES
from tests.support.agent import Agent, Refused, eventually

FIXTURES = Path(__file__).parents[1] / "fixtures"


@contextmanager
def opened(agent: Agent) -> Iterator[sqlite3.Connection]:
    """The ledger's file, written to when the block ends."""
    db = sqlite3.connect(agent.root / "ledger.db", timeout=20)
    try:
        with db:
            yield db
    finally:
        db.close()


def restore(agent: Agent, version: int) -> None:
    text = (FIXTURES / f"ledger-v{version}.sql").read_text()
    with opened(agent) as db:
        db.executescript(text.replace("@BOOT@", Path("/proc/sys/kernel/random/boot_id").read_text().strip()))


def is_sound(agent: Agent) -> bool:
    with opened(agent) as db:
        return db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def listed(agent: Agent) -> dict[str, dict[str, object]]:
    return {f"{job['name']}.{job['run']}": job for job in agent.call("status", all=True)["jobs"]}


def test_a_ledger_of_version_1_loads(agent: Agent) -> None:
    restore(agent, 1)
    jobs = agent.call("status", all=True)["jobs"]
    ended = {job["name"]: job for job in jobs if job["name"].startswith("was-")}
    assert {job["state"] for job in ended.values()} == END_STATES
    for job in jobs:
        assert agent.show(f"{job['name']}.{job['run']}")["spec"]["command"] == job["command"]
    assert (ended["was-failed"]["exit_code"], ended["was-killed"]["signal"]) == (3, 9)
    assert ended["was-completed"]["mem_peak_bytes"] == 123456789
    assert ended["was-completed"]["cpu_seconds"] == 12.5
    assert ended["was-completed"]["started_at"] == "2026-02-16T05:30:00.250Z"
    # What ran then is gone, and nobody knows how it ended; what was pending is started now.
    assert agent.show("ran-here")["job"]["state"] == "NODE_FAIL"
    assert "restarted" in agent.show("ran-elsewhere")["job"]["reason"]
    assert agent.show("told-to-end")["job"]["state"] == "NODE_FAIL"
    assert agent.wait("to-start")["state"] == "COMPLETED"
    assert agent.finished("was-failed", "true")["run"] == 3
    spec = {"name": "was-completed", "command": "true"}
    assert agent.call("submit", id="v1-completed", spec=spec)["created"] is False
    assert is_sound(agent)


def test_a_ledger_of_version_2_loads(agent: Agent) -> None:
    """The queue as well: each goes on as what it was."""
    restore(agent, 2)
    before = listed(agent)
    ended = {ref: job for ref, job in before.items() if ref.startswith("was-")}
    assert {job["state"] for job in ended.values()} == END_STATES
    assert ended["was-completed.1"]["mem_peak_bytes"] == 123456789
    assert "had to complete first" in str(ended["was-needy.1"]["reason"])
    going_on = ["admitted", "to-start", "backing-off", "waits", "many", "of-an-old-agent", "ran-elsewhere"]
    agent.wait(*going_on, "ran-here")
    after = listed(agent)
    assert {ref: after[ref] for ref in ended} == ended
    assert after["ran-here.1"]["state"] == "NODE_FAIL"
    for ref, said in {
        "admitted.1": b"at last\r\n",
        "to-start.1": b"at last\r\n",
        "backing-off.1": b"2\r\n",
        "waits.1": b"at last\r\n",
        "many.1": b"1\r\n",
        "many.3": b"3\r\n",
        "of-an-old-agent.1": b"at last\r\n",
        "ran-elsewhere.1": b"2\r\n",
    }.items():
        assert (after[ref]["state"], agent.log(ref)) == ("COMPLETED", said), ref
    assert agent.finished("was-pruned", "true")["run"] == 8
    assert is_sound(agent)


def test_the_fixture_is_what_version_2_makes(tmp_path: Path) -> None:
    """Once it is released, neither changes any more."""
    made, kept = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    for statement in (statement for migration in MIGRATIONS[:2] for statement in migration):
        made.execute(statement)
    kept.executescript((FIXTURES / "ledger-v2.sql").read_text())
    schemas = [db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() for db in (made, kept)]
    for db in (made, kept):
        db.close()
    assert [(name, (sql or "").split()) for name, sql in schemas[0]] == [
        (name, (sql or "").split()) for name, sql in schemas[1]
    ]


def test_a_ledger_of_a_later_version_is_read(agent: Agent) -> None:
    """Migrations only add: columns, tables, states, keys we do not know change nothing for us."""
    agent.finished("x", "exit 3")
    with opened(agent) as db:
        db.execute("ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 5")
        db.execute("CREATE TABLE arrays (id TEXT)")
        db.execute("PRAGMA user_version = 99")
        db.execute("UPDATE jobs SET spec = json_set(spec, '$.gpus', 4), result = json_set(result, '$.watts', 7)")
    assert agent.show("x")["job"]["exit_code"] == 3
    assert agent.finished("x", "true")["run"] == 2


def test_a_ledger_from_the_future_is_refused_and_left_alone(agent: Agent) -> None:
    """One of the next generation: its jobs go on, and are seen by whoever can read it."""
    job = agent.submit("x", "until [ -e go ]; do sleep 0.02; done; exit 4")
    agent.running("x")
    with opened(agent) as db:
        db.execute(f"PRAGMA user_version = {GENERATION}")
    for verb, request in {
        "status": {},
        "submit": {"id": "new", "spec": {"name": "new", "command": "true"}},
        "cancel": {"jobs": ["x"], "grace": 0},
    }.items():
        with pytest.raises(Refused, match="newer orch") as refused:
            agent.call(verb, **request)
        assert "update orch" in refused.value.hint
    (agent.home / "go").touch()
    eventually((agent.root / "jobs" / job["id"] / "result.json").exists, "it has ended, and its result is kept")
    assert not list(agent.root.glob("ledger.db.broken*"))
    with opened(agent) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    assert agent.wait("x")["exit_code"] == 4
    assert "new" not in {job["name"] for job in agent.call("status")["jobs"]}


# An agent of version 0.2, as far as it touches the ledger: these are its statements.

_CLAIM = (
    "UPDATE jobs SET attempt = attempt + 1, started_at = ?, pid = ?, birth = ?, boot_id = ?, cgroup = ? "
    "WHERE id = ? AND started_at IS NULL AND ended_at IS NULL"
)
_SETTLE = "UPDATE jobs SET ended_at = ?, result = ? WHERE id = ? AND ended_at IS NULL"
_INSERT = "INSERT INTO jobs (id, name, run, spec, submitted_at) VALUES (?, ?, ?, ?, ?)"


def test_an_old_agent_starts_nothing_that_waits_for_its_turn(agent: Agent) -> None:
    """It takes what is pending for what nobody has started yet."""
    agent.submit("gate", "until [ -e go ]; do sleep 0.02; done")
    agent.submit("waits", "echo once >> ran", "waiting", after=["gate"])
    with opened(agent) as db:
        assert db.execute(_CLAIM, [time.time(), 1, "1", "boot", None, "waiting"]).rowcount == 0
    (agent.home / "go").touch()
    assert agent.wait("waits")["state"] == "COMPLETED"
    assert (agent.home / "ran").read_text() == "once\n"


def test_a_job_of_an_old_agent_is_seen_and_counted_and_ends_as_it_ends(agent: Agent) -> None:
    """Its own runner keeps it; ours is the ledger, the lock, and the processors."""
    agent.finished("first", "true")
    cpus = agent.call("status")["host"]["cpus"]
    directory, lock = agent.root / "jobs" / "old", agent.root / "live" / "old.lock"
    directory.mkdir()
    with subprocess.Popen(["sleep", "300"]) as process, lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        birth = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        with opened(agent) as db:
            db.execute(_INSERT, ["old", "old", 1, '{"command":"sleep 300","name":"old"}', time.time()])
            assert db.execute(_CLAIM, [time.time(), process.pid, birth, boot_id, None, "old"]).rowcount == 1
        assert agent.show("old")["job"]["state"] == "RUNNING"
        assert agent.finished("beside", "true", cpus=cpus)["state"] == "COMPLETED"
        process.kill()
        process.wait()
        end = {"ended_at": time.time(), "state": "FAILED", "exit_code": 7, "signal": None, "reason": None}
        (directory / "result.json").write_text(json.dumps(end))
        with opened(agent) as db:
            assert db.execute(_SETTLE, [end["ended_at"], json.dumps(end), "old"]).rowcount == 1
        lock.unlink()
    job = agent.wait("old")
    assert (job["state"], job["exit_code"]) == ("FAILED", 7)


def test_what_an_old_agent_left_pending_is_started(agent: Agent) -> None:
    """Its runner was killed before it could begin."""
    agent.finished("first", "true")
    (agent.root / "jobs" / "left").mkdir()
    with opened(agent) as db:
        spec = '{"command":"echo at last","name":"left"}'
        db.execute(_INSERT, ["left", "left", 1, spec, time.time() - 60])
    assert agent.wait("left")["state"] == "COMPLETED"
    assert agent.log("left") == b"at last\r\n"
