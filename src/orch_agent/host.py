"""What this machine has: memory in bytes, processors. In a container its limits count, not the machine's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Optional

from . import files

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def facts() -> Mapping[str, Any]:
    """Total and available memory (None where unknown), and processors we may use."""
    total, available = _linux() if sys.platform == "linux" else _macos()
    try:
        cpus: Optional[int] = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count()
    return {"mem_total_bytes": total, "mem_available_bytes": available, "cpus": cpus}


def _linux() -> tuple[Optional[int], Optional[int]]:
    lines = (line.split() for line in (files.read_text("/proc/meminfo") or "").splitlines())
    sizes = {words[0]: int(words[1]) << 10 for words in lines if len(words) > 1}
    total, available = sizes.get("MemTotal:"), sizes.get("MemAvailable:")
    limits = [int(text) for text in map(files.read_text, _LIMITS) if text and text.strip().isdigit()]
    if total is not None and limits:
        total = min(total, *limits)
    return total, available


def _macos() -> tuple[Optional[int], Optional[int]]:
    import subprocess

    def number(*words: str) -> Optional[int]:
        try:
            return int(subprocess.run(words, stdout=-1, stderr=-3, check=True).stdout)
        except (OSError, ValueError, subprocess.CalledProcessError):
            return None

    total = number("sysctl", "-n", "hw.memsize")
    free = number("sysctl", "-n", "kern.memorystatus_level")
    return total, total * free // 100 if total is not None and free is not None else None
