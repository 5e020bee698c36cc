"""Exit statuses of those who stay with a job, and what the end of their patience does to it (nothing)."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.terminal import Terminal

ENDS = [
    ("true", 0),
    ("exit 1", 1),
    ("exit 2", 2),
    ("exit 77", 77),
    ("exit 130", 130),
    ("exit 255", 255),
    ("no-such-program", 127),
    ("kill -TERM $$", 143),
    ("kill -KILL $$", 137),
    ("kill -HUP $$", 129),
    ("kill -SEGV $$; sleep 9", 139),
]


@pytest.mark.parametrize(("command", "status"), ENDS)
@pytest.mark.parametrize("words", [["--wait"], ["-f"]], ids=["wait", "follow"])
def test_run_ends_as_the_job_did(orch: Orch, command: str, status: int, words: list[str]) -> None:
    assert orch("run", "job", command, *words).status == status
    assert orch("wait", "job").status == status


def test_every_status_of_wait(orch: Orch) -> None:
    """All 256 in one job each, then one `wait` for each of a spread, and all at once for the first that is not 0."""
    spread = [0, 1, 2, 3, 4, 63, 64, 100, 124, 126, 127, 128, 129, 200, 254, 255]
    for code in spread:
        assert orch("run", f"x{code}", "--no-tty", f"exit {code}").status == 0
    assert orch("wait", *(f"x{code}" for code in spread)).status == 1
    for code in spread:
        assert orch("wait", f"x{code}").status == code


def test_a_cancelled_job(orch: Orch, agent: Agent) -> None:
    orch("run", "job", "sleep 300")
    agent.running("job")
    with orch.popen("wait", "job") as waiting, orch.popen("logs", "-f", "job") as following:
        assert orch("cancel", "job") == (0, "job.1 CANCELLED\n", "")
        assert waiting.wait(30) == 143
        assert following.wait(30) == 0
    assert orch("cancel", "job") == (0, "job.1 CANCELLED\n", "")


def test_cancelling_what_has_ended(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    assert orch("cancel", "job") == (0, "job.1 had ended already: COMPLETED\n", "")
    assert orch("wait", "job").status == 0


def test_cancel_gives_the_grace_it_was_told(orch: Orch, agent: Agent) -> None:
    orch("run", "deaf", "trap '' TERM; touch deaf; while :; do sleep 0.1; done")
    eventually((orch.home / "deaf").exists, "the job ignores TERM")
    assert orch("cancel", "deaf", "--grace", "0.2s", timeout=9).status == 0
    assert orch("show", "deaf", "--json").json["job"]["state"] == "CANCELLED"


def test_several_jobs_in_the_order_given(orch: Orch) -> None:
    for name, command in (("a", "exit 5"), ("b", "true"), ("c", "kill -9 $$"), ("d", "exit 7")):
        orch("run", name, command)
    assert orch("wait", "b", "d", "c", "a") == (7, "b.1 COMPLETED\nd.1 FAILED\nc.1 FAILED\na.1 FAILED\n", "")
    assert orch("wait", "c", "a").status == 137
    assert orch("wait", "b", "b").status == 0


def test_any_of_several(orch: Orch, agent: Agent) -> None:
    orch("run", "long", "sleep 300")
    orch("run", "short", "exit 6")
    done = orch("wait", "long", "short", "--any")
    assert (done.status, done.out) == (6, "short.1 FAILED\n")
    assert agent.show("long")["job"]["state"] == "RUNNING"


def test_the_end_of_patience(orch: Orch, agent: Agent) -> None:
    orch("run", "long", "sleep 300")
    orch("run", "short", "exit 6")
    orch("wait", "short")
    done = orch("wait", "short", "long", "--timeout", "0.3s")
    assert (done.status, done.out) == (255, "short.1 FAILED\n")
    assert "long.1" in done.err
    document = orch("wait", "long", "--timeout", "0.1", "--json")
    assert (document.status, document.json["timed_out"], document.json["jobs"][0]["state"]) == (255, True, "RUNNING")
    assert agent.show("long")["job"]["state"] == "RUNNING"


def test_a_refused_submission_is_no_end_of_a_job(orch: Orch, agent: Agent) -> None:
    orch("run", "busy", "sleep 300")
    agent.running("busy")
    for words in (["--wait"], ["-f"]):
        assert orch("run", "busy", "true", *words).status == 1


def test_a_killed_runner_is_no_exit_status(orch: Orch, agent: Agent) -> None:
    orch("run", "job", "sleep 300")
    job = agent.running("job")
    with orch.popen("wait", "job") as waiting:
        os.kill(agent.runner(job["id"]), signal.SIGKILL)
        assert waiting.wait(60) == 255
    done = orch("show", "job", "--json").json
    assert (done["job"]["state"], done["job"]["exit_code"], done["job"]["signal"]) == ("NODE_FAIL", None, None)
    assert done["why"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wait", "job"], "the jobs run on: orch status job"),
        (["logs", "-f", "job"], "job.1 runs on"),
        (["run", "other", "echo begun; sleep 300", "-f"], "other.1 runs on"),
        (["run", "other", "echo begun; sleep 300", "--wait"], "other.1 runs on"),
    ],
)
def test_an_interrupt_ends_the_looking_only(orch: Orch, agent: Agent, words: list[str], said: str) -> None:
    orch("run", "job", "echo begun; sleep 300")
    name = words[1] if words[0] == "run" else "job"
    with orch.popen(*words) as process:
        if "-f" in words:
            assert process.stdout is not None and process.stdout.read1() == b"begun\n"
        else:
            eventually(lambda: _has_child(process.pid, "wait"), "it stays with the job")
        agent.running(name)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said in err.decode()
    assert agent.show(name)["job"]["state"] == "RUNNING"


def _has_child(pid: int, verb: str) -> bool:
    done = subprocess.run(["ps", "-ww", "-o", "args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return any(f" {verb} " in f"{line} " for line in done.stdout.splitlines())


def test_control_c_on_a_terminal_does_not_reach_the_job(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    terminal.start(orch.argv("run", "job", "echo begun; sleep 300", "-f"))
    terminal.shows("begun")
    terminal.keys("C-c")
    screen = terminal.shows("[ended 130]")
    assert "job.1 runs on; come back: orch logs -f job; end it: orch cancel job" in screen
    assert agent.show("job")["job"]["state"] == "RUNNING"


def test_a_closed_terminal_does_not_reach_the_job(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    terminal.start(orch.argv("run", "job", "echo begun; sleep 300", "-f"))
    terminal.shows("begun")
    terminal.close()
    assert agent.show("job")["job"]["state"] == "RUNNING"
