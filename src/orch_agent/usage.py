"""What a job uses, sampled by its runner as often as it is worth.

Invariants
- Memory is anonymous and shared memory of the whole tree, a page shared by forks counted once:
  by the job's control group, else by proportional shares, which are costly and so are taken
  for at most a fiftieth of the time; between them the cheap count is scaled by the last known share.
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
        self._share = 1.0
        self._exact_after = 0.0

    def sample(self, tree: Iterable[procs.Process], waiting: Optional[bool]) -> Usage:
        """Look once at the living ``tree``."""
        members = list(tree)
        counted = self.group.memory() if self.group is not None else None
        memory = self._memory(members) if counted is None else counted
        cpu = self.reaped_cpu + sum(process.cpu_seconds for process in members)
        before = self.last
        self.last = Usage(memory, max(before.mem_peak_bytes, memory), max(before.cpu_seconds, cpu), waiting)
        moved = abs(memory - before.mem_bytes) > before.mem_bytes // 20
        self.interval = SHORTEST if moved else min(LONGEST, self.interval * 1.5)
        return self.last

    def _memory(self, members: list[procs.Process]) -> int:
        cheap = sum(procs.memory(process.pid, exact=False) for process in members)
        if len(members) < 2:
            return cheap
        began = time.monotonic()
        if began >= self._exact_after:
            exact = sum(procs.memory(process.pid, exact=True) for process in members)
            took = time.monotonic() - began
            self._exact_after = began + _EXACT_SHARE * took
            self._share = exact / cheap if cheap and exact else 1.0
        return int(cheap * self._share)


def write(fd: int, usage: Usage) -> None:
    """Overwrite the sample in the open file ``fd``."""
    waiting = {None: "-", True: "1", False: "0"}[usage.waiting_for_input]
    line = "%d %d %.2f %s" % (usage.mem_bytes, usage.mem_peak_bytes, usage.cpu_seconds, waiting)
    try:
        os.pwrite(fd, line.ljust(_SIZE - 1).encode() + b"\n", 0)
    except OSError:
        pass  # a full disk: the sample grows old, the job goes on


def read(path: str) -> Optional[Usage]:
    """The newest sample in the file, or None where there is none."""
    try:
        with open(path, "rb") as file:
            memory, peak, cpu, waiting = file.read(_SIZE).decode().split()
        return Usage(int(memory), int(peak), float(cpu), {"1": True, "0": False}.get(waiting))
    except (OSError, ValueError):
        return None
