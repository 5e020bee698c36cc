"""What a host says of itself, asked of a real one whose parts are taken away or broken one by one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orch_agent import locks, procs, startup
from tests.faults.mounts import read_only, tmpfs
from tests.support.agent import PYTHON, Agent, eventually, is_unsupervised

linux = pytest.mark.skipif(sys.platform != "linux", reason="how bash was built, and what /proc tells")

FACTS = [
    *("agents", "ledger", "login", "machine", "memory", "now", "places", "python", "restart", "shell", "tmux", "v")
]


def test_every_fact_is_there(agent: Agent) -> None:
    agent.finished("one", "true")
    before = time.time()
    told = agent.call("examine")
    assert sorted(told) == FACTS and None not in told.values()
    assert before <= told["now"] <= time.time()
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout
    assert version.split() == ["Python", told["python"]["version"]]
    said = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["tmux", told["tmux"]["version"]]
    assert [place["path"] for place in told["places"]] == [str(agent.root), str(agent.home / "logs")]
    for place in told["places"]:
        assert place["total_bytes"] > place["free_bytes"] > 0 and place["trouble"] is None
    assert told["memory"]["mem_total_bytes"] > 0
    assert told["ledger"]["bytes"] > 0 and told["ledger"]["checked"] and told["ledger"]["trouble"] is None
    assert told["shell"]["status"] == 0
    assert list(agent.root.glob(".examined*")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="hides a program by its place")
def test_what_is_missing_is_said_to_be(agent: Agent, tmp_path: Path) -> None:
    bare = Agent(agent.home, env={"PATH": str(tmp_path)})
    told = bare.call("examine")
    assert told["tmux"]["path"] is None and "tmux" in told["tmux"]["install"]
    assert told["ledger"]["bytes"] == 0 and not (bare.root / "ledger.db").exists()


def test_agents_are_counted_with_the_processes_that_use_them(agent: Agent) -> None:
    (agent.root / "agent-idle").mkdir()
    agent.submit("lives", "sleep 300")
    agent.running("lives")
    idle, mine = agent.call("examine")["agents"]
    assert idle == {"path": str(agent.root / "agent-idle"), "mine": False, "processes": 0}
    assert mine["path"] == str(agent.directory) and mine["mine"] and mine["processes"] >= 1
    agent.call("cancel", jobs=["lives"], grace=0)


def test_a_damaged_ledger_is_told_with_what_to_do(agent: Agent) -> None:
    agent.finished("one", "true")
    lock = str(agent.root / "live" / "supervisor.lock")
    eventually(lambda: not locks.is_held(lock), "nobody is left who would mend it")
    ledger = agent.root / "ledger.db"
    (agent.root / "ledger.db-wal").unlink(missing_ok=True)
    size = ledger.stat().st_size
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    told = agent.call("examine")["ledger"]
    assert "is damaged" in told["trouble"]["says"] and told["trouble"]["mend"].startswith(f"mv {ledger} ")
    subprocess.run(told["trouble"]["mend"], shell=True, check=True)
    assert agent.call("examine")["ledger"]["trouble"] is None


def test_what_was_damaged_is_kept_and_told(agent: Agent) -> None:
    agent.finished("one", "true")
    eventually(lambda: is_unsupervised(agent.root), "nobody else opens it")
    (agent.root / "ledger.db").write_bytes(b"garbled" * 4096)
    assert agent.finished("one", "true")["run"] == 2
    told = agent.call("examine")["ledger"]
    assert told["trouble"] is None and len(told["broken"]) == 1
    assert Path(told["broken"][0]).read_bytes() == b"garbled" * 4096


def test_what_cannot_be_written_is_told(agent: Agent) -> None:
    agent.finished("one", "true")
    with read_only(agent.home / "logs"):
        own, logs = agent.call("examine")["places"]
    assert own["trouble"] is None
    assert logs["trouble"]["says"].endswith("Read-only file system") and logs["trouble"]["mend"]


def test_a_full_disk_is_told(agent: Agent) -> None:
    with tmpfs(agent.home / "logs", "1m") as logs:
        with contextlib.suppress(OSError), (logs / "filler").open("wb") as filler:
            filler.write(b"x" * (2 << 20))
        place = agent.call("examine")["places"][1]
    assert place["free_bytes"] == 0 and place["total_bytes"] == 1 << 20
    assert "is full" in place["trouble"]["says"] and place["trouble"]["mend"].startswith("df -h")


def measure(home: Path, monkeypatch: pytest.MonkeyPatch, bashrc: str) -> startup.StartUp:
    """The start of a bash that came over ssh."""
    (home / ".bashrc").write_text(bashrc)
    monkeypatch.setenv("SSH_CLIENT", "127.0.0.1 50000 22")
    monkeypatch.setenv("SHLVL", "2")
    return startup.measure("/bin/bash")


@linux
@pytest.mark.parametrize(
    ("bashrc", "out", "err", "status"),
    [
        ("", 0, 0, 0),
        ("echo hello", 6, 0, 0),
        ("echo hello >&2", 0, 6, 0),
        ("exit 3", 0, 0, 3),
        ("exec sh", 0, 0, 0),
        ("[[ $- == *i* ]] || return\necho hello", 0, 0, 0),
    ],
)
def test_a_bashrc_is_seen(
    home: Path, monkeypatch: pytest.MonkeyPatch, bashrc: str, out: int, err: int, status: int
) -> None:
    seen = measure(home, monkeypatch, bashrc)
    assert (seen.out_bytes, seen.err_bytes, seen.status) == (out, err, status)


@linux
def test_a_slow_bashrc_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = measure(home, monkeypatch, "sleep 0.5")
    assert seen.status == 0 and seen.seconds >= 0.5


@linux
@pytest.mark.parametrize("bashrc", ["sleep 300", "sleep 300 &", "exec >&- 2>&-; sleep 300", "yes", "yes >&2"])
def test_a_bashrc_without_an_end_is_ended_with_all_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, bashrc: str
) -> None:
    monkeypatch.setattr(startup, "PATIENCE", 0.5)
    monkeypatch.setenv("ORCH_TEST_MARK", str(home))
    seen = measure(home, monkeypatch, bashrc)
    assert seen.status is None
    assert seen.out_bytes + seen.err_bytes < 1 << 20
    eventually(lambda: not procs.linux.having(f"ORCH_TEST_MARK={home}"), "nothing of it is left")
