"""A host that takes no jobs for a while, so that none is lost with it."""

from __future__ import annotations

import json

import pytest

from tests.support.agent import Agent, Refused


def close(agent: Agent, **more: object) -> list[str]:
    names: list[str] = agent.call("close", why="is about to stop", seconds=60, **more)["names"]
    return names


def test_what_comes_now_is_refused_and_not_written_down(agent: Agent) -> None:
    assert close(agent) == []
    with pytest.raises(Refused, match="is about to stop, and takes no jobs") as refused:
        agent.submit("late", "true")
    assert refused.value.kind == "stopped"
    assert agent.call("status")["jobs"] == []


def test_it_stays_open_while_jobs_live_or_wait(agent: Agent) -> None:
    agent.submit("lives", "sleep 60")
    agent.submit("waits", "true", after=["lives"])
    assert close(agent) == ["lives", "waits"]
    agent.submit("later", "sleep 60")
    assert close(agent, even_so=True) == ["later", "lives", "waits"]
    with pytest.raises(Refused, match="takes no jobs"):
        agent.submit("late", "true")
    agent.call("cancel", jobs=["lives", "waits", "later"], grace=0)


def test_the_same_submission_again_is_no_new_job(agent: Agent) -> None:
    agent.submit("early", "true", key="one")
    agent.wait("early")
    assert close(agent) == []
    assert agent.submit("early", "true", key="one")["run"] == 1


def test_it_is_opened_again(agent: Agent) -> None:
    close(agent)
    agent.call("close", seconds=0)
    assert agent.finished("job", "true")["state"] == "COMPLETED"


@pytest.mark.parametrize("changed", [{"until": 1.0}, {"boot": "another"}, {"until": None}, {"why": 7}, None])
def test_it_opens_by_itself(agent: Agent, changed: dict[str, object] | None) -> None:
    """When its time is over, after a restart of the host, and where the file makes no sense."""
    close(agent)
    path = agent.home / ".orch/closed"
    told = json.loads(path.read_text())
    path.write_text("garbage" if changed is None else json.dumps({**told, **changed}))
    assert agent.finished("job", "true")["state"] == "COMPLETED"
