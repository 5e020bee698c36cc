"""Processes as ``ps`` shows them: for macOS and other systems without /proc. Experimental.

Birth is the start time to the second. Shared pages count in every process that holds them.
"""

from __future__ import annotations

import os
import sys
from typing import Optional

from .process import Process

_COLUMNS = "pid=,ppid=,pgid=,stat=,rss=,time=,lstart="


def _run(*words: str) -> str:
    import subprocess

    try:
        # C: month names and the decimal point must not follow the person's language.
        done = subprocess.run(words, stdout=-1, stderr=-3, env={**os.environ, "LC_ALL": "C"}, check=False)
    except OSError:
        return ""
    return os.fsdecode(done.stdout)


def _seconds(clock: str) -> float:
    """``[[days-]hours:]minutes:seconds[.hundredths]`` in seconds."""
    days, _, rest = clock.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = total * 60 + float(part)
    return total + int(days or 0) * 86400


def _rows(*words: str) -> list[tuple[Process, int]]:
    """Processes and their resident bytes, without zombies."""
    found = []
    for line in _run("ps", *words, "-o", _COLUMNS).splitlines():
        fields = line.split(None, 6)
        if len(fields) == 7 and not fields[3].startswith("Z"):
            pid, parent, group = (int(field) for field in fields[:3])
            process = Process(pid, parent, group, " ".join(fields[6].split()), _seconds(fields[5]), fields[0])
            found.append((process, int(fields[4]) << 10))
    return found


def boot_id() -> str:
    """Differs after every boot."""
    return _run("sysctl", "-n", "kern.bootsessionuuid").strip() or _run("sysctl", "-n", "kern.boottime").strip()


def inspect(pid: int) -> Optional[Process]:
    """The process with this pid, or None."""
    rows = _rows("-p", str(pid))
    return rows[0][0] if rows else None


def children(pid: int) -> list[int]:
    """Direct children."""
    return [process.pid for process, _ in _rows("-ax") if process.parent == pid]


def argv(pid: int) -> list[str]:
    """The command line, cut at white space: good for recognising a program, not for running it again."""
    return _run("ps", "-ww", "-o", "command=", "-p", str(pid)).split()


def directory(pid: int) -> str:
    """A path that leads to its working directory: not to be known here."""
    return ""


def moved(pid: int) -> int:
    """Bytes that it has read and written: not to be known here."""
    return 0


def command_lines() -> list[list[str]]:
    """The command line of every process, cut at white space."""
    return [line.split() for line in _run("ps", "-axww", "-o", "command=").splitlines()]


def having(entry: str) -> list[int]:
    """Pids of own processes that were started with ``NAME=value`` in their environment."""
    flags = ("-axEww",) if sys.platform == "darwin" else ("axeww",)
    lines = (line.split() for line in _run("ps", *flags, "-o", "pid=,command=").splitlines())
    return [int(words[0]) for words in lines if entry in words[2:]]


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    return sum(size for _, size in _rows("-p", str(pid)))


def shares(pid: int) -> tuple[int, int]:
    """The same, twice: ``ps`` tells no shared page from a private one."""
    size = resident(pid)
    return size, size


def waits_for_terminal(pid: int, terminal: str, prompted: bool) -> bool:
    """Not to be known here."""
    return False
