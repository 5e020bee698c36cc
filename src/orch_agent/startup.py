"""What the login shell does before it does what it is told: every command that comes over ssh waits for that.

The shell is run as sshd runs it, not interactive and with a command. Bash then reads ~/.bashrc too, where it finds
the connection's variables and no other shell around it (SHLVL): the latter is put right here.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO, Any, NamedTuple, Optional

PATIENCE = 5.0
"""Seconds after which a shell counts as one that never gets there."""
_ENOUGH = 1 << 16
"""Bytes after which nobody reads on."""


class StartUp(NamedTuple):
    """One start of a shell: until its output was closed. ``status`` is None where we had to end it."""

    shell: str
    seconds: float
    out_bytes: int
    err_bytes: int
    status: Optional[int]


def login_shell() -> str:
    """The shell that the password database gives this user."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    except KeyError:
        return "/bin/sh"


def measure(shell: str) -> StartUp:
    """Start it and have it do nothing."""
    environment = {key: value for key, value in os.environ.items() if key != "SHLVL"}
    words = [shell, "-c", ":"]
    began = time.monotonic()
    process = subprocess.Popen(words, stdin=-3, stdout=-1, stderr=-1, env=environment, start_new_session=True)
    assert process.stdout and process.stderr  # each was asked for
    with process.stdout, process.stderr:
        printed, closed = _drain([process.stdout, process.stderr], began + PATIENCE)
        seconds = time.monotonic() - began
    return StartUp(shell, seconds, printed[0], printed[1], _end(process, closed))


def _drain(pipes: Sequence[IO[Any]], until: float) -> tuple[list[int], bool]:
    """How many bytes came out of each, and whether all were closed in time."""
    printed = [0] * len(pipes)
    with selectors.DefaultSelector() as open_ones:
        for place, pipe in enumerate(pipes):
            open_ones.register(pipe, selectors.EVENT_READ, place)
        while open_ones.get_map() and sum(printed) < _ENOUGH:
            ready = open_ones.select(max(0.0, until - time.monotonic()))
            if not ready:
                break
            for key, _ in ready:
                block = os.read(key.fd, 4096)
                printed[key.data] += len(block)
                if not block:
                    open_ones.unregister(key.fileobj)
        return printed, not open_ones.get_map()


def _end(process: subprocess.Popen[bytes], closed: bool) -> Optional[int]:
    """Its status; where the output is still open or the shell lives on, None and the end of all it started."""
    try:
        if closed:
            return process.wait(1.0)
    except subprocess.TimeoutExpired:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None
