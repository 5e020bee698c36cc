"""What a hostile tester found: pids used again, directories and locks that jobs remove, descriptors, tmux's moods."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.programs import path_without
from tests.support.agent import Agent, Refused, eventually

WATCH = b"w" + (4).to_bytes(4, "big") + b"\0\x1e\0\x78"


def connected(agent: Agent, job_id: str, patience: float = 1.0) -> socket.socket:
    """A connection to the job's runner."""
    before = os.getcwd()
    os.chdir(agent.root / "jobs" / job_id)
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(patience)
    try:
        one.connect("tty.sock")
    except OSError:
        one.close()
        raise
    finally:
        os.chdir(before)
    return one


def ticks(pid: int) -> int:
    """Hundredths of a second of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def group_of(job_id: str) -> list[str]:
    """Control groups made for this job that are still there."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/orch-jobs/{job_id}" in path]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_pid_used_again_is_somebody_else(agent: Agent) -> None:
    """The first process of an orphaned job is gone, and another program of the person's has its number now."""
    job = agent.submit("job", "trap '' HUP; (trap '' HUP TERM; echo on > on; exec sleep 300) & exec sleep 300")
    eventually((agent.home / "on").exists, "the job's child runs")
    innocent = subprocess.Popen(["sleep", "300"])
    try:
        with contextlib.closing(sqlite3.connect(agent.root / "ledger.db")) as database:
            (first,) = database.execute("SELECT pid FROM jobs").fetchone()
            os.kill(agent.runner(job["id"]), signal.SIGKILL)
            os.kill(first, signal.SIGKILL)
            database.execute("UPDATE jobs SET pid = ?", [innocent.pid])  # as if it had been given out again
            database.commit()
        assert agent.call("cancel", jobs=["job"], grace=0)["jobs"][0]["state"] == "CANCELLED"
        time.sleep(0.2)
        assert innocent.poll() is None, "cancel killed a process that was never the job's"
    finally:
        innocent.kill()
        innocent.wait()


def test_a_job_that_removed_its_directory_can_be_cancelled(agent: Agent) -> None:
    job = agent.submit("job", "rm -rf ~/.orch/jobs/$ORCH_JOB_ID; sleep 300")
    eventually(lambda: not (agent.root / "jobs" / job["id"]).exists(), "the directory is gone")
    assert agent.call("cancel", jobs=["job"], grace=0)["jobs"][0]["state"] == "CANCELLED"


def test_a_job_that_removes_the_locks_keeps_its_runner(viewless_agent: Agent) -> None:
    """Nobody who looks may take it for an orphan and write an end of his own over the true one."""
    agent = viewless_agent
    for turn in range(15):
        job = agent.submit("job", "sleep 0.2; rm -rf ~/.orch/live; touch gone; sleep 1; exit 4")
        eventually((agent.home / "gone").exists, "the locks are gone")
        agent.show("job")
        ended = agent.wait("job")
        time.sleep(0.5)
        told = (agent.root / "jobs" / job["id"] / "result.json").read_text()
        assert (ended["state"], ended["exit_code"]) == ("FAILED", 4), turn
        assert '"exit_code":4' in told, told
        (agent.home / "gone").unlink()


@pytest.fixture
def viewless_agent(agent: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Agent]:
    """No views: they are of no interest here."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", path_without("tmux", tmp_path / "bin"))
        yield agent


def test_a_runner_out_of_descriptors_does_not_spin(agent: Agent) -> None:
    job = agent.submit("job", "sleep 300")
    agent.running("job")
    runner = agent.runner(job["id"])
    agent.tmux("kill-server")
    resource.prlimit(runner, resource.RLIMIT_NOFILE, (32, 32))
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connected(agent, job["id"]))
        before = ticks(runner)
        time.sleep(2)
        assert ticks(runner) - before < 20
    eventually(lambda: len(os.listdir(f"/proc/{runner}/fd")) < 20, "it lets go of those who left")
    agent.call("send", job="job", text="x")


def test_what_nobody_reads_does_not_fill_the_runner(agent: Agent) -> None:
    """50 MB typed at a job that reads nothing: those who type wait, not the memory of the host."""
    job = agent.submit("job", "stty raw -echo; sleep 300")
    agent.running("job")
    runner = agent.runner(job["id"])
    frame = b"i" + (1 << 16).to_bytes(4, "big") + b"x" * (1 << 16)
    with connected(agent, job["id"]) as typist:
        with contextlib.suppress(TimeoutError):
            for _ in range(800):
                typist.sendall(frame)
        size = next(line for line in Path(f"/proc/{runner}/status").read_text().splitlines() if "VmRSS" in line)
        assert int(size.split()[1]) < 40_000, size
        assert agent.call("cancel", jobs=["job"], grace=0)["jobs"][0]["state"] == "CANCELLED"


def test_a_full_queue_before_a_stopped_runner_blocks_nobody(agent: Agent) -> None:
    job = agent.submit("job", "sleep 300")
    agent.running("job")
    with contextlib.ExitStack() as stack, stopped(agent.runner(job["id"])):
        with contextlib.suppress(OSError):
            for _ in range(200):
                stack.enter_context(connected(agent, job["id"], 0.2))
        sender = agent.popen("send", {"job": "job", "text": "x"})
        try:
            assert sender.wait(20) == 1
        finally:
            sender.kill()
            sender.communicate()


def test_a_job_that_is_cancelled_before_it_starts_leaves_nothing(viewless_agent: Agent) -> None:
    agent = viewless_agent
    for turn in range(25):
        job = agent.submit(f"job{turn}", "true")
        time.sleep(turn * 0.006)
        ended = agent.call("cancel", jobs=[f"job{turn}"], grace=0)["jobs"][0]
        if ended["reason"] == "cancelled before it started":
            eventually(lambda key=job["id"]: not agent._find(f"runner\0{key}"), "its runner went away")
            assert group_of(job["id"]) == []
            assert not list((agent.root / "jobs" / job["id"]).glob("*.room"))


@pytest.mark.parametrize("what", ["fifo", "dangling link"])
def test_something_else_where_the_log_belongs(agent: Agent, what: str) -> None:
    """One name's folder must not stop the whole host: the ledger is held meanwhile."""
    place = agent.home / "logs" / "job" / "1.log"
    place.parent.mkdir(parents=True)
    os.mkfifo(place) if what == "fifo" else place.symlink_to("/nonexistent/x")
    submission = agent.popen("submit", {"id": "one", "spec": {"name": "job", "command": "echo hi"}})
    try:
        assert submission.wait(10) == 0
    finally:
        submission.kill()
        submission.communicate()
    agent.wait("job")
    assert agent.log("job") == b"hi\r\n"


@pytest.mark.parametrize("line", ["set -g destroy-unattached on", "set -g default-shell /bin/false"])
def test_the_view_opens_whatever_the_person_told_tmux(agent: Agent, line: str) -> None:
    (agent.home / ".tmux.conf").write_text(line + "\n")
    agent.submit("job", "sleep 300")
    agent.running("job")
    session = agent.call("attach", job="job")["session"]
    time.sleep(0.3)
    assert session in agent.tmux("list-sessions", "-F", "#{session_name}").split()


def test_a_stopped_tmux_server_holds_up_nobody_for_long(agent: Agent) -> None:
    agent.tmux("new-session", "-d", "-s", "mine")
    with stopped(int(agent.tmux("display-message", "-p", "#{pid}"))):
        began = time.monotonic()
        agent.submit("job", "sleep 300")
        assert time.monotonic() - began < 10
        with pytest.raises(Refused, match="tmux"):
            agent.call("attach", job="job")


@pytest.mark.parametrize("keep", [True, False])
def test_an_orphan_ends_when_its_command_does(agent: Agent, keep: bool) -> None:
    """As with a runner: what it leaves is ended, or kept if that was asked for."""
    child = "(trap '' HUP; echo $BASHPID > child; exec sleep 300) &"
    job = agent.submit("job", f"trap '' HUP; {child} until [ -e go ]; do sleep 0.05; done", keep_children=keep)
    pid = int(eventually(lambda: (agent.home / "child").exists() and (agent.home / "child").read_text(), "a child"))
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    agent.show("job")
    (agent.home / "go").touch()
    try:
        assert agent.wait("job", timeout=15)["state"] == "NODE_FAIL"
        stat = Path(f"/proc/{pid}/stat")
        assert (stat.exists() and ") Z " not in stat.read_text()) == keep
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def test_whoever_types_too_much_hides_the_job_from_nobody(agent: Agent) -> None:
    """The typist waits; others look at the job, and those who go away are let go."""
    job = agent.submit("job", "echo hello; stty raw -echo; sleep 300")
    eventually(lambda: b"hello" in agent.log("job"), "it has begun")
    runner = agent.runner(job["id"])
    frame = b"i" + (1 << 16).to_bytes(4, "big") + b"x" * (1 << 16)
    with connected(agent, job["id"]) as typist, contextlib.suppress(TimeoutError):
        for _ in range(100):
            typist.sendall(frame)
    with connected(agent, job["id"], 3) as view:
        view.sendall(WATCH)
        assert b"hello" in view.recv(1000)
    before = len(os.listdir(f"/proc/{runner}/fd"))
    for _ in range(20):
        connected(agent, job["id"]).close()
    eventually(lambda: len(os.listdir(f"/proc/{runner}/fd")) <= before, "visitors are let go", 5)


def test_a_log_that_somebody_empties_goes_on(agent: Agent) -> None:
    """`: > LOG` makes room on a full disk: those who look see what comes afterwards."""
    job = agent.submit(
        "job", "for i in $(seq 50); do echo before; done; until [ -e go ]; do sleep 0.05; done; echo after"
    )
    eventually(lambda: agent.log("job").count(b"before") == 50, "it has written")
    follower = agent.popen("logs", {"job": "job", "follow": True})
    with connected(agent, job["id"], 5) as view:
        view.sendall(WATCH)
        assert b"before" in view.recv(100_000)
        os.truncate(agent.home / "logs" / "job" / "1.log", 0)
        time.sleep(0.3)
        (agent.home / "go").touch()
        assert b"after" in view.recv(100_000)
    assert b"after" in follower.communicate(timeout=20)[0]


def test_a_home_of_orch_that_ends_with_a_semicolon(agent: Agent, home: Path) -> None:
    """To tmux that is the end of a command."""
    other = Agent(home, env={"ORCH_HOME": f"{home}/x;"})
    other.submit("job", "sleep 300")
    try:
        eventually(lambda: other.show("job")["job"]["state"] == "RUNNING", "it runs")
        session = other.call("attach", job="job")["session"]
        time.sleep(0.3)
        assert session in agent.tmux("list-sessions", "-F", "#{session_name}").split()
    finally:
        other.call("cancel", jobs=["job"], grace=0)


def test_kept_children_outlive_the_terminal(agent: Agent) -> None:
    """A plain background child too: the end of the terminal is no end for it."""
    job = agent.finished("kept", "sleep 300 & echo $! > child", keep_children=True)
    assert job["state"] == "COMPLETED"
    child = int((agent.home / "child").read_text())
    time.sleep(0.2)
    assert Path(f"/proc/{child}/cmdline").read_bytes() == b"sleep\x00300\x00"
    os.kill(child, signal.SIGKILL)


def test_a_path_that_leads_nowhere(agent: Agent) -> None:
    agent.finished("lost", "echo begun", env={"PATH": "/nowhere"})
    assert agent.log("lost").endswith(b"begun\r\n")  # the system's own profile may complain before
