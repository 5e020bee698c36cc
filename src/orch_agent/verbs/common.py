"""What several verbs need: the run that was meant, and its view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

from .. import observe, present
from ..ledger import Ledger, Record
from ..model import JobRef, JobView, Refusal

Request = Mapping[str, Any]
Answer = Mapping[str, Any]


def text(request: Request, key: str) -> str:
    """A text the request must hold."""
    value = request.get(key)
    if not isinstance(value, str):
        raise Refusal("usage", "the request lacks the text %r" % key)
    return value


def texts(request: Request, key: str) -> list[str]:
    """A list of texts; empty where the request has none."""
    value = request.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Refusal("usage", "%r is not a list of texts" % key)
    return value


def number(request: Request, key: str, default: Optional[float] = None) -> Optional[float]:
    """A number of the request; ``default`` where it has none."""
    value = request.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Refusal("usage", "%r is no number" % key)
    return float(value)


def count(request: Request, key: str) -> Optional[int]:
    """A whole number of the request, at least 0; None where it has none."""
    value = number(request, key)
    return None if value is None else max(0, int(value))


def find(ledger: Ledger, ref: str) -> Record:
    """The run that ``ref`` means, or a refusal that says what there is."""
    wanted = JobRef.parse(ref)
    record = ledger.find(wanted)
    if record is not None:
        return record
    last = ledger.last_run(wanted.name)
    if last:
        raise Refusal(
            "not_found",
            "there is no run %s: %s has runs 1 to %d" % (ref, wanted.name, last),
            "orch show %s" % wanted.name,
        )
    hint = "\n".join([*_guess(wanted.name, ledger), "orch status --all"])
    raise Refusal("not_found", "there is no job called %s on this host" % wanted.name, hint)


def _guess(name: str, ledger: Ledger) -> list[str]:
    import difflib

    return ["did you mean %s?" % near for near in difflib.get_close_matches(name, ledger.names(), n=1)]


def view(ledger: Ledger, record: Record) -> JobView:
    """The run as it is now."""
    return present.job_view(record, observe.look(ledger, record))
