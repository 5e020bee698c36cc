"""Several at once: whoever comes second is told so, and nothing happens twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faults.dying import Dying
from tests.faults.programs import path_without
from tests.support.agent import Agent, Refused, eventually


def together(agent: Agent, verb: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of verbs that begin as close together as processes can: started first, then asked all at once."""
    env = {**os.environ, "HOME": str(agent.home), **agent.env}
    pipe = subprocess.PIPE
    asked = [subprocess.Popen(agent.argv(verb), stdin=pipe, stdout=pipe, stderr=pipe, env=env) for _ in requests]
    for process, request in zip(asked, requests, strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
    with ThreadPoolExecutor(len(asked)) as pool:
        said = list(pool.map(lambda process: process.communicate(timeout=60), asked))
    assert [err for _, err in said if err] == []
    return [json.loads(out) for out, _ in said]


def begun(agent: Agent) -> list[str]:
    path = agent.home / "ran"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def viewless(agent: Agent) -> Agent:
    """Views have no part in these races and take time: tmux is not to be had."""
    agent.finished("x", "true")
    agent.env = {"PATH": path_without("tmux", agent.home / "programs")}
    return agent


@pytest.mark.timeout(300)
def test_the_same_name_from_two_clients_a_hundred_times(viewless: Agent) -> None:
    agent = viewless
    for turn in range(100):
        spec = {"name": "same", "command": "echo $ORCH_JOB_ID >> ran; exec sleep 300", "tty": turn % 2 == 0}
        keys = [f"t{turn}-{client}" for client in "ab"]
        answers = together(agent, "submit", [{"id": key, "spec": spec} for key in keys])
        taken = [answer["job"] for answer in answers if "job" in answer]
        refused = [answer["error"] for answer in answers if "error" in answer]
        assert [error["kind"] for error in refused] == ["name_in_use"], (turn, answers)
        assert [job["run"] for job in taken] == [turn + 1]
        eventually(lambda key=taken[0]["id"]: key in begun(agent), "the accepted one runs")
        assert agent.call("cancel", jobs=["same"], grace=0)["jobs"][0]["id"] == taken[0]["id"]
    assert len(begun(agent)) == len(set(begun(agent))) == 100


def test_the_same_submission_from_ten_clients_at_once(viewless: Agent) -> None:
    agent = viewless
    for turn in range(5):
        request = {
            "id": f"one-{turn}",
            "spec": {"name": f"job{turn}", "command": "echo $ORCH_JOB_ID >> ran; echo said"},
        }
        answers = together(agent, "submit", [request] * 10)
        assert sorted(answer["created"] for answer in answers) == [False] * 9 + [True]
        assert {(answer["job"]["id"], answer["job"]["run"]) for answer in answers} == {(f"one-{turn}", 1)}
        assert agent.wait(f"job{turn}")["state"] == "COMPLETED"
        assert begun(agent).count(f"one-{turn}") == 1
        assert agent.log(f"job{turn}") == b"said\r\n"
        assert agent.show(f"job{turn}")["job"]["attempt"] == 1


def test_losers_of_a_start_leave_nothing(viewless: Agent) -> None:
    """Ten submissions see to it that one job starts: one process, and in the end no lock and no control group stays."""
    agent = viewless
    request = {"id": "alone", "spec": {"name": "alone", "command": "read x; exit 5"}}
    together(agent, "submit", [request] * 10)
    agent.running("alone")
    runner = agent.runner("alone")
    eventually(lambda: _runners(agent, "alone") == [runner], "one runner stays")
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    assert len(children) == 1
    agent.call("send", job="alone", text="")
    assert agent.wait("alone")["exit_code"] == 5
    eventually(lambda: _runners(agent, "alone") == [], "the runner has ended")
    locked = (agent.root / "live" / "supervisor.lock").name
    assert [path.name for path in (agent.root / "live").iterdir() if path.name != locked] == []
    name = f"alone.{zlib.crc32(os.fsencode(agent.root)):08x}"  # not one that another run of the tests has left
    groups = [path for path in Path("/sys/fs/cgroup").glob(f"**/orch-jobs/{name}") if path.is_dir()]
    assert groups == []
    errors = agent.root / "jobs" / "alone" / "agent.err"
    assert not errors.exists() or errors.read_text() == ""


def _runners(agent: Agent, key: str) -> list[int]:
    """Forks of the supervisor in the job's directory."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
            is_ours = f"{agent.directory}\0supervisor\0".encode() in words
            if is_ours and os.readlink(f"/proc/{entry}/cwd") == str(agent.root / "jobs" / key):
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                found.append((int(entry), parent))
        except OSError:
            continue
    # A child that waits at its gate looks like its runner until it becomes the job.
    return [pid for pid, parent in found if parent not in [other for other, _ in found]]


@pytest.mark.parametrize("obstacle", ["result.json.room", "times"])
def test_a_loser_that_fails_does_not_end_the_winner(agent: Agent, obstacle: str) -> None:
    """Two runners; one starts the job, the other cannot even begin: the job goes on."""
    agent.finished("x", "true")
    dying = Dying(agent)
    dying.halt("runner", place="_try")
    agent.submit("two", "echo on; until [ -e go ]; do sleep 0.02; done; exit 5", "two")
    loser = dying.halted()
    dying.live()
    os.kill(agent.supervisor(), signal.SIGKILL)  # the next one finds the job without a runner
    try:
        agent.show("two")
        eventually(lambda: b"on" in agent.log("two"), "the second runner has started the job")
        path = agent.root / "jobs" / "two" / obstacle
        path.unlink(missing_ok=True)
        path.mkdir()
    finally:
        os.kill(loser, signal.SIGCONT)
    try:
        eventually(dying.is_gone, "the loser has gone")
        assert agent.show("two")["job"]["state"] == "RUNNING"
    finally:
        path.rmdir()
        (agent.home / "go").touch()  # whatever was said of it, it ends
    assert agent.wait("two")["exit_code"] == 5


def test_one_key_with_two_commands_at_once(viewless: Agent) -> None:
    agent = viewless
    for turn in range(5):
        specs = [{"name": "two", "command": f"echo {word}"} for word in ("this", "that")]
        answers = together(agent, "submit", [{"id": f"k{turn}", "spec": spec} for spec in specs])
        assert sorted("conflict" if "error" in a else "taken" for a in answers) == ["conflict", "taken"], answers
        job = agent.wait(f"two.{turn + 1}")
        assert agent.log(f"two.{turn + 1}").decode().strip() in job["command"]


def test_the_first_contact_of_many(agent: Agent) -> None:
    """Nobody has been here before: the ledger is made by ten at once."""
    requests = [{"id": f"first{n}", "spec": {"name": f"n{n}", "command": "true", "tty": False}} for n in range(10)]
    answers = together(agent, "submit", requests)
    assert all(answer.get("created") for answer in answers), answers
    jobs = agent.call("wait", jobs=[f"n{n}" for n in range(10)], timeout=30)["jobs"]
    assert {job["state"] for job in jobs} == {"COMPLETED"}


def test_ten_cancel_at_once(viewless: Agent) -> None:
    agent = viewless
    agent.submit("x", "trap '' TERM; echo on; while :; do sleep 0.1; done")
    eventually(lambda: b"on" in agent.log("x"), "it runs")
    answers = together(agent, "cancel", [{"jobs": ["x"], "grace": n % 2} for n in range(10)])
    assert {answer["jobs"][0]["state"] for answer in answers} == {"CANCELLED"}
    assert len({json.dumps(answer["jobs"]) for answer in answers}) == 1


def test_cancel_as_soon_as_it_is_accepted(viewless: Agent) -> None:
    """Before, while and after it starts: it is cancelled or it has completed, and never both."""
    agent = viewless
    for turn in range(20):
        job = agent.submit("quick", "echo $ORCH_JOB_ID >> ran; exec sleep 300", f"q{turn}")
        end = agent.call("cancel", jobs=["quick"], grace=0)["jobs"][0]
        assert (end["id"], end["state"]) == (job["id"], "CANCELLED")
        assert agent.show("quick")["job"] == end
        # One that was on its way when the job was ended finds nothing to do, and goes.
        eventually(lambda job=job: not _runners(agent, job["id"]), "no runner is left")


def test_a_job_that_ends_while_it_is_cancelled(viewless: Agent) -> None:
    agent = viewless
    for _ in range(15):
        job = agent.submit("brief", "exit 3", tty=False)
        end = agent.call("cancel", jobs=["brief"], grace=5)["jobs"][0]
        assert end["state"] in ("FAILED", "CANCELLED")
        if end["state"] == "FAILED":
            assert end["exit_code"] == 3
        assert agent.show(f"brief.{job['run']}")["job"] == end


def test_ten_adopters_for_one_orphan(viewless: Agent) -> None:
    agent = viewless
    job = agent.submit("orphan", "trap '' HUP; echo on; until [ -e go ]; do sleep 0.02; done")
    eventually(lambda: b"on" in agent.log("orphan"), "it runs")
    os.kill(agent.runner(job["id"]), 9)
    answers = together(agent, "show", [{"job": "orphan"}] * 10)
    assert {answer["job"]["state"] for answer in answers} == {"RUNNING"}
    (agent.home / "go").touch()
    end = agent.wait("orphan")
    assert end["state"] == "NODE_FAIL"
    assert all(answer["job"] == end for answer in together(agent, "show", [{"job": "orphan"}] * 5))


def test_a_name_is_free_the_moment_its_job_is_over(viewless: Agent) -> None:
    """`wait` returned: the next submission of that name is not refused."""
    agent = viewless
    for _ in range(15):
        agent.finished("chain", "true")
    with pytest.raises(Refused):
        agent.submit("chain", "exec sleep 300")
        agent.submit("chain", "true")
