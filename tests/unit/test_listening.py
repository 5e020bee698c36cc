"""What processes listen on, as the system tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orch_agent.listening import Listener, on, read

SAID = "p41\ncnode\nf20\nn*:3000\nf21\nn[::1]:3001\np7\ncPython\nf5\nn127.0.0.1:8080\n"


def test_what_lsof_says() -> None:
    assert list(read(SAID)) == [
        Listener(3000, "0.0.0.0", 41, "node"),
        Listener(3001, "::1", 41, "node"),
        Listener(8080, "127.0.0.1", 7, "Python"),
    ]
    assert list(read("")) == [] and list(read("p1\nf3\nnlocalhost\n")) == []


def test_a_program_is_called_as_its_file_is() -> None:
    """What it calls itself may hold a secret."""
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    words = ["bash", "-c", 'exec -a "token/canary" "$@"', "bash", sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        name = Path(sys.executable).resolve().name
        assert on([process.pid]) == [Listener(port, "127.0.0.1", process.pid, name)]
        process.communicate(b"\n")
