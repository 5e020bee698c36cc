"""The supervisor is killed, stopped, doubled, robbed of its lock, its socket, its program: no job notices."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orch_agent import locks
from tests.faults import mounts
from tests.faults.dying import Dying
from tests.support.agent import Agent, Refused, eventually

COUNTED = 'echo "$ORCH_JOB_ATTEMPT" >> ran-$ORCH_JOB; '
GATE = COUNTED + "until [ -e go ]; do sleep 0.02; done; exit 5"


def ran(agent: Agent, ref: str) -> list[str]:
    """The attempts of a run that have begun."""
    path = agent.home / f"ran-{ref}"
    return path.read_text().split() if path.exists() else []


def lock(agent: Agent) -> Path:
    return agent.root / "live" / "supervisor.lock"


@pytest.mark.timeout(300)
def test_killed_at_every_step(agent: Agent) -> None:
    """The job starts when somebody looks, once."""
    agent.finished("job", "true")
    dying = Dying(agent)
    steps = [step for step in dying.steps("supervisor", "job", COUNTED + "exit 3") if step.who == "main"]
    assert len(steps) > 50
    broken = []
    for step in steps[:: max(1, len(steps) // 25)]:
        dying.rest()
        dying.die("supervisor", "main", step.at)
        ref = f"job.{agent.submit('job', COUNTED + 'exit 3')['run']}"
        try:
            _outlived(agent, dying, ref)
        except (AssertionError, Refused) as error:
            broken.append(f"{step.at} {step.where}: {type(error).__name__} {error}")
            dying.live()
            agent.call("cancel", jobs=[ref], grace=0)
    assert not broken, "\n".join(broken)


def _outlived(agent: Agent, dying: Dying, ref: str) -> None:
    eventually(
        lambda: dying.is_gone() or agent.show(ref)["job"]["exit_code"] == 3, "it has died, or had no need to", 10
    )
    dying.live()
    agent.show(ref)
    end = agent.wait(ref)
    assert (end["state"], end["exit_code"], ran(agent, ref)) == ("FAILED", 3, ["1"])


def test_killed_while_jobs_run_wait_and_back_off(agent: Agent) -> None:
    agent.submit("runs", GATE)
    agent.running("runs")
    agent.submit("waits", COUNTED + "exit 6", after=["runs"])
    agent.submit("again", COUNTED + "[ $ORCH_JOB_ATTEMPT = 2 ]", retries=1, retry_delay=1)
    eventually(lambda: ran(agent, "again.1"), "it has failed once")
    for _ in range(3):
        pid = agent.supervisor()
        os.kill(pid, signal.SIGKILL)
        # By the runner of the job that runs: nobody asks.
        eventually(lambda pid=pid: agent.supervisor() != pid, "another supervises")
    (agent.home / "go").touch()
    agent.wait("runs", "again", "waits")
    assert agent.show("runs")["job"]["exit_code"] == 5
    assert agent.show("again")["job"]["state"] == "COMPLETED"
    assert agent.show("waits")["job"]["state"] == "CANCELLED"
    assert (ran(agent, "runs.1"), ran(agent, "again.1"), ran(agent, "waits.1")) == (["1"], ["1", "2"], [])


def test_stopped_for_long(agent: Agent) -> None:
    """What runs ends truly; what is submitted waits, and begins once."""
    agent.submit("runs", GATE)
    agent.running("runs")
    pid = agent.supervisor()
    os.kill(pid, signal.SIGSTOP)
    try:
        agent.submit("later", COUNTED + "exit 7")
        (agent.home / "go").touch()
        assert agent.wait("runs")["exit_code"] == 5
        assert agent.show("later")["job"]["state"] == "PENDING"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert agent.wait("later")["exit_code"] == 7
    assert ran(agent, "later.1") == ["1"]


def test_a_directory_lies_where_its_lock_should(agent: Agent) -> None:
    (agent.root / "live" / "supervisor.lock").mkdir(parents=True)
    assert agent.finished("job", "exit 4")["exit_code"] == 4


def test_a_runner_that_its_job_has_stopped_goes_on(agent: Agent) -> None:
    """A time limit and whoever cancels reach it all the same."""
    late = agent.submit("late", "kill -STOP $PPID; sleep 300", timeout=1)
    assert agent.wait("late")["state"] == "TIMEOUT", late
    agent.submit("job", "kill -STOP $PPID; touch stopped; sleep 300")
    eventually((agent.home / "stopped").exists, "it is stopped")
    agent.call("cancel", jobs=["job"], grace=0)
    assert agent.show("job")["job"]["state"] == "CANCELLED"


def test_of_many_one_stays(agent: Agent) -> None:
    agent.submit("runs", GATE)
    agent.running("runs")
    os.kill(agent.supervisor(), signal.SIGKILL)
    env = {**os.environ, "HOME": str(agent.home)}
    racing = [subprocess.Popen(agent.argv("supervisor"), env=env, stderr=subprocess.DEVNULL) for _ in range(6)]
    try:
        eventually(lambda: sum(one.poll() is None for one in racing) <= 1, "all but one have gone")
        assert all(one.poll() in (None, 0) for one in racing)
        agent.submit("next", COUNTED + "exit 8")
        assert agent.wait("next")["exit_code"] == 8
        assert ran(agent, "next.1") == ["1"]
        (agent.home / "go").touch()
        agent.wait("runs")
    finally:
        for one in racing:
            one.wait(20)


def test_its_lock_and_its_socket_are_removed(agent: Agent) -> None:
    """It notices, or another takes its place; there is one in the end, and it hears."""
    agent.submit("runs", GATE)
    agent.running("runs")
    lock(agent).unlink()
    (agent.root / "supervisor.sock").unlink()
    eventually(lambda: locks.is_held(str(lock(agent))), "somebody holds the lock")
    agent.submit("next", COUNTED + "exit 9")
    assert agent.wait("next")["exit_code"] == 9
    eventually((agent.root / "supervisor.sock").exists, "it listens again")
    eventually(lambda: len(supervisors(agent)) == 1, "there is one")
    assert ran(agent, "next.1") == ["1"]


def supervisors(agent: Agent) -> list[int]:
    """Those who are that, and no runner: a runner has the directory of its job for its own."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_text().split("\0")
            if str(agent.directory) in words and "supervisor" in words:
                found += [int(entry)] if os.readlink(f"/proc/{entry}/cwd") == str(agent.root) else []
        except OSError:
            continue
    return found


def newer(agent: Agent, release: str = "(9, 0, 0)") -> Agent:
    """The same host's agent of a later release."""
    directory = agent.root / "agent-newer"
    shutil.copytree(agent.directory, directory)
    (directory / "orch_agent" / "__init__.py").write_text(f'"""Newer."""\n\nRELEASE = {release}\n')
    other = Agent(agent.home)
    other.directory = directory
    return other


def signed(agent: Agent) -> dict[str, Any]:
    """What the lock file tells of the supervisor."""
    said: dict[str, Any] = json.loads(lock(agent).read_text().partition("\n")[2])
    return said


def test_a_newer_one_takes_over(agent: Agent) -> None:
    """The same process holds the same lock; jobs run on, and what is pending is started by the newer one."""
    agent.submit("runs", GATE)
    agent.running("runs")
    agent.submit("waits", COUNTED + "exit 6", after=["runs"])
    pid, file = agent.supervisor(), lock(agent).stat().st_ino
    later = newer(agent)
    later.submit("next", COUNTED + "exit 7")
    eventually(lambda: signed(agent)["release"] == [9, 0, 0], "the newer one has signed")
    assert (agent.supervisor(), lock(agent).stat().st_ino) == (pid, file)
    assert signed(agent)["agent"] == str(later.directory)
    assert agent.wait("next")["exit_code"] == 7
    agent.submit("last", COUNTED + "exit 8")  # the older one is content
    assert agent.wait("last")["exit_code"] == 8
    assert signed(agent)["release"] == [9, 0, 0]
    (agent.home / "go").touch()
    assert agent.wait("runs")["exit_code"] == 5
    assert all(ran(agent, ref) == ["1"] for ref in ("runs.1", "next.1", "last.1"))
    eventually(lambda: not locks.is_held(str(lock(agent))), "it ends when there is nothing to do")


def test_an_older_one_starts_nothing_that_it_does_not_understand(agent: Agent) -> None:
    """It would run the job without its secret."""
    older = newer(agent, "(0, 1, 0)")
    given = older.directory / "orch_agent" / "given.py"
    given.write_text(
        given.read_text().replace("def to(record: Record)", "def to(_):\n    return Given({}, [])\n\n\ndef _to(record)")
    )
    older.submit("runs", GATE)
    older.running("runs")
    assert signed(agent)["release"] == [0, 1, 0]
    spec = {"name": "job", "command": "echo ${#A}", "secrets": {"A": "A"}}
    agent.call("submit", id="one", spec=spec, secrets={"A": "twelve chars"})
    assert agent.wait("job")["exit_code"] == 0 and agent.log("job").split() == [b"12"]
    assert agent.wait("job")["state"] == "COMPLETED" and signed(agent)["release"] != [0, 1, 0]


def test_one_that_cannot_take_over_changes_nothing(agent: Agent) -> None:
    """Half of an agent, or a directory of somebody else."""
    agent.submit("runs", GATE)
    agent.running("runs")
    pid = agent.supervisor()
    later = newer(agent)
    message = b"give way to " + os.fsencode(later.directory)
    (later.directory / "__main__.py").unlink()
    (agent.home / "agent-x").mkdir()
    (agent.home / "agent-x" / "__main__.py").write_text("")
    for words in (
        message,
        b"give way to /tmp",
        b"give way to " + os.fsencode(agent.home / "agent-x"),
        b"\0",
        b"x" * 4000,
    ):
        say(agent, words)
    agent.submit("next", COUNTED + "exit 7")
    assert agent.wait("next")["exit_code"] == 7
    assert (agent.supervisor(), signed(agent)["agent"]) == (pid, str(agent.directory))


def say(agent: Agent, words: bytes) -> None:
    """Send a datagram to the supervisor."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knock:
        knock.sendto(words, str(agent.root / "supervisor.sock"))


def test_its_program_is_removed(agent: Agent) -> None:
    """With no other there it goes on by what it has loaded; with another there that one takes over."""
    agent.submit("runs", GATE)
    agent.running("runs")
    agent.submit("waits", "exit 0", after=["runs"], tty=False)
    kept = agent.home / "kept"
    agent.directory.rename(kept)
    spare = Agent(agent.home)  # installed anew, elsewhere: as a client does that misses its agent
    spare.directory.rename(agent.root / "agent-other")
    spare.directory = agent.root / "agent-other"
    eventually(lambda: signed(agent)["agent"] == str(spare.directory), "the other one has taken over")
    agent.directory = spare.directory
    (agent.home / "go").touch()
    assert agent.wait("runs")["exit_code"] == 5
    assert agent.wait("waits")["state"] == "CANCELLED"


def test_its_program_is_removed_and_there_is_no_other(agent: Agent) -> None:
    agent.submit("runs", GATE)
    agent.submit("second", COUNTED + "exit 6; ", after=[], tty=False)
    agent.wait("second")
    agent.running("runs")
    agent.submit("after", COUNTED + "exit 7", retries=1, retry_delay=1)
    eventually(lambda: ran(agent, "after.1") == ["1"], "its first attempt has begun")
    kept = agent.home / "kept"
    agent.directory.rename(kept)
    eventually(lambda: ran(agent, "after.1") == ["1", "2"], "its second attempt, too")
    (agent.home / "go").touch()
    kept.rename(agent.directory)
    agent.wait("runs", "after")
    assert agent.show("after")["job"]["attempt"] == 2


def test_a_restart_of_the_host(agent: Agent) -> None:
    """Its boot id is another one then: what ran is ended as such, and tried again where that was asked for."""
    agent.submit("once", COUNTED + "exec sleep 300")
    agent.submit("twice", COUNTED + "[ $ORCH_JOB_ATTEMPT = 2 ] || exec sleep 300", retries=1, retry_delay=0)
    agent.submit("waits", COUNTED + "exit 0", after=["twice"])
    for name in ("once", "twice"):
        agent.running(name)
    live = [agent.supervisor(), *(agent.runner(agent.show(name)["job"]["id"]) for name in ("once", "twice"))]
    for pid in live:
        os.kill(pid, signal.SIGKILL)
    with sqlite3.connect(agent.root / "ledger.db", timeout=10) as db:
        db.execute("UPDATE jobs SET boot_id = 'the one before' WHERE started_at IS NOT NULL AND ended_at IS NULL")
    db.close()
    agent.wait("once", "twice", "waits")
    once = agent.show("once")["job"]
    assert once["state"] == "NODE_FAIL"
    assert agent.show("twice")["job"]["state"] == agent.show("waits")["job"]["state"] == "COMPLETED"
    assert (ran(agent, "once.1"), ran(agent, "twice.1"), ran(agent, "waits.1")) == (["1"], ["1", "2"], ["1"])


# A copied disk


def test_a_copied_disk_holds_its_jobs(agent: Agent) -> None:
    """Until somebody says that this machine shall run them; what runs already is not touched."""
    agent.submit("runs", GATE)
    agent.running("runs")
    agent.submit("waits", COUNTED + "exit 3", after=["runs"])
    (agent.root / "copied").write_text('{"machine": "another"}\n')
    (agent.root / "copied").rename(agent.root / "machine")
    agent.submit("new", COUNTED + "exit 4")
    (agent.home / "go").touch()
    assert agent.wait("runs")["exit_code"] == 5
    assert agent.call("wait", jobs=["new"], timeout=1)["timed_out"]
    assert "copied from another machine" in agent.show("new")["job"]["reason"]
    said = agent.call("examine")["machine"]
    assert said["ours"] is False
    subprocess.run(["sh", "-c", said["mend"]], check=True)
    assert agent.wait("new")["exit_code"] == 4
    assert agent.call("examine")["machine"]["ours"] is True
    assert json.loads((agent.root / "machine").read_text())["machine"] != "another"


# What it lacks


def test_no_process_can_be_had_for_a_while(agent: Agent) -> None:
    """The job is given up as lost and started again, once there is room; the supervisor stays the same."""
    agent.finished("first", "true")
    Dying(agent)  # waits for the supervisor to end
    (agent.directory / "__main__.py").write_text(
        "import errno, os, sys\n"
        "from orch_agent.__main__ import main\n"
        "fork, left = os.fork, [3]\n"
        "def short():\n"
        "    left[0] -= 1\n"
        "    if left[0] >= 0:\n"
        "        raise OSError(errno.ENOMEM, 'no memory')\n"
        "    return fork()\n"
        "if sys.argv[1] == 'supervisor':\n"
        "    os.fork = short\n"
        "main()\n"
    )
    agent.submit("gate", COUNTED + "exit 3")
    pid = agent.supervisor()
    assert agent.wait("gate")["exit_code"] == 3
    assert ran(agent, "gate.1") == ["1"]
    assert "no memory" in (agent.root / "supervisor.err").read_text()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the same one went on until there was nothing to do")


def test_a_full_disk_and_room_again(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs ends truly, what waits goes on with the room; the supervisor lives through it."""
    with mounts.tmpfs(agent.home / "small", "2m") as disk:
        monkeypatch.setenv("ORCH_HOME", str(disk))
        agent.root = disk
        agent.submit("runs", GATE)
        agent.running("runs")
        agent.submit("next", "exit 0", after=["runs"])
        pid = agent.supervisor()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        (agent.home / "go").touch()
        eventually(lambda: agent.show("runs")["job"]["exit_code"] == 5, "its end is seen")
        assert agent.supervisor() == pid
        filler.unlink()
        agent.wait("runs", "next")
        assert agent.show("next")["job"]["state"] == "CANCELLED"
        assert agent.finished("last", COUNTED + "exit 6")["exit_code"] == 6
        agent.close()
