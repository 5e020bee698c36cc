from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from orch.errors import OrchError
from orch.transport import LocalTransport


def test_a_script_run_to_its_end() -> None:
    done = LocalTransport().run("cat; echo err >&2; exit 7", b"in")
    assert done == (7, b"in", b"err\n")


def test_a_script_without_an_answer() -> None:
    began = time.monotonic()
    with pytest.raises(OrchError, match=r"no answer within 0\.2 s") as caught:
        LocalTransport().run("exec sleep 60", b"", timeout=0.2)
    assert caught.value.kind == "host"
    assert time.monotonic() - began < 10


def test_a_stream_talks_both_ways() -> None:
    stream = LocalTransport().open("exec cat", b"first\nsecond\n")
    assert stream.readline() == b"first\n"
    assert stream.read() == b"second\n"
    assert stream.send(b"more\n")
    assert stream.readline() == b"more\n"
    assert stream.finish() == (0, b"", b"")
    assert stream.finish().status == 0


def test_a_stream_whose_script_is_gone() -> None:
    stream = LocalTransport().open("echo bye >&2; exit 90", b"request\n")
    assert stream.readline() == b""
    while stream.send(b"x" * 100_000):
        pass
    assert stream.finish() == (90, b"", b"bye\n")


def test_the_far_side_sees_the_end_when_we_are_killed() -> None:
    program = """if True:
        import time
        from orch.transport import LocalTransport
        print(LocalTransport().open("echo $$; cat; sleep 0.1", b"").readline().decode(), flush=True)
        time.sleep(60)"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as ours:
        assert ours.stdout is not None
        pid = int(ours.stdout.readline())
        ours.kill()
    until = time.monotonic() + 10
    while _lives(pid):
        assert time.monotonic() < until, "the far side lives on"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_ctrl_c_reaches_us_alone() -> None:
    """The terminal signals its foreground process group; what runs for us is in another session."""
    done = LocalTransport().run("ps -o sess= -p $$", b"")
    assert int(done.out) != os.getsid(0)
