"""What is called when a host comes up again. systemd itself is imitated: none runs where the tests do."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from orch_agent import wake
from orch_agent.launch import detach
from orch_agent.launch.detach import Login
from tests.support.agent import Agent, eventually, is_unsupervised

HERE = Login(systemd=True, lingers=True, user_bus=True, is_root=False)


@pytest.fixture
def lingered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A person's systemd, and how often linger was asked for."""
    asked: list[bool] = []
    monkeypatch.setattr(detach, "login", lambda: HERE)
    monkeypatch.setattr(detach, "enable_linger", lambda: not asked.append(True))
    return asked


def words(unit: str) -> list[str]:
    """The command line that systemd would run."""
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.partition("=")[2])


def test_a_unit_is_written_and_enabled_once(home: Path, lingered: list[bool]) -> None:
    assert not wake.is_prepared()
    wake.prepare()
    file = home / ".config/systemd/user/orch.service"
    link = home / ".config/systemd/user/default.target.wants/orch.service"
    assert wake.is_prepared() and link.resolve() == file
    assert words(file.read_text())[-2:] == [detach.AGENT, "wake"]
    before = file.stat().st_mtime_ns
    wake.prepare()
    assert file.stat().st_mtime_ns == before and not lingered


def test_another_agent_takes_the_unit_over(home: Path, lingered: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    wake.prepare()
    monkeypatch.setattr(detach, "AGENT", "/home/a b/100%/agent-2")
    wake.prepare()
    text = (home / ".config/systemd/user/orch.service").read_text()
    assert '"/home/a b/100%%/agent-2" "wake"' in text


def test_linger_is_asked_for_where_it_is_off(home: Path, lingered: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach, "login", lambda: HERE._replace(lingers=False))
    wake.prepare()
    assert lingered == [True] and wake.is_prepared()


@pytest.mark.parametrize("login", [HERE._replace(systemd=False), HERE._replace(user_bus=False)])
def test_where_there_is_no_systemd_nothing_is_written(
    home: Path, lingered: list[bool], monkeypatch: pytest.MonkeyPatch, login: Login
) -> None:
    monkeypatch.setattr(detach, "login", lambda: login)
    wake.prepare()
    assert not (home / ".config").exists()


def test_another_place_has_a_unit_of_its_own(home: Path, lingered: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    wake.prepare()
    monkeypatch.setenv("ORCH_HOME", "/scratch/some where")
    wake.prepare()
    units = {path.name: path.read_text() for path in (home / ".config/systemd/user").glob("*.service")}
    assert len(units) == 2
    other = next(text for name, text in units.items() if name != "orch.service")
    assert 'Environment="ORCH_HOME=/scratch/some where"' in other
    assert wake.command().startswith("ORCH_HOME='/scratch/some where' ")


def test_after_a_restart_what_waited_goes_on(agent: Agent) -> None:
    """Everything of orch is gone; then the unit's command is run, and nobody else asks."""
    agent.submit("runs", "exec sleep 300")
    agent.submit("waits", "touch began", after=["runs"])
    agent.submit("again", "echo x >> tries; [ $ORCH_JOB_ATTEMPT = 2 ]", retries=1, retry_delay=1)
    agent.running("runs")
    eventually((agent.home / "tries").exists, "it has failed once")
    for pid in (agent.supervisor(), agent.runner(agent.show("runs")["job"]["id"])):
        os.kill(pid, signal.SIGKILL)
    subprocess.run(agent.argv("wake"), check=True, env={**os.environ, "HOME": str(agent.home)})
    eventually(lambda: (agent.home / "tries").read_text() == "x\nx\n", "its second attempt has begun")
    eventually(lambda: is_unsupervised(agent.root), "all has ended")
    states = {job["name"]: job["state"] for job in agent.call("status")["jobs"]}
    assert states == {"runs": "NODE_FAIL", "waits": "CANCELLED", "again": "COMPLETED"}
    assert not (agent.home / "began").exists()


def test_where_nothing_waits_nothing_is_started(agent: Agent) -> None:
    for _ in range(2):
        subprocess.run(agent.argv("wake"), check=True, env={**os.environ, "HOME": str(agent.home)})
        assert is_unsupervised(agent.root)
        if not (agent.root / "ledger.db").exists():
            agent.finished("x", "true")
            eventually(lambda: is_unsupervised(agent.root), "it has gone")
