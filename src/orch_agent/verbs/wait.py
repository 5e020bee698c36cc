"""``wait``: return when the jobs have ended (or one of them, or the time is up, or the client is gone)."""

from __future__ import annotations

import time

from .. import logread, observe
from ..ledger import open_ledger
from .common import Answer, Found, Request, number, texts


def run(request: Request) -> Answer:
    """The jobs in the order they were named, of arrays each task."""
    timeout = number(request, "timeout")
    until = None if timeout is None else time.monotonic() + timeout
    with open_ledger() as ledger:
        found = Found(ledger, texts(request, "jobs"))
        enough = len(found.ids) if request.get("any") else 1
        watches = observe.Watches(ledger, found.records)
        client = logread.Client()
        while True:
            done = len(watches.living()) < enough
            if done or (until is not None and time.monotonic() >= until) or client.is_gone():
                return {**found.answer(), "timed_out": not done}
