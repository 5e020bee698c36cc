"""The ledger is lost, in part or whole, and is made anew from what lies in the directories of the jobs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from typing import Any

import pytest

from tests.support.agent import Agent, eventually

GATE = "echo $ORCH_JOB_ATTEMPT >> ran-$ORCH_JOB; until [ -e go ]; do sleep 0.02; done; "


def lose(agent: Agent) -> None:
    """Somebody removes the ledger, while others have it open."""
    for path in agent.root.glob("ledger.db*"):
        path.unlink()


def garble(agent: Agent) -> None:
    """The disk returns something else than what was written."""
    (agent.root / "ledger.db").write_bytes(b"\0garbled" * 4096)


def jobs(agent: Agent) -> dict[str, dict[str, Any]]:
    """Every job by its reference."""
    return {f"{job['name']}.{job['run']}": job for job in agent.call("status", all=True)["jobs"]}


def ran(agent: Agent, ref: str) -> list[str]:
    """The attempts of a run that have begun."""
    path = agent.home / f"ran-{ref}"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("harm", [lose, garble])
def test_every_kind_of_job_outlives_the_ledger(agent: Agent, harm: Any) -> None:
    """Ended, running, pending for each of the reasons there are: each goes on as what it was, and runs once."""
    agent.finished("done", "exit 3", timeout=3600)
    agent.submit("runs", GATE + "exit 4")
    agent.submit("again", "echo $ORCH_JOB_ATTEMPT >> ran-$ORCH_JOB; [ -e go ]", retries=1000, retry_delay=0.5)
    agent.submit("waits", "echo x >> ran-$ORCH_JOB", after=["runs"])
    agent.submit("follows", "echo x >> ran-$ORCH_JOB", after=["again"])
    key = os.urandom(8).hex()
    spec = {"name": "many", "command": "echo x >> ran-$ORCH_JOB; exit $ORCH_ARRAY_TASK", "array": "0-2%1"}
    agent.call("submit", id=key, spec={**spec, "after": ["again"]})
    agent.submit("unwanted", "echo x >> ran-$ORCH_JOB", after=["runs"])
    agent.call("cancel", jobs=["unwanted"], grace=0)
    agent.running("runs")
    eventually(lambda: len(ran(agent, "again.1")) > 1, "its first attempt has failed")
    before = jobs(agent)
    harm(agent)
    after = jobs(agent)
    assert after.keys() == before.keys()
    for ref in ("done.1", "runs.1", "unwanted.1"):
        said = {key: value for key, value in after[ref].items() if "mem" not in key and "cpu" not in key}
        assert said == {key: before[ref][key] for key in said}
    (agent.home / "go").touch()
    assert not agent.call("submit", id=key, spec={**spec, "after": ["again"]})["created"]
    agent.wait("runs", "again", "waits", "follows", "many")
    ends = {ref: (job["state"], job["exit_code"]) for ref, job in jobs(agent).items()}
    assert ends == {
        "done.1": ("FAILED", 3),
        "runs.1": ("FAILED", 4),
        "again.1": ("COMPLETED", 0),
        "waits.1": ("CANCELLED", None),
        "follows.1": ("COMPLETED", 0),
        "many.1": ("COMPLETED", 0),
        "many.2": ("FAILED", 1),
        "many.3": ("FAILED", 2),
        "unwanted.1": ("CANCELLED", None),
    }
    attempts = ran(agent, "again.1")
    assert attempts == [str(number) for number in range(1, len(attempts) + 1)]
    for ref in ("runs.1", "follows.1", "many.1", "many.2", "many.3"):
        assert len(ran(agent, ref)) == 1, ref
    assert not ran(agent, "waits.1") and not ran(agent, "unwanted.1")
    assert agent.finished("done", "true")["run"] == 2


def test_those_who_wait_go_on_waiting(agent: Agent) -> None:
    """The verb and the supervisor have the lost file open, and notice; the job's runner, too."""
    agent.submit("runs", GATE + "exit 5")
    agent.running("runs")
    agent.submit("next", "true", after=["runs"])
    waiting = agent.popen("wait", {"jobs": ["runs"], "timeout": 30})
    lose(agent)
    (agent.home / "go").touch()
    assert waiting.stdin and waiting.stdout and waiting.stderr
    with waiting.stdin, waiting.stdout, waiting.stderr:
        said = json.loads(waiting.stdout.read())
        assert waiting.wait(30) == 0
    assert (said["jobs"][0]["state"], said["jobs"][0]["exit_code"]) == ("FAILED", 5)
    assert agent.wait("next")["state"] == "CANCELLED"
    assert ran(agent, "runs.1") == ["1"]


def test_what_the_ledger_was_told_last_is_missing(agent: Agent) -> None:
    """The write-ahead log is lost with its rows: submissions come back, and what has run does not run again."""
    agent.submit("runs", GATE + "exit 6")
    agent.running("runs")
    with sqlite3.connect(agent.root / "ledger.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    kept = (agent.root / "ledger.db").read_bytes()
    agent.submit("late", "echo x >> ran-$ORCH_JOB; exit 7")
    agent.wait("late")
    agent.submit("pends", "echo x >> ran-$ORCH_JOB; exit 8", after=["runs"])
    (agent.root / "earlier").write_bytes(kept)
    (agent.root / "earlier").rename(agent.root / "ledger.db")
    (agent.root / "ledger.db-wal").unlink(missing_ok=True)
    (agent.root / "ledger.db-shm").unlink(missing_ok=True)
    os.kill(agent.supervisor(), signal.SIGKILL)
    (agent.home / "go").touch()
    agent.wait("runs")
    agent.submit("other", "true")
    eventually(lambda: "late.1" in jobs(agent), "the next supervisor has found it")
    agent.wait("late", "pends", "other")
    codes = {ref: job["exit_code"] for ref, job in jobs(agent).items()}
    assert codes == {"runs.1": 6, "late.1": 7, "pends.1": None, "other.1": 0}
    assert (ran(agent, "late.1"), ran(agent, "runs.1"), ran(agent, "pends.1")) == (["x"], ["1"], [])


@pytest.mark.parametrize("row", ["as it was before it began", "gone"])
def test_what_has_begun_never_begins_again(agent: Agent, row: str) -> None:
    """Its lock file and its result are gone as well; that it has written something is enough."""
    agent.submit("runs", "echo x >> ran-$ORCH_JOB; echo on; sleep 300", "forgotten")
    agent.submit("gate", GATE)
    eventually(lambda: b"on" in agent.log("runs"), "it runs")
    for pid in (agent.supervisor(), agent.runner("forgotten")):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: agent._find("forgotten") is None, "its keepers and its processes are gone")
    for path in (agent.root / "live").glob("forgotten*"):
        path.unlink()
    if row == "gone":
        lose(agent)
    else:
        undone = "started_at = NULL, pid = NULL, admitted_at = NULL, attempt = 0, ended_at = NULL, result = NULL"
        with sqlite3.connect(agent.root / "ledger.db") as db:
            db.execute(f"UPDATE jobs SET {undone} WHERE id = 'forgotten'")
        db.close()
    end = agent.wait("runs")
    assert (end["state"], end["exit_code"], ran(agent, "runs.1")) == ("NODE_FAIL", None, ["x"])
    assert "its record was lost" in end["reason"]
    assert agent.log("runs") == b"on\r\n"


def test_nothing_is_invented(agent: Agent) -> None:
    """Of directories without a submission only the logs are kept, and no number is given twice."""
    agent.finished("old", "echo precious")
    (agent.root / "jobs" / agent.show("old")["job"]["id"] / "spec.json").unlink()
    for content in ("", "{}", "[]", '{"run": 1, "spec": {"name": "../x", "command": "true"}}', "\0" * 50):
        directory = agent.root / "jobs" / os.urandom(4).hex()
        directory.mkdir()
        (directory / "spec.json").write_text(content)
    lose(agent)
    assert jobs(agent) == {}
    assert (agent.home / "logs" / "old" / "1.log").read_bytes() == b"precious\r\n"
    assert agent.finished("old", "true")["run"] == 2


BEYOND = ("1e999", "1" + "0" * 400, "[" * 50_000, '"x"', "-3", "NaN", '["x"]', '"\\ud800"', "null", "{}")


@pytest.mark.parametrize("key", ["run", "submitted_at", "after", "needs", "name", "mem", "nice", "command", "array"])
def test_a_submission_that_makes_no_sense_stands_in_nobodys_way(agent: Agent, key: str) -> None:
    """A bad disk wrote it, or a job: the ledger is lost, and made anew of the others."""
    agent.finished("sound", "exit 3")
    for number, value in enumerate(BEYOND):
        directory = agent.root / "jobs" / f"bad{number}"
        directory.mkdir()
        whole = {"run": "7", "submitted_at": "1.0", "after": "null", "needs": "[]"}
        spec = {"name": f'"bad{number}"', "command": '"echo x >> bad"', "mem": "null", "nice": "0", "array": "null"}
        (whole if key in whole else spec)[key] = value
        inner = ",".join(f'"{name}":{text}' for name, text in spec.items())
        outer = ",".join(f'"{name}":{text}' for name, text in whole.items())
        (directory / "spec.json").write_text(f'{{{outer},"spec":{{{inner}}}}}')
    lose(agent)
    assert jobs(agent)["sound.1"]["exit_code"] == 3
    assert agent.finished("later", "exit 4")["exit_code"] == 4
    assert {path.name for path in agent.home.iterdir() if not path.name.startswith(".")} <= {"logs", "bad"}


NONSENSE = ('"mem_peak_bytes":"x"', '"state":["x"]', '"state":"\\u001b[31mFOO"', '"ended_at":NaN', '"exit_code":1e999')


@pytest.mark.parametrize("wrong", NONSENSE)
def test_a_result_that_makes_no_sense_is_none(agent: Agent, wrong: str) -> None:
    """It hides no other job, and holds up nobody."""
    job = agent.submit("job", "sleep 300", tty=False)
    agent.running("job")
    os.kill(agent.runner(job["id"]), signal.SIGSTOP)
    text = '{"ended_at":1.0,"state":"COMPLETED","exit_code":0,"attempt":1,%s}' % wrong
    (agent.root / "jobs" / job["id"] / "result.json").write_text(text)
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    assert agent.finished("other", "exit 4")["exit_code"] == 4
    agent.call("cancel", jobs=["job"], grace=0)
    assert jobs(agent)["job.1"]["state"] == "CANCELLED"


def test_an_older_copy_of_the_ledger_is_put_in_its_place(agent: Agent) -> None:
    """While a supervisor lives: it brings back what the copy does not know."""
    agent.submit("gate", "until [ -e go ]; do sleep 0.05; done")
    agent.running("gate")
    copy = agent.root / "copy.db"
    with sqlite3.connect(agent.root / "ledger.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    agent.submit("after", "echo x >> ran", after=["gate"])
    for path in agent.root.glob("ledger.db*"):
        path.unlink()
    copy.rename(agent.root / "ledger.db")
    (agent.home / "go").touch()
    eventually(lambda: jobs(agent).get("after.1", {}).get("state") == "COMPLETED", "it is back, and runs")
    assert (agent.home / "ran").read_text() == "x\n"


def test_of_two_submissions_with_one_number_the_acknowledged_counts(agent: Agent) -> None:
    """A client died before its submission was accepted, and another got its number."""
    agent.finished("x", "true", key="known")
    shutil.copytree(
        agent.root / "jobs" / "known", agent.root / "jobs" / "died", ignore=shutil.ignore_patterns("*.sock")
    )
    (agent.root / "jobs" / "died" / "result.json").unlink()
    lose(agent)
    assert [job["id"] for job in jobs(agent).values()] == ["known"]


def test_many_who_meet_the_damage_at_once(agent: Agent) -> None:
    """One of them mends it, nobody is refused, and one file is kept."""
    for n in range(3):
        agent.finished(f"job{n}", "true", tty=False)
    garble(agent)
    asked = [agent.popen("status", {"all": True}) for _ in range(8)]
    for process in asked:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b""), out
        assert len(json.loads(out)["jobs"]) == 3
    assert len(list(agent.root.glob("ledger.db.broken-*"))) == 1


def test_a_sound_ledger_is_never_put_aside(agent: Agent) -> None:
    """Somebody met damage that is none any more: it is read again under the lock."""
    from orch_agent import mend

    agent.finished("x", "true")
    agent.env = {}
    os.environ["ORCH_HOME"] = str(agent.root)
    try:
        assert mend.mend(sqlite3.DatabaseError("database disk image is malformed"))
        assert not mend.mend(sqlite3.OperationalError("database is locked"))
    finally:
        del os.environ["ORCH_HOME"]
    assert not list(agent.root.glob("ledger.db.broken-*"))


def test_a_row_that_makes_no_sense_is_damage(agent: Agent) -> None:
    """The pages are whole, and what they hold is not what was written."""
    before = agent.finished("x", "exit 3")
    with sqlite3.connect(agent.root / "ledger.db") as db:
        db.execute("UPDATE jobs SET spec = 'x' || spec")
    db.close()
    assert jobs(agent) == {"x.1": before}


def test_where_it_cannot_be_mended_the_person_is_told_how(agent: Agent) -> None:
    """A disk that may not be written: nothing is lost by saying so."""
    from tests.faults import mounts
    from tests.support.agent import Refused

    agent.finished("x", "true")
    garble(agent)
    with mounts.read_only(agent.home), pytest.raises(Refused, match="is damaged") as refused:
        agent.call("status", all=True)
    assert refused.value.hint.startswith("mv ")
    assert list(jobs(agent)) == ["x.1"]
