"""What only macOS knows, asked of its C library: a process to ask would need the memory it asks about. Experimental."""

from __future__ import annotations

from typing import Callable, Optional

_WARNING, _CRITICAL = 2, 4


def memory(reserve: Callable[[int], int]) -> tuple[Optional[int], Optional[int]]:
    """All there is and what can be had of it, in bytes; None where it does not tell.

    The system's own word wins over its figure: under pressure nothing is left beyond the reserve, and when that is
    critical only a quarter of it (see ``guard`` for what follows).
    """
    total, level = _number("hw.memsize"), _number("kern.memorystatus_level")
    available = total * level // 100 if total is not None and level is not None else None
    pressure = _number("kern.memorystatus_vm_pressure_level")
    if total is None or available is None or pressure is None or pressure < _WARNING:
        return total, available
    return total, min(available, reserve(total) // 4 if pressure >= _CRITICAL else reserve(total) - 1)


def _number(name: str) -> Optional[int]:
    import ctypes

    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError):
        return None
    value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
    if ask(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    return int(value.value)  # little-endian: right for narrower numbers, too
