"""A program on a terminal of its own, which is told everything at its beginning."""

from __future__ import annotations

import os
import pty
from collections.abc import Sequence


def typed(argv: Sequence[str], text: str) -> tuple[int, str]:
    """Its exit status, and all that stood on the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    os.write(terminal, text.encode())
    said = b""
    try:
        while block := os.read(terminal, 4096):
            said += block
    except OSError:
        pass  # Linux says EIO at a terminal's end
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()
