"""What a job uses, sampled by its runner as often as it is worth.

Invariants
- Memory is anonymous and shared memory of the whole tree, a page shared by forks counted once:
  by the job's control group, else by proportional shares, which are costly and so are looked at
  for at most a fiftieth of a processor's time. Between two such looks a process counts with what it had alone and
  what it gained since, a fork with what it has more than its parent, all with what they shared;
  never less than the largest of them has, never more than all together.
- The pause between samples grows from 50 ms to 1 s while nothing changes and shrinks when memory moves.
- The newest sample lies in a file of fixed size, overwritten in place: no allocation, no sync.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Optional

from . import cgroup, procs
from .model import Usage

SHORTEST, LONGEST = 0.05, 1.0
_EXACT_SHARE = 50
_SIZE = 96


class Sampler:
    """Samples one tree. ``reaped_cpu`` is what its ended processes used, in seconds."""

    def __init__(self, group: Optional[cgroup.Group]) -> None:
        self.group = group
        self.reaped_cpu = 0.0
        self.interval = SHORTEST
        self.last = Usage(0, 0, 0.0)
        self._shared = 0
        self._alone: dict[tuple[int, str], tuple[int, int]] = {}
        self._largest: dict[str, int] = {}
        self._exact_after = 0.0

    def sample(self, tree: Iterable[procs.Process], waiting: Optional[bool]) -> Usage:
        """Look once at the living ``tree``."""
        members = list(tree)
        counted = self.group.memory() if self.group is not None else None
        # A group's count lags behind at first: nothing at all is no answer while somebody lives.
        memory = counted or self._memory(members)
        cpu = self.reaped_cpu + sum(process.cpu_seconds for process in members)
        before = self.last
        self.last = Usage(memory, max(before.mem_peak_bytes, memory), max(before.cpu_seconds, cpu), waiting)
        moved = abs(memory - before.mem_bytes) > before.mem_bytes // 20
        self.interval = SHORTEST if moved else min(LONGEST, self.interval * 1.5)
        return self.last

    def note(self, memory: int) -> None:
        """Somebody else has seen it use so much."""
        self.last = self.last._replace(mem_peak_bytes=max(self.last.mem_peak_bytes, memory))

    def _memory(self, members: list[procs.Process]) -> int:
        resident = {process.pid: procs.resident(process.pid) for process in members}
        if len(members) < 2:
            return sum(resident.values())
        if time.monotonic() >= self._exact_after:
            self._look_closely(members, resident)
        images = {process.pid: process.image for process in members}
        total = self._shared + sum(self._own(process, images, resident) for process in members)
        return min(max(total, *resident.values()), sum(resident.values()))

    def _look_closely(self, members: list[procs.Process], resident: dict[int, int]) -> None:
        before = time.thread_time()
        self._shared, self._alone, self._largest = 0, {}, {}
        for process in members:
            share, alone = procs.shares(process.pid)
            self._shared += share - alone
            self._alone[process.pid, process.image] = (alone, resident[process.pid])
            self._largest[process.image] = max(resident[process.pid], self._largest.get(process.image, 0))
        self._exact_after = time.monotonic() + _EXACT_SHARE * (time.thread_time() - before)

    def _own(self, process: procs.Process, images: dict[int, str], resident: dict[int, int]) -> int:
        """What it has alone; at a guess where it came, or became another program, after the last close look."""
        alone, then = self._alone.get((process.pid, process.image), (0, 0))
        if not then:
            is_fork = images.get(process.parent) == process.image
            then = resident[process.parent] if is_fork else self._largest.get(process.image, 0)
        return max(0, alone + resident[process.pid] - then)


def open_file(path: str) -> int:
    """A descriptor for ``write``; on a full disk one that keeps nothing."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_RDWR)


def write(fd: int, usage: Usage) -> None:
    """Overwrite the sample in the open file ``fd``."""
    # A reader that knows nothing of stalling takes what it tells in place of the waiting for "nobody knows".
    waiting = {None: "-", True: "1", False: "0"}[usage.waiting_for_input]
    since = waiting if usage.stalled_since is None else "stalled:%d" % usage.stalled_since
    line = "%d %d %.2f %s" % (usage.mem_bytes, usage.mem_peak_bytes, usage.cpu_seconds, since)
    try:
        os.pwrite(fd, line.ljust(_SIZE - 1).encode() + b"\n", 0)
    except OSError:
        pass  # a full disk: the sample grows old, the job goes on


def read(path: str) -> Optional[Usage]:
    """The newest sample in the file, or None where there is none."""
    try:
        with open(path, "rb") as file:
            memory, peak, cpu, waiting = file.read(_SIZE).decode().split()
        known = {"1": True, "0": False}.get(waiting)
        stalled = float(waiting.partition(":")[2]) if waiting.startswith("stalled:") else None
        return Usage(int(memory), int(peak), float(cpu), known if stalled is None else False, stalled)
    except (OSError, ValueError):
        return None
