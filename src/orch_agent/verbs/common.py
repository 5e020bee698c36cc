"""What several verbs need: the run that was meant, and its view."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .. import observe, present, waiting
from ..ledger import Ledger, Record, stored_end
from ..model import COMPLETED, UNKNOWN_JOB, Ended, JobRef, JobView, Pending, Refusal, State

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


def find(ledger: Ledger, ref: str, command: str) -> Record:
    """The one run that ``ref`` means. Of several, ``command`` cannot choose: the refusal says how to name one."""
    records = find_all(ledger, ref)
    if len(records) == 1:
        return records[0]
    said = "%s are %d jobs, and orch %s takes one" % (label(records), len(records), command)
    raise Refusal("refused", said, "orch %s %s" % (command, _likely(records, command).ref))


def label(records: Sequence[Record]) -> str:
    """``NAME.n``, or ``NAME.n-m`` for the tasks of an array."""
    return str(JobRef(records[0].name, records[0].run, records[-1].run if records[1:] else None))


def _likely(records: Sequence[Record], command: str) -> Record:
    """The one that a person most likely means: to read of, one that failed; else one that runs."""
    ended = ((record, stored_end(record)) for record in records if command in ("show", "logs"))
    bad = (record for record, end in ended if end is not None and end.result.state != COMPLETED)
    running = (record for record in records if record.started_at is not None and record.ended_at is None)
    return next(itertools.chain(bad, running), records[0])


def find_all(ledger: Ledger, ref: str) -> list[Record]:
    """The runs that ``ref`` means, of an array each task; where there are none, a refusal says what there is."""
    wanted = JobRef.parse(ref)
    records = ledger.find(wanted)
    if records:
        return records
    last = ledger.last_run(wanted.name)
    gone = ledger.last_gone(wanted.name)
    if gone >= (wanted.run or last) > 0:
        raise _pruned(wanted, last, gone)
    if last:
        raise Refusal(
            "not_found",
            "there is no run %s: %s has runs 1 to %d" % (ref, wanted.name, last),
            "orch show %s" % wanted.name,
        )
    hint = "\n".join([*_guess(wanted.name, ledger), "orch status --all"])
    raise Refusal("not_found", UNKNOWN_JOB + "%s on this host" % wanted.name, hint)


def _pruned(wanted: JobRef, last: int, gone: int) -> Refusal:
    from .. import retention, units

    what = "%s is" % str(wanted) if wanted.run else "all runs of %s are" % wanted.name
    said = "%s gone: runs are kept for %s after their end" % (what, units.duration(retention.kept_for()))
    hint = "orch show %s" % wanted.name if last > gone else "orch status --all"
    return Refusal("not_found", said, hint + '\nretention = "90d" in the configuration of the host keeps them longer')


def _guess(name: str, ledger: Ledger) -> list[str]:
    import difflib

    return ["did you mean %s?" % near for near in difflib.get_close_matches(name, ledger.names(), n=1)]


class Found:
    """The jobs that were named, of arrays each task."""

    def __init__(self, ledger: Ledger, refs: Sequence[str]) -> None:
        self._ledger = ledger
        groups = [find_all(ledger, ref) for ref in refs]
        self._each = [len(group) for group in groups]
        self.records = [record for group in groups for record in group]
        self.ids = {record.id for record in self.records}

    def now(self) -> list[Record]:
        """Their rows as they are by now."""
        return [self._ledger.get(record.id) or record for record in self.records]

    def answer(self) -> dict[str, Any]:
        """Their views, and how many of them belong to each of what was named."""
        outlook = waiting.Outlook(self._ledger)
        return {"jobs": [view(self._ledger, record, outlook) for record in self.now()], "each": self._each}


def view(ledger: Ledger, record: Record, outlook: Optional[waiting.Outlook] = None) -> JobView:
    """The run as it is now; whoever shows several has one ``outlook`` for all of them."""
    return shown(ledger, record, observe.look(ledger, record), outlook)


def shown(ledger: Ledger, record: Record, state: State, outlook: Optional[waiting.Outlook] = None) -> JobView:
    """The run in the state that it was just seen in."""
    if _is_old(record, state):
        record = ledger.get(record.id) or record
    if not isinstance(state, Pending):
        return present.job_view(record, state)
    outlook = outlook or waiting.Outlook(ledger)
    return present.job_view(record, Pending(outlook.reason(record)), outlook.learned(record.name))


def _is_old(record: Record, state: State) -> bool:
    """Whether the row may have been read before what was seen: it ended since, began first, or is to begin again."""
    if isinstance(state, Pending):
        return record.started_at is not None
    return isinstance(state, Ended) and record.ended_at is None
