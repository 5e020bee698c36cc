"""The agent on its way to a host, with the real installer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from orch import bundle


def install(target: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", "-c", bundle.installer(), str(target)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(bundle.pack())
    process.stdin.flush()
    return process


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    _, err = process.communicate()
    return process.returncode, err


def content(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*.py")]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_the_agent_arrives_whole_compiled_and_private(tmp_path: Path) -> None:
    target = tmp_path / "new" / "agent-x"
    assert ended(install(target)) == (0, b"")
    assert content(target) == bundle.sources()
    compiled = {path.name.partition(".")[0] for path in (target / "orch_agent").rglob("*.pyc")}
    assert compiled == {path.stem for path in (target / "orch_agent").rglob("*.py")}
    assert all(not os.stat(path).st_mode & 0o077 for path in [target.parent, target, *target.rglob("*")])
    assert os.listdir(target.parent) == ["agent-x"]


def test_racing_installers_do_no_harm(tmp_path: Path) -> None:
    racers = [install(tmp_path / "agent-x") for _ in range(6)]
    assert [ended(racer) for racer in racers] == [(0, b"")] * 6
    assert content(tmp_path / "agent-x") == bundle.sources()
    assert os.listdir(tmp_path) == ["agent-x"]


def test_a_ruined_agent_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "agent-x" / "orch_agent").mkdir(parents=True)
    assert ended(install(tmp_path / "agent-x")) == (0, b"")
    assert content(tmp_path / "agent-x") == bundle.sources()


def test_an_installer_killed_on_its_way_leaves_no_agent(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", bundle.installer(), str(tmp_path / "agent-x")]
    half = bundle.pack()[: len(bundle.pack()) // 2]
    assert subprocess.run(argv, input=half, capture_output=True).returncode != 0
    assert not (tmp_path / "agent-x").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, err = ended(install(tmp_path / "file" / "agent-x"))
    assert status == 1
    assert err.decode().strip().startswith("[Errno")
    assert str(tmp_path / "file") in err.decode()


def test_the_hash_names_the_sources() -> None:
    digest = bundle.digest()
    assert len(digest) == 16
    assert bundle.pack() == bundle.pack()
    paths = list(bundle.sources())
    assert paths == sorted(paths)
    assert {"__main__.py", "orch_agent/__init__.py", "orch_agent/wire.py"} <= set(paths)
