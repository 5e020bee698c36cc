"""``resolve``: which runs names mean now, so that whoever asks again later means the same ones."""

from __future__ import annotations

from ..ledger import open_ledger
from .common import Answer, Request, find_all, label, texts


def run(request: Request) -> Answer:
    """Of each reference its runs: ``NAME.n``, or ``NAME.n-m`` for an array."""
    with open_ledger() as ledger:
        return {"runs": [label(find_all(ledger, ref)) for ref in texts(request, "jobs")]}
