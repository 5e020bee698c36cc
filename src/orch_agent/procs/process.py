"""A process, as both ways of looking describe it."""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """One living process. ``cpu_seconds`` includes the children it has waited for.

    ``image`` is the same for a process and its forks, until one of them execs.
    """

    pid: int
    parent: int
    group: int
    birth: str
    cpu_seconds: float
    image: str
