"""``wait``: return when the jobs have ended (or one of them, or the time is up, or the client is gone)."""

from __future__ import annotations

import time

from .. import logread, observe
from ..ledger import open_ledger
from .common import Answer, Request, find, number, texts, view


def run(request: Request) -> Answer:
    """The jobs in the order they were named."""
    timeout = number(request, "timeout")
    until = None if timeout is None else time.monotonic() + timeout
    with open_ledger() as ledger:
        watches = [observe.Watch(ledger, find(ledger, ref)) for ref in texts(request, "jobs")]
        enough = any if request.get("any") else all
        client = logread.Client()
        while True:
            # Every one of them is looked at each time, for a look also mends what it finds.
            ended = [watch.has_ended() for watch in watches]
            done = enough(ended)
            if done or (until is not None and time.monotonic() >= until) or client.is_gone():
                jobs = [view(ledger, watch.record) for watch in watches]
                return {"jobs": jobs, "timed_out": not done}
