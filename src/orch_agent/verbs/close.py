"""``close``: take no jobs for a while, if there are none; with no time at all: take them again."""

from __future__ import annotations

from .. import closed, observe
from ..ledger import open_ledger
from .common import Answer, Request, number, text

LONGEST = 6 * 3600.0
"""Seconds: whoever closes a host may be gone a moment later."""


def run(request: Request) -> Answer:
    """The names of jobs that live, or wait; where there are any it stays open, unless that was asked for."""
    seconds = number(request, "seconds", 0.0) or 0.0
    if seconds <= 0:
        closed.open_again()
        return {"names": []}
    with open_ledger() as ledger:
        for record in ledger.live_since(float("inf")):
            observe.look(ledger, record)  # some may have ended, and nobody has said so yet
        names = closed.close(ledger, text(request, "why"), min(seconds, LONGEST), request.get("even_so") is True)
    return {"names": sorted(names)}
