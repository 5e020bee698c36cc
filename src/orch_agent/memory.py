"""How much memory this host has, how much is left, and whether it suffers.

Invariants
- In a container, or below any control group with a limit, what that leaves counts where it is less than what the
  machine has: its limit less what it uses, page cache that can be had back not counted as used.
- Nothing is started and nothing is waited for: the guard looks when there is least of everything.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from . import cgroup, settings

_UNKNOWN = 8 << 30
"""Bytes that a host is taken to have which does not tell."""
_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
    "": ("memory.max", "memory.current", ("active_file", "inactive_file", "slab_reclaimable")),
}
"""Of a control group in each hierarchy: its limit, what it uses, what of that the kernel takes back when it must."""

_NO_LIMIT = 1 << 60
"""Version 1 says the largest number of pages where there is no limit."""


class Memory(NamedTuple):
    """Bytes: all there is for us, what can be had now, what the system keeps; and processors."""

    total: int
    available: int
    reserve: int
    cpus: int


def look() -> Memory:
    """Look now."""
    total, available = measure()
    total = total or _UNKNOWN
    return Memory(total, total if available is None else available, reserve(total), cpus() or 1)


def reserve(total: int) -> int:
    """Bytes that are left to the system and to whoever is logged in."""
    chosen = settings.read().get("memory_reserve")
    if chosen is not None:
        return min(int(chosen), total * 3 // 4)
    return min(max(total // 16, 256 << 20), 2 << 30, total // 4)


def cpus() -> Optional[int]:
    """Processors that we may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count()


def measure() -> tuple[Optional[int], Optional[int]]:
    """All there is for us and what can be had of it, in bytes; None where this system does not tell."""
    if sys.platform != "linux":
        from . import darwin  # ctypes, which costs the others nothing

        return darwin.memory(reserve)
    sizes = cgroup.fields(cgroup.read("/proc/meminfo").replace(" kB", ""))
    total, available = (_kilobytes(sizes.get(key)) for key in ("MemTotal:", "MemAvailable:"))
    for limit, left in _limits():
        total = limit if total is None else min(total, limit)
        available = left if available is None else min(available, left)
    return total, available


def _kilobytes(text: Optional[str]) -> Optional[int]:
    return None if text is None else int(text) << 10


def _limits() -> Iterator[tuple[int, int]]:
    """The limits that hold for us, and what each of them leaves."""
    for hierarchy, (limit_file, usage_file, reclaimable) in _FILES.items():
        for group in cgroup.lineage(hierarchy):
            limit = cgroup.number(os.path.join(group, limit_file))
            usage = cgroup.number(os.path.join(group, usage_file))
            if limit is not None and usage is not None and limit < _NO_LIMIT:
                stat = cgroup.fields(cgroup.read(os.path.join(group, "memory.stat")))
                cache = sum(int(stat.get(key, 0)) for key in reclaimable)
                yield limit, max(0, limit - max(0, usage - cache))


class Stalls:
    """For what share of the time everybody who could have run waited for memory, since the look before."""

    _LEAST = 0.5
    """Seconds between two looks; what is asked earlier gets the same answer again."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._total = _stalled()
        self._share = 0.0

    def share(self) -> float:
        """Between 0 and 1; 0 where the kernel does not tell."""
        now = time.monotonic()
        if now - self._at >= self._LEAST:
            total = _stalled()
            self._share = max(0.0, min(1.0, (total - self._total) / 1e6 / (now - self._at)))
            self._at, self._total = now, total
        return self._share


def _stalled() -> int:
    """Microseconds, of the nearest group that has a limit, else of the machine."""
    limited = (group for group in cgroup.lineage("") if cgroup.number(os.path.join(group, "memory.max")) is not None)
    for path in [*(os.path.join(group, "memory.pressure") for group in limited), "/proc/pressure/memory"]:
        for line in cgroup.read(path).splitlines():
            words = dict(word.split("=", 1) for word in line.split()[1:])
            if line.startswith("full") and words.get("total", "").isdigit():
                return int(words["total"])
    return 0
