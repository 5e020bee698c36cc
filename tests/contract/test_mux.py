"""A session asked of a real ssh through its control socket: how it ends, whoever of those involved ends first."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch.ssh.mux import Forward, MuxStream
from orch.transport import LOST, LinkLost
from tests.support.agent import eventually
from tests.support.machine import Machine

Machines = Callable[..., Machine]


class Master:
    """An ssh that listens, in the foreground of nobody."""

    def __init__(self, machine: Machine, path: str) -> None:
        self.path = path
        words = machine.ssh(ControlMaster="yes", ControlPath=path, ControlPersist="no")
        self.process = subprocess.Popen([words[0], "-N", *words[1:]], stderr=subprocess.DEVNULL)
        eventually(lambda: os.path.exists(path), "the master listens")

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture
def machine(machines: Machines) -> Machine:
    return machines(sshd=["MaxSessions 2"])


@pytest.fixture
def master(machine: Machine) -> Iterator[Master]:
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as directory:
        one = Master(machine, f"{directory}/s")
        yield one
        one.end(signal.SIGKILL)


def started(master: Master, command: str) -> MuxStream:
    """A session that has said a line."""
    stream = MuxStream(master.path, f"echo on; {command}", b"")
    assert stream.readline() == b"on\n"
    return stream


def test_bytes_and_status_come_whole(master: Master) -> None:
    stream = MuxStream(master.path, "cat; head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; exit 5", b"in")
    done = stream.finish(20)
    assert (done.status, done.out, done.err) == (5, b"in" + bytes(300_000), bytes(200_000))
    assert stream.finish() == (5, b"", b"")


def test_it_talks_both_ways(master: Master) -> None:
    stream = MuxStream(master.path, "exec cat", b"first\n")
    assert stream.readline() == b"first\n"
    assert stream.send(b"more\n")
    assert stream.read() == b"more\n"
    assert stream.finish(20) == (0, b"", b"")


def test_a_session_that_is_refused_says_so(master: Master) -> None:
    held = [started(master, "cat") for _ in range(2)]
    done = MuxStream(master.path, "true", b"").finish(20)
    assert done.status == LOST
    assert b"refused by peer" in done.err
    assert [stream.finish(20).status for stream in held] == [0, 0]
    assert MuxStream(master.path, "true", b"").finish(20).status == 0


@pytest.mark.parametrize("gone", ["killed", "no socket"])
def test_where_no_ssh_listens_it_has_ended_before_it_began(master: Master, gone: str) -> None:
    master.end(signal.SIGKILL)
    path = master.path if gone == "killed" else f"{master.path}x"
    stream = MuxStream(path, "true", b"#request")
    assert not stream.skip_past(b"mark", 20)
    assert stream.finish() == (LOST, b"", b"")


def test_a_master_that_dies_is_a_lost_link(master: Master) -> None:
    stream = started(master, "sleep 300")
    master.end(signal.SIGKILL)
    assert stream.read() == b""
    assert stream.finish() == (LOST, b"", b"")


def test_a_script_that_is_killed_has_no_status(master: Master) -> None:
    assert MuxStream(master.path, "kill -9 $$", b"").finish(20).status == LOST


def test_a_master_that_does_not_answer(master: Master) -> None:
    master.process.send_signal(signal.SIGSTOP)
    with pytest.raises(LinkLost, match="no answer within 5 s"):
        MuxStream(master.path, "true", b"")


def test_a_host_that_does_not_answer_in_time(machine: Machine, master: Master) -> None:
    stream = started(master, "sleep 300")
    began = time.monotonic()
    with pytest.raises(LinkLost, match=r"no answer within 0\.3 s"):
        stream.finish(0.3)
    assert time.monotonic() - began < 10
    assert stream.finish().status == LOST


def test_the_far_side_sees_the_end_when_we_are_killed_or_stop(machine: Machine, master: Master) -> None:
    program = f"""if True:
        import time
        from orch.ssh.mux import MuxStream
        stream = MuxStream({master.path!r}, "echo on; cat; touch killed", b"")
        print(stream.readline().decode(), flush=True)
        time.sleep(300)"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as ours:
        assert ours.stdout and ours.stdout.readline() == b"on\n"
        ours.kill()
    eventually((Path(machine.home) / "killed").exists, "its input has ended")
    stream = started(master, "cat; touch stopped")
    stream.kill()
    eventually((Path(machine.home) / "stopped").exists, "its input has ended")


@pytest.mark.parametrize(
    "ask", [lambda: Forward("/nowhere", "::1", 80, 5.0), lambda: MuxStream("/nowhere", "true", b"").kill()]
)
def test_what_cannot_be_begun_keeps_no_descriptor(ask: Callable[[], object]) -> None:
    """Wherever in between they run out."""
    before = os.listdir("/proc/self/fd")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for count in range(12):
        free = os.dup(0)
        os.close(free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + count, limits[1]))
            with contextlib.suppress(OSError):
                ask()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert os.listdir("/proc/self/fd") == before, count
