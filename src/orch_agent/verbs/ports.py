"""``ports``: what the processes of a job listen on."""

from __future__ import annotations

from .. import listening, locks, tree
from ..ledger import open_ledger
from .common import Answer, Request, find, text, view


def run(request: Request) -> Answer:
    """Look at the whole tree of the job, also at what has left its session."""
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"), "ports")
        job = view(ledger, record)
    members = tree.of(record, locks.holder(record.id)).survivors() if record.started_at is not None else {}
    return {"job": job, "ports": [one._asdict() for one in listening.on(members)]}
