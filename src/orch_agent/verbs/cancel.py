"""``cancel``: TERM to the whole tree, then KILL; return when nobody is left.

The request lies in a file before anybody is told of it, so it reaches the job also if its runner dies meanwhile.
"""

from __future__ import annotations

import os
import time

from .. import layout, observe, views
from .. import request as ending
from .. import view as viewing
from ..ledger import Ledger, Record, open_ledger
from ..model import Refusal
from .common import Answer, Request, find, number, texts, view

_STEP = 0.02
_PATIENCE = 60.0
"""Seconds beyond the grace after which we say that something cannot be killed."""


def run(request: Request) -> Answer:
    """The jobs in the order they were named; those that had ended before are left as they are."""
    grace = max(0.0, number(request, "grace") or 0.0)
    with open_ledger() as ledger:
        records = [find(ledger, ref) for ref in texts(request, "jobs")]
        watches = [observe.Watch(ledger, record) for record in records]
        for watch in watches:
            if not watch.has_ended():
                _ask(ledger, watch.record, grace)
                watch.look_soon()
        until = time.monotonic() + grace + _PATIENCE
        while _alive(watches):
            if time.monotonic() > until:
                said = "some processes cannot be killed (waiting for a device?)"
                raise Refusal("host", said, "ps -eo pid,stat,args", there=True)
            time.sleep(_STEP)
        return {"jobs": [view(ledger, ledger.get(record.id) or record) for record in records]}


def _alive(watches: list[observe.Watch]) -> bool:
    """Whether any of the jobs still lives; every one is looked at, for a look also mends what it finds."""
    ended = [watch.has_ended() for watch in watches]
    return not all(ended)


def _ask(ledger: Ledger, record: Record, grace: float) -> None:
    if observe.cancel_pending(ledger, record.id):
        return
    unwritten = None
    try:
        # A job may have removed its own directory; its runner finds the file by its full path.
        os.makedirs(layout.job_dir(record.id), mode=0o700, exist_ok=True)
        ending.write(record.id, grace)
    except OSError as error:
        unwritten = error
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
