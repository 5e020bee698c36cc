"""Who is there besides orch: at a terminal, or with a command that was sent through ssh.

A terminal counts when something was typed at it or written to it, as it does for GitHub's own timer. Who has only
opened one and left is not there.
"""

from __future__ import annotations

import glob
import os
import re
import time
from typing import Optional

from . import codespace, procs

_TERMINALS = "/dev/pts/[0-9]*"
_OWN = re.compile(r"/\.orch/agent|=orch=")
"""On the command line of what orch itself runs through ssh: whoever only looks keeps nothing awake."""


_NO_TERMINAL = re.compile(r"sshd(-session)?: \S+@notty")
"""What sshd calls the process of a connection above one that was started without a terminal."""


def last_stir() -> float:
    """When something was typed at a terminal last, or written to one; 0 where there is none."""
    return max((max(found.st_atime, found.st_mtime) for found in map(_stat, glob.glob(_TERMINALS)) if found), default=0)


def has_command() -> bool:
    """Whether a command of somebody's runs below sshd, without a terminal."""
    return any(_is_command(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())


def quiet(seconds: Optional[float]) -> Optional[float]:
    """Of ``seconds`` without work those in which nobody was here, either; None while somebody works, or is here."""
    if seconds is None or has_command():
        return None
    return min(seconds, max(0.0, time.time() - max(last_stir(), codespace.started_at())))


def _stat(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except OSError:
        return None


def _is_command(pid: int) -> bool:
    """Whether sshd has started it, for somebody who is not orch, or moves files for him."""
    words = procs.argv(pid)
    if not words or words[0].endswith("@internal-sftp"):
        return bool(words)
    process = procs.inspect(pid)
    above = procs.argv(process.parent) if process else []
    return bool(above) and _NO_TERMINAL.match(above[0]) is not None and not _OWN.search(" ".join(words))
