"""``close``: take no jobs for a while, if there are none; with no time at all: take them again.

``idle``: a codespace is closed only where nothing has gone on, and nobody been there, for so many seconds.
"""

from __future__ import annotations

from .. import closed, idle, observe, onlookers
from ..ledger import open_ledger
from ..model import Refusal
from .common import Answer, Request, number, text

LONGEST = 6 * 3600.0
"""Seconds: whoever closes a host may be gone a moment later."""


def run(request: Request) -> Answer:
    """The names of jobs that live, or wait; where there are any it stays open, unless that was asked for."""
    seconds = number(request, "seconds", 0.0) or 0.0
    if seconds <= 0:
        closed.open_again()
        return {"names": []}
    least = number(request, "idle", 0.0) or 0.0
    with open_ledger() as ledger:
        for record in ledger.live_since(float("inf")):
            observe.look(ledger, record)  # some may have ended, and nobody has said so yet
        quiet = onlookers.quiet(idle.look(ledger).seconds) if least else None
        if least and (quiet is None or quiet < least):
            raise Refusal("refused", "somebody is there, or was a moment ago", "orch status")
        names = closed.close(ledger, text(request, "why"), min(seconds, LONGEST), request.get("even_so") is True)
    return {"names": sorted(names)}
