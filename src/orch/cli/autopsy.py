"""How ``orch show`` tells why a job failed: the facts that its host kept, in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Any

from orch_agent.model import JobView

from .output import age, is_terminal, size

Facts = Mapping[str, Any]

_BY = {
    "itself": "",  # how it ended says so
    "outside": "",
    "person": "a person, by orch cancel",
    "time_limit": "its time limit",
    "stall_limit": "its limit on doing nothing",
    "memory_limit": "its memory limit",
    "guard": "the guard of the host's memory",
    "kernel": "the kernel, which was out of memory",
    "host": "the host, which went down",
    "dependency": "a job that it needed",
    "unknown": "nobody knows",
}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # of a curve, in characters
_NOTABLE = 0.05  # part of the peak by which memory has to change within a tenth of the time to be called rising
_NEIGHBOURS = 3


def facts(job: JobView, autopsy: Facts, curve: Facts | None) -> Iterator[tuple[str, str]]:
    """Name and text of each thing that explains the end of ``job``; some are empty."""
    yield "ended by", _BY.get(autopsy["ended_by"], "")
    yield "first error", autopsy["first_error"] or ""
    yield "memory", memory(job, curve)
    yield "at the peak", ", ".join(f"{one['program']} {size(one['mem_bytes'])}" for one in autopsy["peak_processes"])
    yield "other jobs", _neighbours(autopsy)
    left = autopsy["host_available_bytes"]
    yield "host", "" if left is None else f"{size(left)} of memory were left"
    free = autopsy["disk_free_bytes"]
    yield "disk", "" if free is None else f"{size(free)} free"


def memory(job: JobView, curve: Facts | None) -> str:
    """Peak, when that was, how it went on, and what had been asked for."""
    peak, asked = job["mem_peak_bytes"], job["mem_request_bytes"]
    if peak is None:
        return ""
    said = f"{size(peak)} at its peak"
    if curve is not None and curve["seconds"]:
        highest = max(range(len(curve["seconds"])), key=curve["mem_bytes"].__getitem__)
        said += f" after {age(curve['seconds'][highest])}{_trend(curve)}"
    return said + ("" if asked is None else f"; {size(asked)} were reserved")


def _trend(curve: Facts) -> str:
    slope, length, peak = curve["mem_slope"], curve["seconds"][-1], max(curve["mem_bytes"])
    if slope is None or slope * length / 10 < peak * _NOTABLE:
        return ""
    return f", rising by {size(int(slope))} a second"


def _neighbours(autopsy: Facts) -> str:
    around, count = autopsy["neighbours"] or [], autopsy["neighbours_count"] or 0
    if not count:
        return ""
    told = ", ".join(f"{one['job']} {size(one['mem_bytes'])}" for one in around[:_NEIGHBOURS])
    rest = count - len(around[:_NEIGHBOURS])
    total = f"; {size(autopsy['neighbours_mem_bytes'])} in all" if count > 1 else ""
    return told + (f" and {rest} more" if rest else "") + total


def bars(curve: Facts | None) -> str:
    """The curve of memory over time in one line, for a person at a terminal that can show it."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if curve is None or not is_terminal(sys.stdout) or encoding != "utf8":
        return ""
    return drawn(curve["seconds"], curve["mem_bytes"])


def drawn(seconds: Sequence[float], sizes: Sequence[int]) -> str:
    """A bar for each part of the time: the highest in it, or where nothing was noted what was before."""
    if len(seconds) < 3 or not max(sizes):
        return ""
    width = min(_WIDTH, len(seconds))
    highest = [sizes[0], *[-1] * (width - 1)]
    last = seconds[-1] or 1.0
    for at, amount in zip(seconds, sizes, strict=True):
        place = max(0, ceil(at / last * width) - 1)
        highest[place] = max(highest[place], amount)
    for before, place in pairwise(range(width)):
        highest[place] = highest[before] if highest[place] < 0 else highest[place]
    top = max(highest)
    return "".join(_BARS[min(len(_BARS) - 1, amount * len(_BARS) // top)] for amount in highest)
