"""The queue on a real host: who starts, who waits, who starts again, and who is ended for taking too long."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orch_agent.supervisor import _QUIET
from tests.support.agent import Agent, Refused, eventually, is_unsupervised


def state(agent: Agent, ref: str) -> str:
    """The state of a run."""
    said: str = agent.show(ref)["job"]["state"]
    return said


def supervisor(agent: Agent) -> int:
    """The pid of the host's supervisor."""
    return int((agent.root / "live" / "supervisor.lock").read_text().split()[0])


def total(agent: Agent) -> int:
    """Bytes of memory this host says it has."""
    said: int = agent.call("status")["host"]["mem_total_bytes"]
    return said


def test_what_does_not_fit_waits_for_what_runs(agent: Agent) -> None:
    most = total(agent) * 2 // 3
    agent.submit("first", "until [ -e go ]; do sleep 0.05; done", mem=most)
    agent.running("first")
    agent.submit("second", "true", mem=most)
    agent.submit("small", "true", mem=1 << 20)
    assert agent.wait("small")["state"] == "COMPLETED", "it fits beside both"
    assert state(agent, "second") == "PENDING"
    (agent.home / "go").touch()
    assert agent.wait("second")["state"] == "COMPLETED"


def test_what_could_never_start_is_refused(agent: Agent) -> None:
    for spec in ({"mem": total(agent)}, {"cpus": (os.cpu_count() or 1) + 1.0}):
        with pytest.raises(Refused, match="this host has"):
            agent.submit("job", "true", **spec)
    assert agent.call("status")["jobs"] == []


def test_many_that_last_begin_one_after_the_other(agent: Agent) -> None:
    """More than are on their way at once; nobody's end calls the supervisor meanwhile."""
    agent.submit("many", "sleep 300", array="0-19", mem=4 << 20)
    began = time.monotonic()
    eventually(lambda: len(agent.call("status")["jobs"]) == 20 and not pending(agent), "all run")
    assert time.monotonic() - began < 2 * _QUIET
    agent.call("cancel", jobs=["many"], grace=0)


def pending(agent: Agent) -> list[str]:
    """Those that have not begun."""
    return [str(job["run"]) for job in agent.call("status")["jobs"] if job["state"] == "PENDING"]


def test_who_waits_has_no_terminal_yet(agent: Agent) -> None:
    every = agent.call("status")["host"]["cpus"]
    agent.submit("long", "sleep 300", cpus=every)
    agent.submit("waits", "true", cpus=1)
    with pytest.raises(Refused, match=r"waits\.1 is pending: waits for 1 processor") as refused:
        agent.call("attach", job="waits")
    assert refused.value.hint == "orch logs -f waits.1"
    with pytest.raises(Refused, match="is still pending") as refused:
        agent.submit("waits", "true")
    assert "orch show waits" in refused.value.hint


def test_processors_are_given_away_too(agent: Agent) -> None:
    cpus = float(agent.call("status")["host"]["cpus"])
    agent.submit("first", "until [ -e go ]; do sleep 0.05; done", cpus=cpus)
    agent.running("first")
    agent.submit("second", "true", cpus=1.0)
    agent.finished("third", "true")
    assert state(agent, "second") == "PENDING"
    (agent.home / "go").touch()
    assert agent.wait("second")["state"] == "COMPLETED"


def test_a_job_waits_for_those_it_comes_after(agent: Agent) -> None:
    agent.submit("prep", "until [ -e go ]; do sleep 0.05; done")
    agent.submit("bad", "until [ -e go ]; do sleep 0.05; done; exit 3")
    agent.submit("good", "true", after=["prep"])
    agent.submit("never", "touch ran", after=["prep", "bad"])
    agent.submit("nor", "touch ran", after=["never.1"])
    assert agent.show("good")["job"]["after"] == ["prep.1"]
    (agent.home / "go").touch()
    assert agent.wait("good")["state"] == "COMPLETED"
    assert agent.wait("never")["state"] == agent.wait("nor")["state"] == "CANCELLED"
    assert "bad.1" in agent.show("never")["job"]["reason"]
    assert "never.1" in agent.show("nor")["job"]["reason"]
    assert not (agent.home / "ran").exists()
    late = agent.finished("late", "touch ran", after=["bad"])
    assert late["state"] == "CANCELLED" and "bad.1" in late["reason"]
    with pytest.raises(Refused, match="no job called nobody"):
        agent.submit("x", "true", after=["nobody"])


def test_who_comes_after_starts_at_once(agent: Agent) -> None:
    """Not at the supervisor's next look by itself, though others run, and wait, and nothing else happens."""
    agent.submit("long", "sleep 300", cpus=1)
    agent.submit("blocked", "true", after=["long"])
    agent.submit("step0", "sleep 0.3")
    for number in range(4):
        agent.submit(f"step{number + 1}", "sleep 0.3", after=[f"step{number}"])
    began, last = agent.show("step0")["job"]["submitted_at"], agent.wait("step4")["started_at"]
    assert datetime.fromisoformat(last) - datetime.fromisoformat(began) < timedelta(seconds=2 * _QUIET)


def test_an_attempt_that_fails_is_followed_by_another(agent: Agent) -> None:
    command = 'echo "$ORCH_JOB_ATTEMPT" >> tries; echo "this is $ORCH_JOB_ATTEMPT"; [ "$ORCH_JOB_ATTEMPT" = 3 ]'
    job = agent.finished("job", command, retries=5, retry_delay=0.05)
    assert (job["state"], job["attempt"]) == ("COMPLETED", 3)
    assert (agent.home / "tries").read_text() == "1\n2\n3\n"
    assert agent.log("job") == b"this is 1\r\nthis is 2\r\nthis is 3\r\n"
    assert agent.finished("bad", "exit 4", retries=1, retry_delay=0.05)["exit_code"] == 4
    assert agent.show("bad")["job"]["attempt"] == 2


def test_who_cancels_has_no_further_attempt(agent: Agent) -> None:
    agent.submit("job", "sleep 300", retries=3, retry_delay=0.05)
    agent.running("job")
    assert agent.call("cancel", jobs=["job"], grace=1)["jobs"][0]["state"] == "CANCELLED"
    agent.submit("backs-off", "exit 1", retries=3, retry_delay=300.0)
    eventually(lambda: agent.show("backs-off")["job"]["attempt"] == 1, "it has failed once")
    eventually(lambda: state(agent, "backs-off") == "PENDING", "it backs off")
    assert agent.call("cancel", jobs=["backs-off"], grace=1)["jobs"][0]["state"] == "CANCELLED"


STUBBORN = 'trap "" TERM HUP; (while :; do sleep 0.1; done) & '


def test_who_cancels_while_the_rest_of_an_attempt_is_ended_has_no_further_attempt(agent: Agent) -> None:
    """The command has exited, and what it left behind is on its way out: then, too, it is the last attempt."""
    agent.submit("job", f"echo x >> tries; {STUBBORN} exit 1", retries=3, retry_delay=0.05)
    eventually((agent.home / "tries").exists, "it has begun")
    agent.call("cancel", jobs=["job"], grace=0)
    assert agent.show("job")["job"]["state"] in ("FAILED", "CANCELLED")
    eventually(lambda: is_unsupervised(agent.root), "nothing is due any more")
    assert (agent.home / "tries").read_text() == "x\n"


def test_who_cancels_between_two_attempts_is_told_so(agent: Agent) -> None:
    agent.submit("job", "exit 1", retries=3, retry_delay=300)
    eventually(lambda: state(agent, "job") == "PENDING" and agent.show("job")["job"]["due_at"], "it waits to try again")
    agent.call("cancel", jobs=["job"], grace=0)
    assert agent.show("job")["job"]["reason"] == "cancelled before its next attempt"


def test_a_task_takes_no_other_jobs_id(agent: Agent) -> None:
    agent.finished("other", "true", key="many-2")
    with pytest.raises(Refused, match="belongs to another job") as refused:
        agent.call("submit", id="many", spec={"name": "many", "command": "true", "array": "0-3"})
    assert refused.value.kind == "conflict"


def test_a_job_that_takes_too_long(agent: Agent) -> None:
    job = agent.finished("job", "echo on; sleep 300", timeout=0.3, retries=2, retry_delay=0.05)
    assert (job["state"], job["attempt"]) == ("TIMEOUT", 1)


def test_a_time_limit_outlives_the_runner(agent: Agent) -> None:
    job = agent.submit("job", "exec sleep 300", tty=False, timeout=2.0)
    agent.running("job")
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    assert agent.wait("job")["state"] == "TIMEOUT"


def test_an_array_is_one_submission(agent: Agent) -> None:
    spec = {"name": "many", "command": 'echo "$ORCH_ARRAY_TASK" >> tasks', "array": "2-6:2,9%2"}
    answer = agent.call("submit", id="key", spec=spec)
    assert (answer["tasks"], answer["job"]["id"], answer["created"]) == (4, "key-2", True)
    assert not agent.call("submit", id="key", spec=spec)["created"]
    agent.wait(*(f"many.{run}" for run in range(1, 5)))
    assert sorted((agent.home / "tasks").read_text().split()) == ["2", "4", "6", "9"]


def test_at_most_so_many_tasks_at_once(agent: Agent) -> None:
    begun = "mkdir -p at; touch at/$ORCH_ARRAY_TASK; ls at | wc -l >> most; sleep 0.1; rm at/$ORCH_ARRAY_TASK"
    agent.call("submit", id="key", spec={"name": "many", "command": begun, "array": "0-7%2"})
    agent.wait(*(f"many.{run}" for run in range(1, 9)))
    assert max(map(int, (agent.home / "most").read_text().split())) <= 2


def test_pending_jobs_are_rows(agent: Agent) -> None:
    """No process, directory or log each."""
    agent.submit("gate", "until [ -e go ]; do sleep 0.05; done")
    agent.running("gate")
    before = set(agent.root.rglob("*"))
    spec = {"name": "many", "command": "true", "array": "0-9999", "after": ["gate"]}
    assert agent.call("submit", id="key", spec=spec)["tasks"] == 10_000
    assert len(set(agent.root.rglob("*")) - before) < 10
    assert len(children(supervisor(agent))) < 3
    assert agent.call("cancel", jobs=["gate"], grace=0)
    with sqlite3.connect(agent.root / "ledger.db") as db:
        eventually(
            lambda: db.execute("SELECT count(*) FROM jobs WHERE ended_at IS NULL").fetchone() == (0,),
            "all are cancelled",
        )
    db.close()


def children(pid: int) -> list[str]:
    """The children of a process."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_nice_goes_last(agent: Agent) -> None:
    most = total(agent) * 2 // 3
    agent.submit("gate", "until [ -e go ]; do sleep 0.05; done", mem=most)
    agent.running("gate")
    for name, nice in (("polite", 10), ("plain", 0), ("urgent", -5)):
        agent.submit(name, f"echo {name} >> order", mem=most, nice=nice)
    (agent.home / "go").touch()
    agent.wait("polite", "plain", "urgent")
    assert (agent.home / "order").read_text().split() == ["urgent", "plain", "polite"]


def test_the_memory_of_earlier_runs_is_learned(agent: Agent) -> None:
    hungry = "exec python3 -c 'x = b\"x\" * (200 << 20); import time; time.sleep(0.5)'"
    peak = agent.finished("job", hungry)["mem_peak_bytes"]
    assert peak > 200 << 20
    agent.submit("job", "sleep 300")
    asks = agent.running("job")["mem_request_bytes"]
    assert peak * 1.15 < asks < peak * 1.25


def test_the_supervisor_goes_when_nothing_is_left_to_do(agent: Agent) -> None:
    agent.finished("job", "true")
    pid = supervisor(agent)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "it goes by itself")
    assert agent.finished("job", "true")["state"] == "COMPLETED"


def test_a_killed_supervisor_is_replaced_by_whoever_looks(agent: Agent) -> None:
    agent.submit("job", "until [ -e go ]; do sleep 0.05; done; echo done")
    agent.running("job")
    agent.submit("next", "true", after=["job"])
    os.kill(supervisor(agent), signal.SIGKILL)
    (agent.home / "go").touch()
    assert agent.wait("job", "next")["state"] == "COMPLETED"
    assert state(agent, "next") == "COMPLETED"


def test_an_older_agent_starts_nothing_that_is_queued(agent: Agent) -> None:
    """Its claim, as version 0.2 wrote it, finds nothing to change."""
    agent.submit("gate", "sleep 300")
    job = agent.submit("job", "touch ran", after=["gate"])
    claim = (
        "UPDATE jobs SET attempt = attempt + 1, started_at = 1.0, pid = 1, birth = '', boot_id = '', cgroup = NULL "
        "WHERE id = ? AND started_at IS NULL AND ended_at IS NULL"
    )
    with sqlite3.connect(agent.root / "ledger.db") as db:
        assert db.execute(claim, [job["id"]]).rowcount == 0
    db.close()
    assert state(agent, "job") == "PENDING"


def test_views_are_opened_and_nothing_goes_wrong(agent: Agent) -> None:
    agent.submit("job", "sleep 300")
    eventually(lambda: "job" in agent.tmux("list-sessions"), "its view is open")
    assert (agent.root / "supervisor.err").read_text() == ""


def test_ruins_of_locks_are_swept(agent: Agent) -> None:
    agent.finished("job", "true")
    dead = subprocess.Popen(["true"])
    dead.wait()
    ruin = agent.root / "live" / f"x.lock.{dead.pid}"
    ruin.write_text(json.dumps({}))
    agent.finished("job", "true")
    assert not ruin.exists()


def test_who_waits_brings_back_a_killed_supervisor(agent: Agent) -> None:
    agent.submit("job", "until [ -e go ]; do sleep 0.05; done")
    agent.submit("next", "true", after=["job"])
    agent.running("job")
    with agent.popen("wait", {"jobs": ["next"]}) as waiting:
        os.kill(supervisor(agent), signal.SIGKILL)
        (agent.home / "go").touch()
        assert waiting.wait(30) == 0


def test_a_view_is_of_one_moment(agent: Agent) -> None:
    """Whoever read the row before the job began, and saw its end, tells of the attempt that ended."""
    jobs = [agent.call("submit", id=f"short{n}", spec={"name": f"s{n}", "command": "true"})["job"] for n in range(20)]
    seen = [job for _ in range(20) for job in agent.call("status")["jobs"]]
    assert len(seen) == 400 and len(jobs) == 20
    ended = [job for job in [*jobs, *seen] if job["state"] == "COMPLETED"]
    assert ended and all(job["attempt"] == 1 and job["started_at"] for job in ended)


def test_the_log_of_a_task_that_waits_is_followed(agent: Agent) -> None:
    agent.call(
        "submit",
        id="key",
        spec={"name": "many", "command": "until [ -e go ]; do sleep 0.05; done; echo said", "array": "0-1%1"},
    )
    agent.running("many.1")
    with agent.popen("logs", {"job": "many.2", "follow": True}) as following:
        assert following.stdout is not None
        assert b'"PENDING"' in following.stdout.readline()
        (agent.home / "go").touch()
        assert following.stdout.read() == b"said\r\n"
