"""What the timer of a machine asks: may it be stopped?"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.terminal import Terminal

HOUR = 3600.0


def asked(agent: Agent, **env: str) -> tuple[int, dict[str, Any]]:
    """As root's timer does: a plain command, no request, nothing to read."""
    words = [agent.python, str(agent.directory), "idle"]
    env = {"PATH": os.environ["PATH"], "TMUX_TMPDIR": os.environ["TMUX_TMPDIR"], "HOME": str(agent.home), **env}
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/")
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def idle(agent: Agent) -> dict[str, Any]:
    status, said = asked(agent)
    assert status == 0, said
    assert said["busy"] == (said["idle_seconds"] is None)
    return said


def at_rest(agent: Agent) -> dict[str, Any]:
    return eventually(lambda: None if (said := idle(agent))["busy"] else said, "it is idle")


def grow_old(agent: Agent, seconds: float) -> None:
    """As if all of this had been so long ago."""
    then = time.time() - seconds
    for path in (agent.directory, agent.root / "used"):
        if path.exists():
            os.utime(path, (then, then))


def test_a_machine_that_never_had_a_job_is_idle_since_the_agent_came(agent: Agent) -> None:
    grow_old(agent, HOUR)
    said = idle(agent)
    assert HOUR <= said["idle_seconds"] < 2 * HOUR
    assert (said["live_jobs"], said["last_job_end"], said["last_command"]) == ([], None, None)


def test_a_job_keeps_it_busy_until_it_ends(agent: Agent) -> None:
    job = agent.submit("one", "sleep 300")
    agent.running("one")
    said = idle(agent)
    assert (said["busy"], said["live_jobs"], said["supervisor"]) == (True, [job["id"]], True)
    assert agent.call("status")["host"]["idle_seconds"] is None
    agent.call("cancel", jobs=["one"], grace=0)
    grow_old(agent, HOUR)
    said = at_rest(agent)
    assert said["idle_seconds"] < 60
    assert said["last_job_end"] == agent.call("status")["jobs"][0]["ended_at"]
    assert abs(agent.call("status")["host"]["idle_seconds"] - said["idle_seconds"]) < 60


@pytest.mark.parametrize("verb", ["logs", "show", "wait", "cancel"])
def test_a_command_is_use_and_looking_at_status_is_none(agent: Agent, verb: str) -> None:
    agent.finished("one", "true")
    at_rest(agent)
    with_past_end(agent, HOUR)
    grow_old(agent, HOUR)
    agent.call("status")
    agent.call("examine")
    assert idle(agent)["idle_seconds"] >= HOUR
    agent.raw(verb, {"job": "one", "jobs": ["one"]})
    assert idle(agent)["idle_seconds"] < 60


def with_past_end(agent: Agent, seconds: float) -> None:
    with sqlite3.connect(agent.root / "ledger.db") as database:
        database.execute("UPDATE jobs SET ended_at = ended_at - ?", [seconds])
    database.close()


def test_a_job_that_waits_for_its_time_keeps_it_busy(agent: Agent) -> None:
    """Backing off: no process of it lives, and it starts by itself."""
    agent.submit("one", "exit 1", retries=1, retry_delay=300)
    eventually(lambda: agent.show("one")["job"]["attempt"] == 1 and not idle(agent)["live_jobs"], "it backs off")
    said = idle(agent)
    assert (said["busy"], said["supervisor"], said["live_jobs"]) == (True, True, [])
    agent.call("cancel", jobs=["one"])
    at_rest(agent)


def test_what_only_the_ledger_believes_to_live_is_found_out(agent: Agent) -> None:
    """Everything was killed, as at a reboot: asked, the machine is busy, or has found out; in the end it has."""
    job = agent.submit("one", "exec sleep 300")
    pid = agent.running("one") and agent.runner(job["id"])
    supervisor = int((agent.root / "live" / "supervisor.lock").read_text().split()[0])
    sleeper = json.loads((agent.root / "live" / f"{job['id']}.lock").read_text())["pid"]
    for one in (supervisor, pid, sleeper):
        os.kill(one, signal.SIGKILL)
    said = idle(agent)
    assert said["busy"] or said["last_job_end"]
    assert at_rest(agent)["last_job_end"]


def test_terminals_that_show_a_job_are_counted(orch: Orch, agent: Agent) -> None:
    agent.submit("one", "sleep 300")
    agent.running("one")
    assert idle(agent)["attached_terminals"] == 0
    terminal = Terminal(agent.home)
    terminal.start([str(word) for word in orch.argv("attach", "one")], orch.env)
    try:
        eventually(lambda: idle(agent)["attached_terminals"] == 1, "it counts")
    finally:
        terminal.close()


def test_another_home_is_refused_and_not_answered_for(agent: Agent, tmp_path: Path) -> None:
    """sudo that keeps root's HOME would ask an empty place, and stop a machine that works."""
    agent.submit("one", "sleep 300")
    status, said = asked(agent, HOME=str(tmp_path))
    assert (status, said["error"]["kind"]) == (1, "refused")
    assert "is HOME that of another user" in said["error"]["message"]
    words = said["error"]["hint"]
    assert words == f"ORCH_HOME={agent.root} python3 {agent.root}/agent idle"
    assert asked(agent, HOME=str(tmp_path), ORCH_HOME=str(agent.root))[1]["busy"]


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file away")
def test_root_is_told_to_ask_as_the_user(agent: Agent) -> None:
    os.chown(agent.root, 2001, 2001)
    status, said = asked(agent)
    os.chown(agent.root, 0, 0)
    assert status == 1
    assert said["error"]["hint"] == f"sudo -H -u '#2001' python3 {agent.root}/agent idle"


def test_the_newest_agent_has_a_path_that_stays(orch: Orch, agent: Agent) -> None:
    orch("status")
    link = agent.root / "agent"
    assert link.is_symlink() and link.readlink().name.startswith("agent-")
    words = [agent.python, link, "idle"]
    done = subprocess.run(words, env={**os.environ, "HOME": str(agent.home)}, capture_output=True, check=True)
    assert json.loads(done.stdout)["busy"] is False
    # Whom it has to start lives on after the link leads elsewhere.
    agent.submit("one", "sleep 300")
    agent.running("one")
    lock = agent.root / "live" / "supervisor.lock"
    before = lock.read_text()
    os.kill(int(before.split()[0]), signal.SIGKILL)
    subprocess.run(words, env={**os.environ, "HOME": str(agent.home)}, capture_output=True, check=True)
    pid = eventually(lambda: (now := lock.read_text()) != before and now.split(), "another supervisor")[0]
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert str(link) not in argv and any(word.startswith(f"{link}-") for word in argv)
