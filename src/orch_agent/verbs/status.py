"""``status``: what is pending, running, or ended in the last 24 hours; the history with ``all``."""

from __future__ import annotations

import time

from .. import codespace, host, idle, onlookers, settings, waiting, wire
from ..ledger import Ledger, Record, open_ledger
from ..model import JobRef, rfc3339
from .common import Answer, Request, find_all, texts, view

_RECENT = 24 * 3600.0


def run(request: Request) -> Answer:
    """Rows in the order of submission."""
    names = texts(request, "names")
    settings.keep(request.get("settings"))
    with open_ledger() as ledger:
        since = 0.0 if request.get("all") else time.time() - _RECENT
        records = _named(ledger, names, since) if names else ledger.live_since(since)
        outlook = waiting.Outlook(ledger)
        jobs = (view(ledger, record, outlook) for record in records)
        told = {"jobs": list(wire.packed(jobs)), "packed": True} if request.get("packed") else {"jobs": list(jobs)}
        facts = {**host.facts(), "idle_seconds": idle.look(ledger).seconds, "now": rfc3339(time.time())}
    if codespace.is_here():
        facts.update(idle_seconds=onlookers.quiet(facts["idle_seconds"]), codespace=codespace.facts())
    return {**told, "host": facts}


def _named(ledger: Ledger, names: list[str], since: float) -> list[Record]:
    """Runs of these names; of each at least those that the name means."""
    found: dict[str, Record] = {}
    for name in names:
        meant = find_all(ledger, name)
        if JobRef.parse(name).run is None:
            found.update((one.id, one) for one in ledger.live_since(since) if one.name == meant[0].name)
        found.update((one.id, one) for one in meant)
    return list(found.values())
