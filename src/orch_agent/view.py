"""What runs in the tmux pane: it shows the job and passes on what is typed and how large the window is.

It holds nothing: killed, it is opened again; when the job ends, so does it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from typing import Optional

from . import layout, terminal, views

_PATIENCE = 10.0
_KNOCK = 1.0


def main(job_id: str, kind: str) -> None:
    """Look at the job until it ends. ``kind``: ``tty`` where it has a terminal, ``plain`` where its lines need ours."""
    os.chdir(layout.job_dir(job_id))
    runner = connect(_PATIENCE)
    if runner is None:
        return
    if kind == "tty" and os.isatty(0):
        tty.setraw(0, termios.TCSANOW)
    _exchange(runner)


def connect(patience: float) -> Optional[socket.socket]:
    """A connection to the runner of the job whose directory is the working directory; None if none answers."""
    until = time.monotonic() + patience
    while True:
        runner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            runner.settimeout(_KNOCK)  # a runner that was stopped lets us wait at the door
            runner.connect(layout.SOCKET)
            runner.settimeout(None)
            return runner
        except OSError:
            runner.close()
        if time.monotonic() >= until:
            return None
        time.sleep(0.02)


def _exchange(runner: socket.socket) -> None:
    wake, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(signal.SIGWINCH, lambda *_: None)
    _say_size(runner)
    inputs = [runner.fileno(), wake, 0]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if wake in ready:
            os.read(wake, 4096)
            _say_size(runner)
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                inputs.remove(0)
            else:
                runner.sendall(views.frame(b"i", typed))
        if runner.fileno() in ready:
            shown = runner.recv(65536)
            if not shown:
                return
            _show(shown)


def _say_size(runner: socket.socket) -> None:
    runner.sendall(views.frame(b"w", views.SIZE.pack(*terminal.get_size(sys.stdin.fileno()))))


def _show(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]
