"""How much memory this host has, and how much is left before it is in trouble."""

from __future__ import annotations

from typing import NamedTuple

from . import host, settings


class Memory(NamedTuple):
    """Bytes: all there is for us, what can be had now, what the system keeps; and processors."""

    total: int
    available: int
    reserve: int
    cpus: int


def look() -> Memory:
    """Look now."""
    facts = host.facts()
    total = facts["mem_total_bytes"] or 8 << 30
    available = facts["mem_available_bytes"]
    return Memory(total, total if available is None else available, reserve(total), facts["cpus"] or 1)


def reserve(total: int) -> int:
    """Bytes that are left to the system and to whoever is logged in."""
    chosen = settings.read().get("memory_reserve")
    if chosen is not None:
        return min(int(chosen), total * 3 // 4)
    return min(max(total // 16, 256 << 20), 2 << 30, total // 4)
