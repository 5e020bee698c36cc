"""SIGKILL, at every step of whatever orch does: exactly one job, no end that lies, nothing lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch_agent.ledger import Ledger
from orch_agent.model import END_STATES
from tests.faults.dying import Dying
from tests.support.agent import Agent, Refused, eventually

COMMAND = 'echo "$ORCH_JOB_ID" >> ran; echo said'


@pytest.fixture
def dying(agent: Agent) -> Dying:
    """An agent that can be told where to die; it has run a job before."""
    agent.finished("job", "true")
    return Dying(agent)


def runs_of(agent: Agent, key: str) -> int:
    """How often the job with this id has begun."""
    path = agent.home / "ran"
    return path.read_text().split().count(key) if path.exists() else 0


def is_sound(agent: Agent) -> None:
    """The ledger is whole, and its runs of each name are told apart."""
    with sqlite3.connect(agent.root / "ledger.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        doubles = db.execute("SELECT name, run FROM jobs GROUP BY name, run HAVING count(*) > 1").fetchall()
        assert doubles == []
    db.close()


def _repeated(agent: Agent, dying: Dying, key: str, verb: str, **where: Any) -> None:
    """Submit, have ``verb`` die, submit again; one job has run, once."""
    spec = {"name": "job", "command": COMMAND}
    dying.rest()
    dying.die(verb, **where)
    status, out, _ = agent.raw("submit", {"id": key, "spec": spec})
    dying.live()
    # Its last looks depend on how far the runner is: then there are fewer steps than there were at first.
    # Killed behind its answer, it has given that.
    assert (status, out) == (-signal.SIGKILL, b"") or (status in (0, -signal.SIGKILL) and key.encode() in out)
    answer = agent.call("submit", id=key, spec=spec)
    ref = f"job.{answer['job']['run']}"
    job = agent.wait(ref)
    assert (job["state"], job["id"], runs_of(agent, key)) == ("COMPLETED", key, 1)
    assert agent.log(ref) == b"said\r\n"
    assert not agent.call("submit", id=key, spec=spec)["created"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["main", "child"])
def test_a_submission_killed_at_every_step(agent: Agent, dying: Dying, who: str) -> None:
    steps = [step for step in dying.steps("submit", "job", COMMAND) if step.who == who]
    assert len(steps) > 5
    broken = []
    for step in steps[::4] if who == "main" else steps:
        key = f"{who}-{step.at}"
        try:
            if who == "main":
                _repeated(agent, dying, key, "submit", who=who, at=step.at)
            else:
                _orphaned(agent, dying, key, step.at)
        except (AssertionError, Refused) as error:
            broken.append(f"{step.at} {step.where}: {type(error).__name__} {error}")
    assert not broken, "\n".join(broken)
    is_sound(agent)


def _orphaned(agent: Agent, dying: Dying, key: str, at: int) -> None:
    """The process on its way to become the supervisor dies; the submission itself succeeds."""
    dying.rest()
    dying.die("submit", "child", at)
    job = agent.submit("job", COMMAND, key)
    dying.live()
    ref = f"job.{job['run']}"
    again = agent.submit("job", COMMAND, key)
    assert (agent.wait(ref)["state"], again["run"], runs_of(agent, key)) == ("COMPLETED", job["run"], 1)


def test_an_accepted_job_that_lost_its_runner_starts_by_itself(agent: Agent, dying: Dying) -> None:
    """Nobody repeats the submission; somebody waits, and that is enough."""
    dying.die("runner", place="_claim")
    job = agent.submit("job", COMMAND, "lost")
    dying.gone()
    dying.live()
    assert agent.show("job")["job"]["state"] != "NODE_FAIL"  # PENDING, unless somebody has been faster than we look
    assert (agent.wait("job")["state"], runs_of(agent, "lost"), job["run"]) == ("COMPLETED", 1, 2)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])
def test_a_runner_killed_at_every_step(agent: Agent, dying: Dying, tty: bool) -> None:
    steps = [step for step in dying.steps("runner", "job", COMMAND, tty=tty) if step.who == "main"]
    assert len(steps) > 50
    broken = []
    for step in steps[::4] if tty else steps[2::4]:
        try:
            _outlived(agent, dying, f"r{step.at}", step.at, tty)
        except (AssertionError, Refused) as error:
            broken.append(f"{step.at} {step.where}: {type(error).__name__} {error}")
    assert not broken, "\n".join(broken)
    is_sound(agent)


def _outlived(agent: Agent, dying: Dying, key: str, at: int, tty: bool) -> None:
    """It ran once, or its end says that it is not known what it did; either way it ended, and its name is free."""
    dying.die("runner", "main", at)
    job = agent.submit("job", COMMAND, key, tty=tty)
    dying.gone()
    dying.live()
    again = agent.submit("job", COMMAND, key, tty=tty)
    assert again["run"] == job["run"]
    ref = f"job.{job['run']}"
    end = agent.wait(ref)
    ran = runs_of(agent, key)
    assert ran <= 1, f"it ran {ran} times"
    if end["state"] == "COMPLETED":
        assert (ran, end["exit_code"], agent.log(ref)) == (1, 0, b"said\r\n" if tty else b"said\n")
    else:
        assert (end["state"], end["exit_code"], end["signal"]) == ("NODE_FAIL", None, None), end
        assert "runner was killed" in end["reason"]
    assert agent.show(ref)["job"] == end, "an end changed"
    assert not (agent.root / "live" / f"{key}.lock").exists()


def test_a_runner_killed_between_claim_and_start(agent: Agent, dying: Dying) -> None:
    """The job was said to start and had not: it never runs, and nobody claims to know more."""
    dying.die("runner", place="let_go")
    agent.submit("job", COMMAND, "gap")
    dying.gone()
    dying.live()
    job = agent.wait("job")
    assert (job["state"], job["exit_code"], runs_of(agent, "gap")) == ("NODE_FAIL", None, 0)
    assert agent.finished("job", COMMAND)["state"] == "COMPLETED"


@pytest.mark.timeout(200)
def test_a_cancel_killed_at_every_step(agent: Agent, dying: Dying) -> None:
    """Repeated, it does what the first did not."""
    agent.submit("job", "sleep 300")
    agent.running("job")
    dying.trace("cancel")
    agent.call("cancel", jobs=["job"], grace=1)
    steps = {step.at for step in dying.traced() if step.who == "main"}
    for at in range(1, min(len(steps), 40), 2):
        agent.submit("job", "sleep 300")
        agent.running("job")
        dying.die("cancel", "main", at)
        agent.raw("cancel", {"jobs": ["job"], "grace": 1})
        dying.live()
        assert agent.call("cancel", jobs=["job"], grace=1)["jobs"][0]["state"] == "CANCELLED", f"step {at}"


# A runner that dies while its job lives


@pytest.fixture(params=["cgroup", "no cgroup"])
def groups(request: pytest.FixtureRequest, agent: Agent) -> Iterator[None]:
    """With control groups, and without."""
    agent.env = {"ORCH_NO_CGROUP": "1"} if request.param == "no cgroup" else {}
    yield


DEAF = "trap '' HUP; "
"""A job that survives the end of its terminal."""


def orphan(agent: Agent, name: str, command: str, **spec: Any) -> dict[str, Any]:
    """A job that runs, and whose runner has just been killed."""
    job = agent.submit(name, command, **spec)
    agent.running(name)
    eventually(lambda: b"on" in agent.log(name), "the job is on")
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    return job


def adopter(agent: Agent, job: dict[str, Any]) -> int:
    words = f"{agent.directory}\0adopt\0{job['id']}\0"

    def look() -> int | None:
        agent.show(f"{job['name']}.{job['run']}")
        return agent._find(words)

    return eventually(look, "somebody adopts the job")


def test_a_job_that_dies_with_its_terminal(agent: Agent, groups: None) -> None:
    waiting = None
    job = agent.submit("job", "echo on; exec sleep 300")
    agent.running("job")
    waiting = agent.popen("wait", {"jobs": ["job"]})
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    end = agent.wait("job")
    assert (end["state"], end["exit_code"], end["signal"]) == ("NODE_FAIL", None, None)
    assert "runner was killed" in end["reason"]
    assert "unknown" in (agent.show("job")["why"] or "")
    assert waiting.wait(20) == 0
    for pipe in (waiting.stdin, waiting.stdout, waiting.stderr):
        assert pipe is not None
        pipe.close()
    assert agent.finished("job", "true")["state"] == "COMPLETED"


@pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])
def test_an_orphan_is_adopted_and_ends_truly(agent: Agent, groups: None, tty: bool) -> None:
    command = DEAF + "echo on; until [ -e go ]; do sleep 0.02; done; echo went on >> proof; exit 0"
    job = orphan(agent, "job", command, tty=tty)
    adopter(agent, job)
    for _ in range(3):
        assert agent.show("job")["job"]["state"] == "RUNNING"
    with pytest.raises(Refused) as refused:
        agent.submit("job", "true")
    assert refused.value.kind == "name_in_use"
    (agent.home / "go").touch()
    end = agent.wait("job")
    assert (agent.home / "proof").read_text() == "went on\n"
    assert (end["state"], end["exit_code"], end["signal"]) == ("NODE_FAIL", None, None)
    assert "runner was killed" in end["reason"] and "unknown" in end["reason"]
    assert not list((agent.root / "live").glob(f"{job['id']}*"))


def test_the_memory_of_an_orphan_is_still_shown(agent: Agent, groups: None) -> None:
    program = "import time; x = bytearray(30 << 20); print('on', flush=True); time.sleep(1); "
    program += "y = bytearray(60 << 20); time.sleep(300)"
    job = orphan(agent, "job", f'exec python3 -c "{program}"', tty=False)
    adopter(agent, job)
    eventually(
        lambda: (agent.running("job")["mem_bytes"] or 0) > 85 << 20, "what it took after its runner's death is seen"
    )
    assert agent.call("cancel", jobs=["job"], grace=2)["jobs"][0]["mem_peak_bytes"] > 85 << 20


@pytest.mark.parametrize("deaf", [False, True])
def test_an_orphan_can_be_cancelled(agent: Agent, groups: None, deaf: bool) -> None:
    command = DEAF + ("trap '' TERM; " if deaf else "") + "echo on; while :; do sleep 300; done"
    job = orphan(agent, "job", command)
    began = time.monotonic()
    end = agent.call("cancel", jobs=["job"], grace=1)["jobs"][0]
    assert time.monotonic() - began < 15
    assert end["state"] == "CANCELLED"
    assert agent.show("job")["job"] == end
    eventually(lambda: agent._find(job["id"]) is None, "its view has gone, too")


DAEMON = "(setsid sh -c 'echo $$ > daemon; exec sleep 300' >/dev/null 2>&1 &) ; echo on; "


def _daemon(agent: Agent) -> Path:
    """The directory of the job's daemon in /proc."""
    pid = eventually(lambda: (agent.home / "daemon").read_text().strip(), "the daemon runs")
    return Path(f"/proc/{pid}")


def test_an_orphan_that_left_its_session_is_not_forgotten(agent: Agent, groups: None) -> None:
    """The command dies with its terminal. By control group or marker its grandchild is still the job's."""
    orphan(agent, "job", "sleep 0.2; " + DAEMON + "sleep 300")
    daemon = _daemon(agent)
    assert agent.wait("job")["state"] == "NODE_FAIL"
    assert not daemon.exists() or "Z" in (daemon / "stat").read_text()


def test_an_orphan_that_may_stay_does(agent: Agent, groups: None) -> None:
    orphan(agent, "job", DAEMON + "until [ -e go ]; do sleep 0.05; done", keep_children=True)
    assert agent.show("job")["job"]["state"] == "RUNNING"
    (agent.home / "go").touch()
    assert agent.wait("job")["state"] == "NODE_FAIL"
    daemon = _daemon(agent)
    assert (daemon / "cmdline").read_bytes() == b"sleep\x00300\x00"
    os.kill(int(daemon.name), signal.SIGKILL)


def test_an_adopter_may_be_killed_too(agent: Agent, groups: None) -> None:
    command = DEAF + "echo on; until [ -e go ]; do sleep 0.02; done; touch proof"
    job = orphan(agent, "job", command)
    seen = set()
    for _ in range(3):
        pid = adopter(agent, job)
        assert pid not in seen
        seen.add(pid)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: agent._find(f"adopt\0{job['id']}") != pid, "it is gone")
    assert agent.show("job")["job"]["state"] == "RUNNING"
    (agent.home / "go").touch()
    assert agent.wait("job")["state"] == "NODE_FAIL"
    assert (agent.home / "proof").exists()


def test_attach_and_send_say_that_the_terminal_is_gone(agent: Agent) -> None:
    job = orphan(agent, "job", DEAF + "echo on; while :; do sleep 0.1; done")
    adopter(agent, job)
    for verb, more in (("attach", {}), ("send", {"text": "x"})):
        with pytest.raises(Refused, match=r"the terminal of job\.1 is gone: its runner was killed"):
            agent.call(verb, job="job", **more)


def test_a_follower_outlives_the_runner(agent: Agent) -> None:
    job = agent.submit("job", "trap '' HUP; for n in $(seq 40); do echo line $n; sleep 0.02; done; exit 3", tty=False)
    agent.running("job")
    follower = agent.popen("logs", {"job": "job", "follow": True})
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    assert follower.stdin and follower.stdout and follower.stderr
    with follower.stdin, follower.stdout, follower.stderr:
        lines = follower.stdout.read().splitlines()
        assert follower.wait(20) == 0
    assert lines[1:] == [b"line %d" % n for n in range(1, 41)]


def test_a_runner_killed_during_cancel(agent: Agent, groups: None) -> None:
    job = agent.submit("job", "trap '' HUP TERM; echo on; while :; do sleep 0.1; done")
    eventually(lambda: b"on" in agent.log("job"), "the job is on")
    cancel = agent.popen("cancel", {"jobs": ["job"], "grace": 2})
    eventually((agent.root / "jobs" / job["id"] / "cancel").exists, "it was asked")
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    assert cancel.stdin and cancel.stdout and cancel.stderr
    with cancel.stdin, cancel.stdout, cancel.stderr:
        assert b'"state":"CANCELLED"' in cancel.stdout.read()
        assert cancel.wait(20) == 0


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE]
)
def test_no_other_signal_ends_the_runner(agent: Agent, number: int) -> None:
    job = agent.submit("job", "echo on; until [ -e go ]; do sleep 0.02; done; exit 9")
    eventually(lambda: b"on" in agent.log("job"), "the job is on")
    os.kill(agent.runner(job["id"]), number)
    (agent.home / "go").touch()
    end = agent.wait("job")
    assert (end["state"], end["exit_code"]) == ("FAILED", 9)


def test_a_runner_that_is_asked_to_end_ends_its_job_and_says_why(agent: Agent) -> None:
    job = agent.submit("job", "trap 'echo told; exit 1' TERM; echo on; while :; do sleep 0.05; done")
    eventually(lambda: b"on" in agent.log("job"), "the job is on")
    os.kill(agent.runner(job["id"]), signal.SIGTERM)
    end = agent.wait("job")
    assert (end["state"], "going down" in end["reason"]) == ("NODE_FAIL", True)
    assert b"told" in agent.log("job")


def test_a_job_may_ignore_the_hangup_signal_or_get_it(agent: Agent) -> None:
    """The runner ignores it; the job does not inherit that."""
    job = agent.finished("job", "kill -HUP $$; echo survived")
    assert (job["state"], job["signal"]) == ("FAILED", signal.SIGHUP)


def test_a_stopped_runner_is_not_taken_for_dead(agent: Agent) -> None:
    job = agent.submit("job", "echo on; until [ -e go ]; do sleep 0.02; done; exit 4")
    eventually(lambda: b"on" in agent.log("job"), "the job is on")
    runner = agent.runner(job["id"])
    os.kill(runner, signal.SIGSTOP)
    try:
        (agent.home / "go").touch()
        for _ in range(5):
            assert agent.show("job")["job"]["state"] == "RUNNING"
    finally:
        os.kill(runner, signal.SIGCONT)
    assert agent.wait("job")["exit_code"] == 4


def test_a_changed_boot_id_ends_what_ran(agent: Agent) -> None:
    """The host came up again: whatever has that pid now is not the job."""
    agent.finished("job", "true")
    with Ledger(str(agent.root / "ledger.db")) as ledger, ledger.transaction():
        from orch_agent.ledger import Start
        from orch_agent.model import JobSpec

        ledger.insert("reboot", 2, JobSpec("job", "sleep 300"), time.time() - 100)
        ledger.claim("reboot", Start(time.time() - 99, os.getpid(), "1", "another-boot", None))
    end = agent.show("job")["job"]
    assert (end["state"], end["state"] in END_STATES) == ("NODE_FAIL", True)
    assert "restarted" in end["reason"]
    assert end["ended_at"] >= end["started_at"]
