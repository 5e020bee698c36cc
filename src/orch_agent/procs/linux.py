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
    """Differs after every boot of the kernel; the same in all containers on it, but for a codespace.

    That is a container which starts by itself: its first process tells one start from another.
    """
    kernel = _slurp("/proc/sys/kernel/random/boot_id").decode().strip()
    first = inspect(1) if "ORCH_CODESPACE" in os.environ else None
    return "%s+%s" % (kernel, first.birth) if first else kernel


def pids() -> list[int]:
    """Every process there is."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def inspect(pid: int) -> Optional[Process]:
    """The process with this pid, or None where there is none or only a zombie."""
    stat = _slurp("/proc/%d/stat" % pid)
    # The name in brackets may hold spaces and brackets: the fields begin after the last one.
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) < 26 or fields[0] in (b"Z", b"X"):
        return None
    cpu = sum(int(field) for field in fields[11:15]) / _TICK
    # Where the stack begins: exec puts it somewhere else, fork does not.
    return Process(pid, int(fields[1]), int(fields[2]), fields[19].decode(), cpu, fields[25].decode())


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


def directory(pid: int) -> str:
    """A path that leads to its working directory."""
    return "/proc/%d/cwd" % pid


def moved(pid: int) -> int:
    """Bytes that it and children it has waited for have read and written so far; 0 where nobody may know."""
    found = dict(line.split(b": ") for line in _slurp("/proc/%d/io" % pid).splitlines())
    return int(found.get(b"rchar", 0)) + int(found.get(b"wchar", 0))


def command_lines() -> list[list[str]]:
    """The command line of every process."""
    return [argv(pid) for pid in pids()]


def having(entry: str) -> list[int]:
    """Pids of all processes that were started with ``NAME=value`` in their environment (19 us a process)."""
    wanted = entry.encode()
    return [pid for pid in pids() if wanted in _slurp("/proc/%d/environ" % pid).split(b"\0")]


def _sizes(path: str, wanted: tuple[bytes, ...]) -> list[int]:
    """The wanted ``Name:  n kB`` lines in bytes, in the order of ``wanted``; 0 for those that are not there."""
    found = (line.partition(b":")[::2] for line in _slurp(path).splitlines())
    sizes = {name: int(rest.split()[0]) << 10 for name, rest in found if name in wanted}
    return [sizes.get(name, 0) for name in wanted]


def resident(pid: int) -> int:
    """Anonymous and shared memory in bytes, without page cache, common pages counted whole (a few microseconds)."""
    return sum(_sizes("/proc/%d/status" % pid, (b"RssAnon", b"RssShmem")))


def shares(pid: int) -> tuple[int, int]:
    """The same with common pages shared out among those who hold them, and what of it nobody else holds.

    Costs 12 ms a GiB (smaps_rollup).
    """
    anon, shmem, alone = _sizes("/proc/%d/smaps_rollup" % pid, (b"Pss_Anon", b"Pss_Shmem", b"Private_Dirty"))
    return anon + shmem, min(anon + shmem, alone)


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
        # In the foreground of this terminal, /dev/tty is no other.
        return os.readlink("/proc/%d/fd/%d" % (pid, int(words[1], 16))) in (terminal, "/dev/tty")
    except OSError:
        return False
