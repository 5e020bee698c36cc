"""What is long over goes, and nothing else, whatever the clock says."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_agent import retention
from orch_agent.ledger import Ledger, open_ledger
from orch_agent.model import COMPLETED, Ended, JobSpec, Result
from orch_agent.retention import Clock
from tests.support.agent import Agent, Refused, eventually
from tests.support.cli import Orch
from tests.support.disk import wrong_clock

DAY = 86400.0
OLD = 40 * DAY


def sql(agent: Agent, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(agent.root / "ledger.db", timeout=30)) as database, database:
        return database.execute(statement, values).fetchall()


def make_old(path: Path, seconds: float = OLD) -> None:
    """With all that lies in it."""
    then = time.time() - seconds
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(one, (then, then), follow_symlinks=False)


def age(agent: Agent, *refs: str, seconds: float = OLD) -> None:
    """As if these runs had been so long ago."""
    for ref in refs:
        name, run = ref.split(".")
        (job_id,) = sql(agent, "SELECT id FROM jobs WHERE name = ? AND run = ?", name, run)[0]
        sql(agent, "UPDATE jobs SET ended_at = ended_at - ? WHERE id = ?", seconds, job_id)
        make_old(agent.root / "jobs" / job_id, seconds)


def due(agent: Agent, **state: float) -> None:
    """As if the last pass had been more than an hour ago, and the clock had been right for long."""
    now = time.time()
    (agent.root / "retention.json").write_text(json.dumps({"trusted": now, "seen": now, "at": 0, **state}))


def passed(agent: Agent) -> None:
    """A pass has been made, and its supervisor is gone."""
    agent.finished("visitor", "true")
    eventually(lambda: not is_supervised(agent), "the supervisor has gone")


def is_supervised(agent: Agent) -> bool:
    return bool(agent.call("idle")["supervisor"])


def runs(agent: Agent, name: str) -> list[int]:
    return [run for (run,) in sql(agent, "SELECT run FROM jobs WHERE name = ? ORDER BY run", name)]


def test_what_ended_long_ago_goes_with_all_that_belongs_to_it(agent: Agent) -> None:
    for name in ("train", "train", "once"):
        agent.finished(name, "exit 1", retries=1, retry_delay=0.01)
    ids = [one for (one,) in sql(agent, "SELECT id FROM jobs")]
    age(agent, "train.1", "once.1")
    due(agent)
    passed(agent)
    assert (runs(agent, "train"), runs(agent, "once")) == ([2], [])
    assert not (agent.home / "logs" / "train" / "1.log").exists()
    assert (agent.home / "logs" / "train" / "2.log").exists()
    assert not (agent.home / "logs" / "once").exists()
    kept = sql(agent, "SELECT DISTINCT job_id FROM attempts")
    assert len(kept) == 1 and kept[0][0] in ids
    assert {path.name for path in (agent.root / "jobs").iterdir()} >= {kept[0][0]}
    assert len([one for one in ids if (agent.root / "jobs" / one).exists()]) == 1
    # A number is not used again.
    assert agent.finished("once", "true")["run"] == 2
    assert agent.finished("train", "true")["run"] == 3


@pytest.mark.parametrize("verb", ["logs", "show"])
def test_who_asks_for_it_is_told(orch: Orch, agent: Agent, verb: str) -> None:
    for name in ("train", "train", "once"):
        agent.finished(name, "true")
    age(agent, "train.1", "once.1")
    due(agent)
    passed(agent)
    done = orch(verb, "train.1")
    assert (done.status, done.out) == (1, "")
    assert "train.1 is gone: runs are kept for 30d after their end" in done.err
    assert "orch show train" in done.err and 'retention = "90d"' in done.err
    assert "all runs of once are gone" in orch(verb, "once").err
    assert orch(verb, "train").status == 0
    assert "there is no run train.9" in orch(verb, "train.9").err
    # So also where it might have been on another host.
    config = agent.home / ".config" / "orch" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[hosts.a]\nprovider = "local"\n[hosts.b]\nprovider = "local"\n')
    assert "train.1 is gone" in orch(verb, "train.1").err


def test_how_long_is_the_configurations_to_say(agent: Agent) -> None:
    agent.finished("train", "true")
    age(agent, "train.1", seconds=8 * DAY)
    due(agent)
    passed(agent)
    assert runs(agent, "train") == [1]
    due(agent)
    spec = {"name": "visitor", "command": "true"}
    agent.call("submit", id="seven", spec=spec, settings={"retention": 7 * DAY})
    eventually(lambda: runs(agent, "train") == [], "a week is over")
    with pytest.raises(Refused, match="kept for 7d"):
        agent.show("train.1")


def test_what_lives_stays_however_old(agent: Agent) -> None:
    job = agent.submit("train", "echo begun; sleep 300")
    agent.running("train")
    agent.finished("other", "true")
    eventually(lambda: agent.log("train"), "it has written")
    sql(agent, "UPDATE jobs SET submitted_at = submitted_at - ?, started_at = started_at - ?", 50 * DAY, 50 * DAY)
    age(agent, "other.1")
    make_old(agent.root / "jobs" / job["id"])
    make_old(Path(job["log_path"]))
    due(agent)
    agent.submit("visitor", "true")
    # The supervisor lives on with the job, and makes its next pass in an hour: let another one do it.
    supervisor = int((agent.root / "live" / "supervisor.lock").read_text().split()[0])
    os.kill(supervisor, 9)
    eventually(lambda: not Path(f"/proc/{supervisor}").exists(), "it is dead")
    agent.call("status")
    eventually(lambda: runs(agent, "other") == [], "the pass comes by")
    assert agent.show("train")["job"]["state"] == "RUNNING"
    assert agent.log("train") == b"begun\r\n"
    assert (agent.root / "jobs" / job["id"]).is_dir()


def test_directories_without_a_job(agent: Agent) -> None:
    """A ledger that was lost may be made of them again, so only very old ones go."""
    for name in ("old", "young", "old-array"):
        (agent.root / "jobs" / name).mkdir(parents=True)
        (agent.root / "jobs" / name / "spec.json").write_text("{}")
    (agent.root / "jobs" / "changed").mkdir()
    agent.call("submit", id="old-array", spec={"name": "many", "command": "true", "array": "0-1"})
    agent.wait("many")
    for name in ("old", "old-array"):
        make_old(agent.root / "jobs" / name)
    make_old(agent.root / "jobs" / "changed")
    (agent.root / "jobs" / "changed" / "usage").write_text("")
    os.utime(agent.root / "jobs" / "changed", (0, 0))
    due(agent)
    passed(agent)
    assert not (agent.root / "jobs" / "old").exists()
    assert all((agent.root / "jobs" / name).exists() for name in ("young", "changed", "old-array"))


def test_agents_that_nobody_uses(agent: Agent) -> None:
    for name in ("agent-old", "agent-young", "agent-newest", ".agent-ruin", "agency"):
        (agent.root / name).mkdir()
        (agent.root / name / "__main__.py").write_text("import time; time.sleep(300)")
    (agent.root / "agent").symlink_to("agent-newest")
    agent.submit("keeper", "sleep 300")
    agent.running("keeper")
    for name in ("agent-old", "agent-newest", ".agent-ruin", "agency", "agent-test"):
        make_old(agent.root / name)
    due(agent)
    supervisor = int((agent.root / "live" / "supervisor.lock").read_text().split()[0])
    os.kill(supervisor, 9)
    eventually(lambda: not Path(f"/proc/{supervisor}").exists(), "it is dead")
    agent.call("status")
    eventually(lambda: not (agent.root / "agent-old").exists(), "it goes")
    eventually(lambda: not (agent.root / ".agent-ruin").exists(), "it goes")
    assert all((agent.root / name).exists() for name in ("agent-young", "agent-newest", "agency", "agent-test"))


@pytest.fixture
def ledger(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setenv("ORCH_HOME", str(home / "orch"))
    with open_ledger() as one:
        yield one


def put(ledger: Ledger, job_id: str, ended: bool = True, **queue: object) -> None:
    with ledger.transaction():
        run = ledger.last_run("train") + 1
        record = ledger.insert(job_id, run, JobSpec("train", "true"), 0.0, **queue)
    if ended:
        ledger.settle(record, Ended(1.0, Result(COMPLETED)))


def prune(before: float = 100.0) -> None:
    for _ in retention._pass(before):
        pass


def ids(ledger: Ledger) -> set[str]:
    return {one for (one,) in ledger.rows("SELECT id FROM jobs")}


def test_what_a_pending_job_waits_for_stays(ledger: Ledger) -> None:
    put(ledger, "needed")
    put(ledger, "not")
    put(ledger, "waits", ended=False)
    ledger.write("INSERT INTO needs VALUES ('waits', 'needed')")
    prune()
    assert ids(ledger) == {"needed", "waits"}


def test_an_array_goes_when_its_last_task_has_ended(ledger: Ledger) -> None:
    for task in range(4):
        put(ledger, f"whole-{task}", array_id="whole", task=task)
        put(ledger, f"part-{task}", ended=task < 3, array_id="part", task=task)
    prune()
    assert ids(ledger) == {f"part-{task}" for task in range(4)}


def test_a_pass_that_is_cut_off_anywhere_is_made_up_for(ledger: Ledger) -> None:
    for number in range(2 * retention._AT_ONCE):
        put(ledger, f"job-{number}")
    left = []
    for _ in retention._pass(100.0):
        left.append(len(ids(ledger)))
        if left[-1] < left[0]:
            break
    assert left[-1] == retention._AT_ONCE
    prune()
    assert ids(ledger) == set()
    assert ledger.last_run("train") == 2 * retention._AT_ONCE


def test_thousands_of_old_runs_go_while_others_work(agent: Agent) -> None:
    """Whoever writes meanwhile never waits for long."""
    agent.finished("train", "true")
    with closing(sqlite3.connect(agent.root / "ledger.db")) as database, database:
        row = "INSERT INTO jobs (id, name, run, spec, submitted_at, started_at, ended_at, result, attempt) VALUES "
        spec, result = '{"name":"train","command":"true"}', '{"ended_at":1,"state":"COMPLETED"}'
        rows = [(f"old-{n}", "train", n, spec, 1, 1, 1, result, 1) for n in range(2, 2_002)]
        database.executemany(row + "(?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    for n in range(2, 2_002, 10):
        (agent.root / "jobs" / f"old-{n}").mkdir()
        (agent.root / "jobs" / f"old-{n}" / "result.json").write_text(result)
        (agent.home / "logs" / "train" / f"{n}.log").write_text("old")
    due(agent)
    agent.submit("visitor", "true")
    longest = 0.0
    with closing(sqlite3.connect(agent.root / "ledger.db", timeout=30, isolation_level=None)) as database:
        while database.execute("SELECT count(*) FROM jobs").fetchone()[0] > 2:
            began = time.monotonic()
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.002)
    assert longest < 2
    assert len(list((agent.root / "jobs").iterdir())) == 2
    assert len(list((agent.home / "logs" / "train").iterdir())) == 2
    assert agent.finished("train", "true")["run"] == 2_002


HOURS = st.integers(1, 80)


@given(st.lists(st.tuples(HOURS, st.integers(-(10**6), 10**6), st.integers(0, 23)), max_size=8))
def test_a_clock_that_is_wrong_for_less_than_a_day_is_never_trusted(episodes: list[tuple[int, int, int]]) -> None:
    """Right for some hours, then wrong by some hours for less than a day, and so on; looked at every hour."""
    true = 10**9
    clock = Clock(0.0, true)
    for right, wrong, lasts in episodes:
        for hour in range(right + lasts):
            true += 3600
            shown = true if hour < right else true + wrong * 3600
            clock = clock.at(shown)
            assert clock.trusted <= true


@given(st.lists(st.integers(1, 24 * 60), min_size=1, max_size=20))
def test_a_clock_that_is_right_is_trusted_with_a_days_delay(pauses: list[int]) -> None:
    """However seldom a host is used, what it saw a day ago counts."""
    now = 1e9
    clock = Clock(0.0, now)
    looks = [now]
    for hours in pauses:
        now += hours * 3600
        clock = clock.at(now)
        day_old = [at for at in looks if at <= now - DAY]
        looks.append(now)
        assert not day_old or now - clock.trusted <= 2 * DAY + now - max(day_old)


def test_a_clock_in_the_far_future_wipes_nothing(agent: Agent) -> None:
    agent.finished("train", "echo precious")
    passed(agent)
    due(agent)
    line = wrong_clock(20 * 365 * 86400)
    environment = dict(one.split("=", 1) for one in line.split()[1:])
    future = Agent(agent.home, env=environment)
    for name in ("one", "two"):
        future.finished(name, "true")
        eventually(lambda: not is_supervised(future), "the supervisor has gone")
        state = json.loads((agent.root / "retention.json").read_text())
        assert state["at"] > time.time() + 19 * 365 * DAY, "there was a pass, by the wrong clock"
        (agent.root / "retention.json").write_text(json.dumps({**state, "at": 0}))
    assert agent.log("train") == b"precious\r\n"
    passed(agent)
    assert agent.log("train") == b"precious\r\n"
    assert json.loads((agent.root / "retention.json").read_text())["seen"] < time.time() + DAY
