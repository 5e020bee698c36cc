"""How quantities are written, on the command line and in the files that a person writes.

Invariants
- ``TERMS`` is the one place that knows how each term of a job is written; its keys are ``JobSpec``'s.
- What cannot be meant is a usage error with an example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orch_agent.model import JobRef

from .errors import usage

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", re.ASCII)
_UNITS = {unit: 1 << 10 * power for power, unit in enumerate(("", "k", "m", "g", "t"))}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?", re.ASCII)


def duration(text: str) -> float:
    """Seconds in ``10s``, ``5m``, ``3h``, ``1d`` or a plain number."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise usage(f"{text!r} is no duration", "write 10s, 5m, 3h, 1d, or seconds")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Bytes in ``6G``, ``6GB``, ``512M``, ``1.5G`` or a plain number; a G is 2^30."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise usage(f"{text!r} is no size", "write 6G, 512M, 1.5G, or bytes")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def whole(text: str) -> int:
    """A whole number."""
    if not _WHOLE.fullmatch(text):
        raise usage(f"{text!r} is no whole number", "write digits, as in 3")
    return int(text)


def processors(text: str) -> float:
    """A number of processors, of which one may be shared: ``0.5``."""
    if not _DECIMAL.fullmatch(text):
        raise usage(f"{text!r} is no number of processors", "write 4, or 0.5 for half of one")
    return float(text)


def ref(text: str) -> str:
    """A job: ``NAME``, ``NAME.3`` or ``NAME.3-7``."""
    return str(JobRef.parse(text))


TERMS: Mapping[str, Callable[[str], Any]] = {
    "mem": size,
    "mem_max": size,
    "cpus": processors,
    "timeout": duration,
    "retries": whole,
    "retry_delay": duration,
    "after": ref,
    "array": str,
    "nice": whole,
    "log_max": size,
    "stall": duration,
}
"""How each term of a job is read. ``array`` is read by the host."""
