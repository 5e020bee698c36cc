"""How commands get to a host: one session each, on one connection that they share, whatever became of it."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orch import paths
from orch.errors import OrchError
from orch.ssh.connection import LANES, Connection
from tests.support.agent import eventually
from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.root import as_root

Laptops = Callable[..., Laptop]
PATH_LIMIT = 80  # bytes: macOS takes 104, and ssh appends 17 while it opens a socket


@contextmanager
def costs(machine: Machine, sessions: int, connections: int) -> Iterator[None]:
    """What happens within is exactly so much work for the machine's sshd."""
    before = len(machine.sessions()), machine.connections()
    yield
    after = len(machine.sessions()), machine.connections()
    assert (after[0] - before[0], after[1] - before[1]) == (sessions, connections)


def names(mine: Laptop) -> list[tuple[str, int]]:
    return [(job["name"], job["run"]) for job in mine("status", "--json").json["jobs"]]


def master(mine: Laptop) -> int:
    """The one process that its commands leave behind."""
    (pid,) = mine.processes()
    return pid


def test_the_first_contact_is_one_connection(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    with costs(machine, sessions=3, connections=1):  # no agent yet; putting it there; the same again
        assert mine("run", "first", "true").status == 0
    assert names(mine) == [("first", 1)]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_warm_command_is_one_session(machines: Callable[..., Machine], laptop: Laptops, shell: str) -> None:
    machine = machines(shell=shell)
    mine = laptop(machine)
    assert mine("run", "first", "cat").status == 0
    for words in (
        ["run", "second", "echo done"],
        ["status"],
        ["status", "first", "--json"],
        ["wait", "second.1"],
        ["logs", "second"],
        ["logs", "second", "--follow"],
        ["logs", "second", "--new", "me"],
        ["show", "second"],
        ["send", "first.1", "hello"],
        ["run", "third", "echo done", "--id", "third"],
        ["cancel", "first.1"],
    ):
        with costs(machine, sessions=1, connections=0):
            done = mine(*words)
        assert done.status == 0, (words, done.err)


def test_a_name_that_may_change_its_meaning_costs_one_session_more(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    assert mine("run", "first", "cat").status == 0
    eventually(lambda: "RUNNING" in mine("status", "first").out, "it has started")
    for words in (["send", "first", "hello"], ["cancel", "first"], ["wait", "first"]):
        with costs(machine, sessions=2, connections=0):  # which run it is, and then what is asked of that
            assert mine(*words).err == ""


def test_a_connection_is_kept_apart_by_what_it_was_made_with(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine, more=machine.config("other", Compression="yes"))
    assert mine("status", "--host", "box").status == 0
    with costs(machine, sessions=1, connections=1):
        assert mine("status", "--host", "other").status == 0
    with costs(machine, sessions=2, connections=0):
        assert mine("status").status == 0


# Where the sockets are


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A connection that hands out its lanes and makes none."""
    monkeypatch.setattr(Connection, "connect", lambda *_: True)
    return Connection("somebody@" + "far" * 50, ["-o", "Port=22222"])


@pytest.mark.parametrize("length", [20, 50, 51, 200])
def test_a_sockets_path_is_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unconnected: Connection, length: int
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(paths, "_SHORT", 1000)  # the names of the sockets are wanted, wherever they are
    sockets: list[str] = []
    for _ in range(LANES):
        session = unconnected.take(crowded=sockets)
        sockets.append(session.socket)
        session.release()
    with pytest.raises(OrchError, match="commands talk to somebody"):
        unconnected.take(crowded=sockets)
    sockets.append(unconnected.beside())
    assert len(set(sockets)) == LANES + 1
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "é" * (length // 2 - 1) + "x" * (length % 2 + 1))
    monkeypatch.setenv("HOME", "/" + "home" * 100)
    monkeypatch.setattr(os, "getuid", lambda: 2**32 - 2)
    assert len(os.fsencode(os.environ["XDG_RUNTIME_DIR"])) == length
    assert (paths.sockets() == "/tmp/orch-4294967294") == (length > 50)
    for path in sockets:
        assert len(os.fsencode(os.path.join(paths.sockets(), os.path.basename(path)))) <= PATH_LIMIT


@pytest.mark.parametrize("runtime", [None, "", "relative"])
def test_without_a_runtime_directory_they_are_in_tmp(monkeypatch: pytest.MonkeyPatch, runtime: str | None) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    assert paths.sockets() == f"/tmp/orch-{os.getuid()}"


def test_long_homes_do_not_matter(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    home, runtime = mine.home / ("h" * 200), mine.home / ("r" * 50)
    runtime = Path(str(runtime)[:50])
    for directory in (home, runtime):
        directory.mkdir(mode=0o700)
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    with costs(machine, sessions=4, connections=1):
        assert mine("run", "first", "true", env=env).status == 0
        assert mine("status", env=env).status == 0
    (bound,) = [path for path in (runtime / "orch").iterdir() if path.is_socket()]
    assert 50 < len(os.fsencode(bound)) <= PATH_LIMIT


def _open_to_others(directory: Path) -> None:
    directory.chmod(0o750)


def _somebody_elses(directory: Path) -> None:
    as_root("chown", "12345", str(directory))


def _a_link(directory: Path) -> None:
    directory.rmdir()
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    directory.symlink_to(elsewhere)


def _a_file(directory: Path) -> None:
    directory.rmdir()
    directory.touch(0o600)


@pytest.mark.parametrize("spoil", [_open_to_others, _somebody_elses, _a_link, _a_file])
def test_a_directory_that_others_may_use_is_refused(
    machine: Machine, laptop: Laptops, spoil: Callable[[Path], None]
) -> None:
    mine = laptop(machine)
    directory = mine.runtime / "orch"
    directory.mkdir(mode=0o700)
    spoil(directory)
    done = mine("run", "first", "true")
    assert (done.status, done.out) == (1, "")
    assert str(directory) in done.err
    assert "\n  " in done.err, "it names no next command"
    assert machine.connections() == 0


# What becomes of a connection


def bound(mine: Laptop) -> Path:
    """The socket of its one lane."""
    (path,) = [
        path for path in (mine.runtime / "orch").iterdir() if re.search(r"\.\d+$", path.name) and path.is_socket()
    ]
    return path


def _killed(path: Path) -> None:
    assert path.is_socket(), "a killed master leaves its socket behind"


def _nobody_listens(path: Path) -> None:
    path.unlink()
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(path))


def _no_socket_at_all(path: Path) -> None:
    path.unlink()
    path.write_text("what is this?")


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("leave", [_killed, _nobody_listens, _no_socket_at_all, _gone])
def test_a_killed_master_is_replaced(machine: Machine, laptop: Laptops, leave: Callable[[Path], None]) -> None:
    mine = laptop(machine)
    assert mine("run", "first", "true").status == 0
    path, pid = bound(mine), master(mine)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not mine.processes(), "the master is gone")
    leave(path)
    with costs(machine, sessions=1, connections=1):
        done = mine("run", "second", "true")
    assert (done.status, done.err) == (0, "")
    with costs(machine, sessions=1, connections=0):
        assert names(mine) == [("first", 1), ("second", 1)]


def test_a_master_killed_under_a_command(machine: Machine, laptop: Laptops) -> None:
    """A follower goes on with a new one, and no byte is lost or repeated."""
    mine = laptop(machine)
    assert mine("run", "counts", "echo one; read line; echo two; read line").status == 0
    with mine.popen("logs", "-f", "counts", bufsize=0) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == b"one\n"
        before = machine.connections()
        (pid,) = [pid for pid in mine.processes() if b"-M" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: machine.connections() == before + 1, "it has another connection")
        for _ in range(2):
            assert mine("send", "counts", "on").status == 0
        assert follower.stdout.read() == b"on\ntwo\non\n"
        assert follower.wait(60) == 0


def test_a_frozen_master_delays_and_nothing_else(machine: Machine, laptop: Laptops) -> None:
    """Status does not wait for it; a submission is one job, whenever the master goes on."""
    mine = laptop(machine)
    assert mine("run", "first", "true", "--wait").status == 0
    assert mine("status").status == 0
    pid = master(mine)
    os.kill(pid, signal.SIGSTOP)
    with mine.popen("run", "second", "true") as run:
        status = mine("status", timeout=40)
        assert "ago" in status.out and "first" in status.out and "no answer" in status.err
        assert run.poll() is None
        os.kill(pid, signal.SIGCONT)
        assert run.wait(60) == 0
    assert names(mine) == [("first", 1), ("second", 1)]
    assert machine.connections() <= 2
