"""What the earlier runs of a name teach about the next one: the memory to reserve, the time it takes. Pure.

Invariants
- A run that was cancelled, or lost its host, teaches nothing: it was not over. Nor does one that failed at once.
- A few outliers upwards count (a reservation that is too small costs more than one that is too large), one does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

from .model import COMPLETED, FAILED, OUT_OF_MEMORY, TIMEOUT, Result

RUNS = 50
"""How many of the newest runs count."""
_AT_ONCE = 10.0
"""Seconds within which a run that fails has not come to what it was to do."""
_SHARE = 0.9
_MARGIN = 5
"""One part in so many is added."""


def teaches(took: float, result: Result) -> bool:
    """Whether this end says anything about the next run."""
    if result.state == FAILED:
        return took >= _AT_ONCE
    return result.state in (COMPLETED, OUT_OF_MEMORY, TIMEOUT)


class Lesson(NamedTuple):
    """Bytes to reserve, the seconds that a run takes, how many runs tell that, and what is kept of them."""

    mem: Optional[int]
    seconds: Optional[float]
    runs: int
    past: str


def lesson(ended: Sequence[tuple[float, Result]], past: Optional[str] = None) -> Lesson:
    """What is known once more runs have ended, the newest first, each after so many seconds.

    ``past``: what was kept of those before.
    """
    newest = [
        # One that was too short to be seen at all counts as nothing.
        (result.mem_peak_bytes or 0, round(max(0.0, took), 3) if result.state == COMPLETED else None)
        for took, result in ended
        if teaches(took, result)
    ]
    runs = [*newest, *json.loads(past or "[]")][:RUNS]
    memory = percentile([peak for peak, _ in runs])
    usual = percentile([took for _, took in runs if took is not None])
    text = json.dumps(runs, separators=(",", ":"))
    return Lesson(None if memory is None else int(memory + memory // _MARGIN), usual, len(runs), text)


def percentile(values: Sequence[float]) -> Optional[float]:
    """The 90th percentile by nearest rank; None of nothing."""
    return sorted(values)[math.ceil(_SHARE * len(values)) - 1] if values else None
