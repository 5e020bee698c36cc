"""What the earlier runs of a name teach about the next one: the memory to reserve, the time it takes. Pure.

Invariants
- A run that was cancelled, or lost its host, teaches nothing: it was not over.
- A few outliers upwards count (a reservation that is too small costs more than one that is too large), one does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from . import wire
from .model import COMPLETED, FAILED, OUT_OF_MEMORY, TIMEOUT, Result

RUNS = 50
"""How many of the newest runs count."""
_SHARE = 0.9
_MARGIN = 5
"""One part in so many is added."""


def teaches(result: Result) -> bool:
    """Whether this end says anything about the next run."""
    return result.state in (COMPLETED, FAILED, OUT_OF_MEMORY, TIMEOUT)


def lesson(runs: Sequence[tuple[float, float, str]]) -> tuple[Optional[int], Optional[float], int]:
    """From start, end and result of runs: bytes to reserve, seconds that one takes, how many runs tell that."""
    peaks, seconds = [], []
    for started_at, ended_at, text in runs:
        found = wire.result_from_json(text)
        if found is None or not teaches(found[1]):
            continue
        peaks.append(found[1].mem_peak_bytes or 0)  # too short to be seen at all
        if found[1].state == COMPLETED:
            seconds.append(max(0.0, ended_at - started_at))
    memory = percentile(peaks)
    return (None if memory is None else int(memory + memory // _MARGIN)), percentile(seconds), len(peaks)


def percentile(values: Sequence[float]) -> Optional[float]:
    """The 90th percentile by nearest rank; None of nothing."""
    return sorted(values)[math.ceil(_SHARE * len(values)) - 1] if values else None
