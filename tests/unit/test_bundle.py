"""The agent on its way to a host, with the real installer."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orch import bundle


def start(target: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", "-c", bundle.installer(), str(target), bundle.pack()[1]]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes], parcel: bytes | None = None) -> tuple[int, bytes]:
    _, err = process.communicate(bundle.pack()[0] if parcel is None else parcel)
    return process.returncode, err


def install(target: Path) -> tuple[int, bytes]:
    return ended(start(target))


def content(directory: Path) -> dict[str, bytes]:
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.py")}


def test_the_agent_arrives_whole_compiled_and_private(tmp_path: Path) -> None:
    target = tmp_path / "new" / "agent-x"
    assert install(target) == (0, b"")
    assert content(target) == bundle.sources()
    compiled = {path.name.partition(".")[0] for path in (target / "orch_agent").rglob("*.pyc")}
    assert compiled == {path.stem for path in (target / "orch_agent").rglob("*.py")}
    assert all(not os.stat(path).st_mode & 0o077 for path in [target.parent, target, *target.rglob("*.py*")])
    assert os.access(target / "python", os.X_OK) and (target / "python").is_symlink()
    assert sorted(os.listdir(target.parent)) == ["agent", "agent-x"]
    assert (target.parent / "agent").readlink() == Path("agent-x")


def test_racing_installers_do_no_harm(tmp_path: Path) -> None:
    racers = [start(tmp_path / "agent-x") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ended, racers)) == [(0, b"")] * 6
    assert content(tmp_path / "agent-x") == bundle.sources()
    assert sorted(os.listdir(tmp_path)) == ["agent", "agent-x"]


def test_a_ruined_agent_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "agent-x" / "orch_agent").mkdir(parents=True)
    assert install(tmp_path / "agent-x") == (0, b"")
    assert content(tmp_path / "agent-x") == bundle.sources()


def test_a_parcel_cut_on_its_way_is_no_agent(tmp_path: Path) -> None:
    whole, _ = bundle.pack()
    for size in (0, 512, 1024, len(whole) // 2, len(whole) - 1):
        status, err = ended(start(tmp_path / "agent-x"), whole[:size])
        assert (status, err) == (1, f"only {size} bytes of it arrived\n".encode())
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, err = install(tmp_path / "file" / "agent-x")
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
