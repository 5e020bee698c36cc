"""Processes as Linux shows them in /proc."""

from __future__ import annotations

import os
from typing import Optional

from .process import Process

_TICK = float(os.sysconf("SC_CLK_TCK"))
_MACHINE = os.uname().machine
# System call numbers that read a terminal, or wait for one among other things.
_READ = {"x86_64": ("0",), "aarch64": ("63",)}.get(_MACHINE, ())
_POLL = {"x86_64": ("7", "23", "232", "270", "271", "281"), "aarch64": ("22", "72", "73")}.get(_MACHINE, ())


def _slurp(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall() or b""
    except OSError:
        return b""


def boot_id() -> str:
    """Differs after every boot of the kernel; the same in all containers on it."""
    return _slurp("/proc/sys/kernel/random/boot_id").decode().strip()


def pids() -> list[int]:
    """Every process there is."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def inspect(pid: int) -> Optional[Process]:
    """The process with this pid, or None where there is none or only a zombie."""
    stat = _slurp("/proc/%d/stat" % pid)
    # The name in brackets may hold spaces and brackets: the fields begin after the last one.
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    cpu = sum(int(field) for field in fields[11:15]) / _TICK
    return Process(pid, int(fields[1]), int(fields[2]), fields[19].decode(), cpu)


def children(pid: int) -> list[int]:
    """Direct children, of every thread."""
    try:
        threads = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return []
    found = (_slurp("/proc/%d/task/%s/children" % (pid, thread)) for thread in threads)
    return [int(child) for line in found for child in line.split()]


def argv(pid: int) -> list[str]:
    """The command line; empty for the dead and for kernel threads."""
    return [os.fsdecode(word) for word in _slurp("/proc/%d/cmdline" % pid).split(b"\0")[:-1]]


def having(entry: str) -> list[int]:
    """Pids of all processes that were started with ``NAME=value`` in their environment (19 us a process)."""
    wanted = entry.encode()
    return [pid for pid in pids() if wanted in _slurp("/proc/%d/environ" % pid).split(b"\0")]


def _fields(path: str, wanted: tuple[bytes, ...]) -> int:
    """Sum of the wanted ``Name:  n kB`` lines, in bytes."""
    total = 0
    for line in _slurp(path).splitlines():
        name, _, rest = line.partition(b":")
        if name in wanted:
            total += int(rest.split()[0]) << 10
    return total


def memory(pid: int, exact: bool) -> int:
    """Anonymous and shared memory in bytes, without page cache.

    ``exact`` shares common pages out among those who hold them (smaps_rollup: 12 ms a GiB);
    otherwise each holder counts them whole (a few microseconds).
    """
    if exact:
        return _fields("/proc/%d/smaps_rollup" % pid, (b"Pss_Anon", b"Pss_Shmem"))
    return _fields("/proc/%d/status" % pid, (b"RssAnon", b"RssShmem"))


def waits_for_terminal(pid: int, terminal: str, prompted: bool) -> bool:
    """Whether the process sits in a read of ``terminal``, or, having ``prompted``, waits for input at large."""
    words = _slurp("/proc/%d/syscall" % pid).decode().split()
    if len(words) < 2:
        return False
    if words[0] in _POLL:
        return prompted
    if words[0] not in _READ:
        return False
    try:
        return os.readlink("/proc/%d/fd/%d" % (pid, int(words[1], 16))) == terminal
    except OSError:
        return False
