"""A terminal that the host has never heard of, and what it can show."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from tests.support.agent import Agent, Refused, eventually

ASKED = ["tmux", "attach-session", "-t", "=job"]


@pytest.fixture
def job(agent: Agent) -> Iterator[Agent]:
    agent.submit("job", "printf 'na\\303\\257ve\\n'; read x")
    agent.running("job")
    eventually(lambda: b"ve" in agent.log("job"), "it has spoken")
    yield agent


@pytest.mark.parametrize(
    ("request_", "argv"),
    [
        ({}, ASKED),
        ({"term": "xterm-256color", "utf8": False}, ASKED),
        ({"term": "", "utf8": None}, ASKED),
        ({"term": "xterm-256color", "utf8": True}, ["tmux", "-u", *ASKED[1:]]),
        ({"term": "xterm-of-tomorrow"}, ["env", "TERM=xterm-256color", *ASKED]),
        ({"term": "../../etc/passwd", "utf8": True}, ["env", "TERM=xterm-256color", "tmux", "-u", *ASKED[1:]]),
    ],
)
def test_what_is_run(job: Agent, request_: dict[str, object], argv: list[str]) -> None:
    assert job.call("attach", job="job", **request_)["argv"] == argv


def test_a_request_of_other_types_is_refused(job: Agent) -> None:
    with pytest.raises(Refused):
        job.call("attach", job="job", term=7)


def shown(argv: list[str], enough: bytes) -> bytes:
    """What a terminal of tomorrow gets to see, up to ``enough`` or the end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-of-tomorrow", LC_ALL="C")
        os.execvp(argv[0], argv)
    said = b""
    try:
        while enough not in said:
            said += os.read(terminal, 65536)
    except OSError:
        pass  # Linux says EIO at a terminal's end
    os.close(terminal)
    os.waitpid(pid, 0)
    return said


def test_it_is_shown_all_the_same(job: Agent) -> None:
    assert b"missing or unsuitable terminal" in shown(ASKED, b"unsuitable terminal")
    plain = job.call("attach", job="job", term="xterm-of-tomorrow")["argv"]
    assert b"na_ve" in shown(plain, b"ve")
    speaking = job.call("attach", job="job", term="xterm-of-tomorrow", utf8=True)["argv"]
    assert "na\u00efve".encode() in shown(speaking, b"ve")
