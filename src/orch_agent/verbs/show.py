"""``show``: everything known of one run; for a failure, why."""

from __future__ import annotations

import os
from typing import Any, Optional

from .. import autopsy, blackbox, layout, logcap, logread, logtext, memory, observe, remarks, samples, wire, workplace
from ..ledger import Ledger, Record, open_ledger
from ..model import COMPLETED, Ended, State, rfc3339
from .common import Answer, Request, find, find_all, shown, text

_TAIL_LINES, _TAIL_BYTES = 20, 8192
_POINTS = 240
"""Of a curve: enough for a plot."""
_ATTEMPTS = 50


def run(request: Request) -> Answer:
    """One run, with its specification, the end of its log, and why it failed."""
    with open_ledger() as ledger:
        ref = text(request, "job")
        # Who submits the same again takes an array whole: all its tasks have one specification.
        record = find_all(ledger, ref)[0] if request.get("first") else find(ledger, ref, "show")
        state = observe.look(ledger, record)
        tail, size = _tail(record)
        curve = samples.read(layout.samples_file(record.id))
        told = remarks.kept(record)
        return {
            "job": shown(ledger, record, state),
            "spec": record.spec._asdict(),
            **_explained(ledger, record, state, curve, bool(tail)),
            "attempts": _attempts(ledger, record),
            "usage_curve": _curve(curve),
            "log_tail": tail,
            "log_size_bytes": size,
            "log_lost_bytes": _lost(record, state),
            **({"remarks": told} if told else {}),
        }


def _lost(record: Record, state: State) -> int:
    if isinstance(state, Ended):
        return state.result.log_lost_bytes
    gap = logcap.gap(record.id)
    return gap.size if gap is not None else 0


def _explained(ledger: Ledger, record: Record, state: State, curve: list[samples.Sample], has_log: bool) -> Answer:
    """Why it failed, in words and in facts, and what to type next."""
    if not isinstance(state, Ended) or state.result.state == COMPLETED:
        return {"why": None, "autopsy": None, "next": None}
    result, host = state.result, memory.look()
    box = blackbox.read(record.id, record.attempt)
    at_peak = box.get("peak") or {}
    peaks = [result.mem_peak_bytes or 0, at_peak.get("mem_bytes", 0), *(one.mem_bytes for one in curve)]
    seen = autopsy.Seen(
        record.name if ledger.last_run(record.name) == record.run else record.ref,
        box,
        max(peaks),
        host.total - host.reserve,
        logtext.first_error(record.log_path),
        workplace.directory(record),
        has_log,
    )
    following = autopsy.next_step(record, result, seen)
    return {"why": autopsy.why(result), "autopsy": autopsy.facts(result, seen), "next": following._asdict()}


def _attempts(ledger: Ledger, record: Record) -> list[dict[str, Any]]:
    """Those before this one, the newest last."""
    rows = ledger.rows(
        "SELECT attempt, started_at, ended_at, result FROM attempts WHERE job_id = ? ORDER BY attempt DESC LIMIT ?",
        [record.id, _ATTEMPTS],
    )
    return [_attempt(*row) for row in rows][::-1]


def _attempt(number: int, started_at: float, ended_at: float, stored: str) -> dict[str, Any]:
    found = wire.result_from_json(stored)
    result = found[1] if found else None
    return {
        "attempt": number,
        "state": result.state if result else None,
        "why": autopsy.why(result) if result else None,
        "started_at": rfc3339(started_at),
        "ended_at": rfc3339(ended_at),
        "mem_peak_bytes": result.mem_peak_bytes if result else None,
    }


def _curve(curve: list[samples.Sample]) -> Optional[dict[str, Any]]:
    """In columns, for a plot."""
    if not curve:
        return None
    thin = samples.thin(curve, _POINTS)
    return {
        "seconds": [round(one.seconds, 2) for one in thin],
        "mem_bytes": [one.mem_bytes for one in thin],
        "cpu_seconds": [round(one.cpu_seconds, 2) for one in thin],
        "host_available_bytes": [one.available_bytes for one in thin],
        "mem_slope": samples.slope(curve),
    }


def _tail(record: Record) -> tuple[str, int]:
    try:
        fd = os.open(record.log_path, os.O_RDONLY)
    except OSError:
        return "", 0
    try:
        source = logread.Source(fd, record.id)
        place = logread.tail_offset(fd, _TAIL_LINES, source.gap)
        size = source.size  # after that: a log may grow fast
        start = max(place, size - _TAIL_BYTES)
        return source.at(start, size - start).decode("utf-8", "replace"), size
    finally:
        os.close(fd)
