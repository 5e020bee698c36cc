"""What this machine has: memory in bytes, processors. In a container its limits count, not the machine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import memory


def facts() -> Mapping[str, Any]:
    """Total and available memory (None where unknown), and processors we may use."""
    total, available = memory.measure()
    return {"mem_total_bytes": total, "mem_available_bytes": available, "cpus": memory.cpus()}
