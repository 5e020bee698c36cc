"""``secrets``: bring the values once more that a job waits for, or other ones for the attempts to come."""

from __future__ import annotations

from .. import given, supervision, vault, workplace
from ..check import check_values
from ..ledger import open_ledger
from ..model import Refusal
from .common import Answer, Request, find_all, label, text, view


def run(request: Request) -> Answer:
    """Of an array any task stands for all: they have one submission, and one file."""
    brought = vault.checked(request.get("secrets"))
    with open_ledger() as ledger:
        records = find_all(ledger, text(request, "job"))
        first = next((record for record in records if record.ended_at is None), None)
        if first is None:
            raise Refusal("refused", "%s has ended" % label(records), "orch rerun %s" % records[0].name)
        names = set(first.spec.secrets.values())
        lacking = sorted(names - brought.keys())
        if lacking or not names:
            said = "no value came along for the secret %s" % ", ".join(lacking) if names else "%s has no secrets"
            raise Refusal("refused", said if names else said % first.ref, "orch secret list")
        check_values(first.spec, brought)
        given.bring(ledger, workplace.owner(first), {name: brought[name] for name in names})
        supervision.ensure()
        supervision.poke()
        return {"job": view(ledger, ledger.get(first.id) or first), "names": sorted(names)}
