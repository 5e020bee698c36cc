"""A job's life with every Python that is here: the command on those from 3.11 on, the agent on those from 3.9 on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import PYTHON, SOURCES, Agent
from tests.support.cli import Orch


def _candidates() -> Iterator[str]:
    yield sys.executable
    yield PYTHON
    pyenv = os.environ.get("PYENV_ROOT", "")
    for minor in range(9, 20):
        yield shutil.which(f"python3.{minor}") or ""
        yield from sorted(map(str, Path(pyenv).glob(f"versions/3.{minor}*/bin/python3"))) if pyenv else ()


def _found() -> dict[tuple[int, int], str]:
    """One interpreter for each version, those of the run itself before others."""
    found: dict[tuple[int, int], str] = {}
    for candidate in filter(None, _candidates()):
        asked = [candidate, "-I", "-c", "import sqlite3, sys; print(*sys.version_info[:2], sys.executable)"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if version := re.match(r"(\d+) (\d+) (.+)", done.stdout):
            found.setdefault((int(version[1]), int(version[2])), version[3])
    return found


PYTHONS = {f"{major}.{minor}": path for (major, minor), path in sorted(_found().items())}


@pytest.mark.parametrize("version", PYTHONS)
def test_the_agent(home: Path, version: str) -> None:
    agent = Agent(home, python=PYTHONS[version])
    try:
        job = agent.finished("job", "echo hello; exit 3")
        assert (job["state"], job["exit_code"], agent.log("job")) == ("FAILED", 3, b"hello\r\n")
        agent.submit("long", "sleep 300")
        agent.running("long")
        assert agent.call("cancel", jobs=["long"], grace=5)["jobs"][0]["state"] == "CANCELLED"
        assert agent.log("job", grep="h.llo", tail=1) == b"hello\r\n"
    finally:
        agent.close()


@pytest.mark.parametrize("version", [v for v in PYTHONS if tuple(map(int, v.split("."))) >= (3, 11)])
def test_the_command(home: Path, agent: Agent, version: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(SOURCES.parent)!r}); from orch.cli.main import orch; orch()"

    class Other(Orch):
        def argv(self, *words: str | bytes) -> list[str | bytes]:
            return [PYTHONS[version], "-W", "error", "-I", "-B", "-c", program, *words]

    orch = Other(home)
    assert orch("run", "job", "echo hello; exit 3", "-f")[:2] == (3, "hello\n")
    assert orch("status", "--json").json["jobs"][0]["exit_code"] == 3
    assert orch("run", "long", "sleep 300").status == 0
    agent.running("long")
    assert orch("cancel", "long").out == "long.1 CANCELLED\n"
    assert orch("wait", "job", "long").status == 3


def test_the_oldest_and_the_newest_meet(home: Path, agent: Agent) -> None:
    """One ledger, two versions of Python: what one submits the other one sees, waits for and ends."""
    newest = Agent(home, python=list(PYTHONS.values())[-1])
    agent.submit("old", "sleep 300")
    agent.running("old")
    assert newest.running("old")["state"] == "RUNNING"
    assert newest.call("cancel", jobs=["old"], grace=5)["jobs"][0]["state"] == "CANCELLED"
    newest.submit("new", "exit 4")
    assert agent.wait("new")["exit_code"] == 4
