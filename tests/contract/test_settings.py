"""What a laptop's configuration says of a host, and the host keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import Agent, Refused
from tests.support.cli import Orch

GB = 1 << 30


def kept(agent: Agent) -> Any:
    return json.loads((agent.root / "settings.json").read_text())


def submit(agent: Agent, name: str, **settings: object) -> None:
    agent.call("submit", id=name, spec={"name": name, "command": "true"}, settings=settings)


def test_only_what_a_submission_names_is_changed(agent: Agent) -> None:
    submit(agent, "one", retention=86400 * 7, memory_reserve=GB)
    submit(agent, "two", retention=86400 * 9)
    agent.submit("three", "true")
    assert kept(agent) == {"retention": 86400 * 9, "memory_reserve": GB}
    submit(agent, "four", memory_reserve=None)
    assert kept(agent) == {"retention": 86400 * 9}


@pytest.mark.parametrize("nonsense", [{"retention": "x"}, {"retention": 60}, {"memory_reserve": True}, {"other": 1}])
def test_what_makes_no_sense_is_not_kept(agent: Agent, nonsense: dict[str, Any]) -> None:
    submit(agent, "one", retention=86400 * 7)
    submit(agent, "two", **nonsense)
    assert kept(agent).get("memory_reserve") is None
    assert "other" not in kept(agent)


def test_it_is_written_only_when_it_changes(agent: Agent) -> None:
    submit(agent, "one", memory_reserve=GB)
    before = os.stat(agent.root / "settings.json")
    submit(agent, "two", memory_reserve=GB)
    after = os.stat(agent.root / "settings.json")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"memory_reserve": "much"}', "\xff"])
def test_a_ruined_file_counts_as_none(agent: Agent, text: str) -> None:
    (agent.root / "settings.json").write_text(text)
    assert agent.finished("one", "true")["state"] == "COMPLETED"
    submit(agent, "two", memory_reserve=GB)
    assert kept(agent) == {"memory_reserve": GB}


@pytest.mark.parametrize("ruin", ["[" * 100_000, '{"memory_reserve": 1%s}' % ("0" * 400), '{"memory_reserve": 1e999}'])
def test_a_file_that_no_machine_wrote_ends_no_job(agent: Agent, ruin: str) -> None:
    agent.submit("job", "until [ -e go ]; do sleep 0.05; done; exit 4")
    agent.running("job")
    (agent.root / "settings.json").write_text(ruin)
    assert agent.finished("other", "sleep 2.2")["state"] == "COMPLETED", "its runner has looked by then"
    (agent.home / "go").touch()
    assert agent.wait("job")["exit_code"] == 4


def test_the_configuration_reserves_memory_there(orch: Orch, agent: Agent, home: Path) -> None:
    """All the host's memory but a quarter: a job that would fit otherwise is refused."""
    total = agent.call("status")["host"]["mem_total_bytes"]
    spec = {"name": "large", "command": "true", "mem": total // 2}
    assert agent.call("submit", id="fits", spec=spec)["created"]
    agent.wait("large")
    config = home / ".config" / "orch" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[hosts.local]\nprovider = "local"\nmemory_reserve = "100T"\n')
    assert orch("run", "small", "true", "--wait").status == 0
    with pytest.raises(Refused, match=r"this host has .* for jobs"):
        agent.call("submit", id="no", spec=spec)
