"""From when to when this codespace was awake: for what it costs, and for why it stopped.

Invariants
- The file is written whole, once a minute: a stop that nobody announces takes a minute from it at most.
- It reaches back to the beginning of the month before this one.
"""

from __future__ import annotations

import json
import time
from typing import Any, Optional

from . import closed, codespace, files, layout, procs


def note(present_at: float) -> None:
    """It is awake now. ``present_at``: when somebody was there last, as far as GitHub sees that."""
    now, boot, spans = time.time(), procs.boot_id(), _kept()
    if spans and spans[-1]["boot"] == boot:
        span = spans.pop()
    else:
        span = {"boot": boot, "start": round(codespace.started_at(), 3)}
    span.update(end=round(max(now, span["start"]), 3), present=round(present_at, 3), timer=codespace.timer_minutes())
    spans = [one for one in spans if one["end"] >= _month_before(now)]
    try:
        files.write_whole(layout.awake_file(), json.dumps({"spans": [*spans, span]}) + "\n", durable=False)
    except OSError:
        pass  # a full disk, which must not keep it awake: the next time


def spans() -> list[tuple[float, float]]:
    """When it was awake, this month and the last, in seconds since the epoch."""
    since = _month_before(time.time())
    return [(max(since, one["start"]), one["end"]) for one in _kept() if one["end"] >= since]


def why_stopped(boot: Optional[str], last_sign: float) -> str:
    """Why the codespace stopped that was started as ``boot``, as far as anybody can tell."""
    span = next((one for one in _kept() if one["boot"] == boot), None)
    if span is None:
        return "why is not known"
    minute, end = codespace.minute(), max(span["end"], last_sign)
    if closed.was_until(boot) >= end:
        return "somebody stopped it with orch"
    if end - span["start"] >= codespace.longest() - 2 * minute:
        return "it had run for %d hours, and GitHub allows no more" % (codespace.LONGEST // 60)
    if end - span["present"] >= (span["timer"] - 2) * minute:
        return "GitHub's idle timer of %g minutes, as far as can be told" % span["timer"]
    return "somebody stopped it, or GitHub did"


def _kept() -> list[dict[str, Any]]:
    """What is in the file, but for what makes no sense."""
    found = files.read_table(layout.awake_file()).get("spans")
    return [one for one in found if _is_span(one)] if isinstance(found, list) else []


def _is_span(one: Any) -> bool:
    numbers = ("start", "end", "present", "timer")
    return isinstance(one, dict) and "boot" in one and all(isinstance(one.get(key), (int, float)) for key in numbers)


def _month_before(now: float) -> float:
    """When the month before that of ``now`` began, by the clock of the world."""
    year, month = time.gmtime(now)[:2]
    year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    import calendar  # who only looks needs none

    return float(calendar.timegm((year, month, 1, 0, 0, 0)))
