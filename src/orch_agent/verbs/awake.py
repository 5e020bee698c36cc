"""``awake``: from when to when this codespace was awake, this month and the last."""

from __future__ import annotations

from .. import uptime
from .common import Answer, Request


def run(request: Request) -> Answer:
    """Pairs of seconds since the epoch, the oldest first."""
    return {"spans": [[start, end] for start, end in uptime.spans()]}
