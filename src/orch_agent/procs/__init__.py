"""Processes of this system: who lives, who belongs to whom, what they use.

Invariants
- A process is named by its pid *and* its birth, for pids are used again.
- What vanishes while one looks is simply not there: no function raises for a process that has gone.
- Linux reads /proc; everything else asks ``ps``, which is slower and knows less.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from ..model import JOB_ENV
from .process import Process

MARKER = JOB_ENV[0]
"""The environment variable that marks every process of a job, also one that left its session."""

if sys.platform == "linux":
    from .linux import (
        argv,
        boot_id,
        children,
        command_lines,
        directory,
        having,
        inspect,
        moved,
        resident,
        shares,
        waits_for_terminal,
    )
else:
    from .ps import (
        argv,
        boot_id,
        children,
        command_lines,
        directory,
        having,
        inspect,
        moved,
        resident,
        shares,
        waits_for_terminal,
    )

__all__ = [
    "MARKER",
    "Process",
    "argv",
    "boot_id",
    "call_me",
    "children",
    "command_lines",
    "descendants",
    "directory",
    "inspect",
    "is_agent",
    "is_same",
    "marked",
    "moved",
    "resident",
    "shares",
    "waits_for_terminal",
]


def call_me(name: str) -> None:
    """Tell ``top`` and ``ps -e`` what this process is, in 15 characters; where that cannot be done, nothing happens."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name[:15])
    except OSError:
        pass


def is_same(pid: int, birth: str) -> bool:
    """Whether the process with this pid and this birth still lives."""
    found = inspect(pid)
    return found is not None and found.birth == birth


def descendants(roots: Iterable[int]) -> dict[int, Process]:
    """The living processes among ``roots`` and everything below them, by pid."""
    found: dict[int, Process] = {}
    queue = list(roots)
    while queue:
        pid = queue.pop()
        process = None if pid in found else inspect(pid)
        if process is not None:
            found[pid] = process
            queue.extend(children(pid))
    return found


def marked(job_id: str) -> list[int]:
    """Pids of all living processes whose environment names this job (a look at every process)."""
    me = os.getpid()
    return [pid for pid in having("%s=%s" % (MARKER, job_id)) if pid != me and inspect(pid) is not None]


def is_agent(pid: int) -> bool:
    """Whether this is an agent of ours, or a tmux server that was started to hold a view of ours.

    A job that submits jobs has these beneath it; they are not of its tree.
    """
    words = argv(pid)
    if not words or os.path.basename(words[0]).startswith("tmux"):
        return "view" in words and any("/agent-" in word for word in words)
    return len(words) > 3 and "-I" in words[1:3] and os.path.isdir(os.path.join(words[3], "orch_agent"))
