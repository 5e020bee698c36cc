"""``cancel``: TERM to the whole tree, then KILL; return when nobody is left.

The request lies in a file before anybody is told of it, so it reaches the job also if its runner dies meanwhile.
"""

from __future__ import annotations

import os
import time

from .. import layout, observe, views
from .. import request as ending
from .. import view as viewing
from ..ledger import Record, open_ledger
from ..model import Refusal
from .common import Answer, Found, Request, number, texts

_STEP = 0.02
_AGAIN = 0.5
"""Seconds between two looks for those that wait again."""
_PATIENCE = 60.0
"""Seconds beyond the grace after which we say that something cannot be killed."""


def run(request: Request) -> Answer:
    """The jobs in the order they were named; those that had ended before are left as they are."""
    grace = max(0.0, number(request, "grace") or 0.0)
    with open_ledger() as ledger:
        found = Found(ledger, texts(request, "jobs"))
        observe.cancel_pending(ledger, found.records)
        watches = observe.Watches(ledger, found.now())
        for job_id in watches.living():
            record = ledger.get(job_id)
            if record is not None:
                _ask(record, grace)
        until = time.monotonic() + grace + _PATIENCE
        again = time.monotonic() + _AGAIN
        while watches.living():
            now = time.monotonic()
            if now > until:
                said = "some processes cannot be killed (waiting for a device?)"
                raise Refusal("host", said, "ps -eo pid,stat,args", there=True)
            time.sleep(_STEP)
            if now > again:
                # An attempt may have ended before it could be told, and another be about to follow it.
                observe.cancel_pending(ledger, found.now())
                again = now + _AGAIN
        return found.answer()


def _ask(record: Record, grace: float) -> None:
    unwritten = None
    try:
        # A job may have removed its own directory; its runner finds the file by its full path.
        os.makedirs(layout.job_dir(record.id), mode=0o700, exist_ok=True)
        ending.write(record.id, grace)
    except OSError as error:
        unwritten = error
    ending.wake(record.id)
    if not _tell(record, grace) and unwritten is not None:
        raise unwritten


def _tell(record: Record, grace: float) -> bool:
    """Say it to the runner; whether somebody heard it. It finds the file by itself within a second."""
    try:
        os.chdir(layout.job_dir(record.id))
        runner = viewing.connect(patience=0)
        if runner is None:
            return False
        with runner:
            runner.sendall(views.frame(b"c", ending.pack(grace)))
            return True
    except OSError:
        return False
