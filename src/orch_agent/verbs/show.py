"""``show``: everything known of one run; for a failure, why."""

from __future__ import annotations

import os
from typing import Optional

from .. import logread, observe
from ..ledger import Record, open_ledger
from ..model import COMPLETED, Ended, State
from .common import Answer, Request, find, find_all, shown, text

_TAIL_LINES, _TAIL_BYTES = 20, 8192
_MEANINGS = {
    126: "126 says that the command was found but may not be executed",
    127: "127 says that a command was not found: is it installed, and on the PATH of a login shell?",
    137: "137 says that a process got SIGKILL, often for want of memory",
}


def run(request: Request) -> Answer:
    """One run, with its specification, the end of its log, and why it failed."""
    with open_ledger() as ledger:
        ref = text(request, "job")
        # Who submits the same again takes an array whole: all its tasks have one specification.
        record = find_all(ledger, ref)[0] if request.get("first") else find(ledger, ref, "show")
        state = observe.look(ledger, record)
        tail, size = _tail(record)
        return {
            "job": shown(ledger, record, state),
            "spec": record.spec._asdict(),
            "why": _why(state),
            "log_tail": tail,
            "log_size_bytes": size,
            "log_lost_bytes": state.result.log_lost_bytes if isinstance(state, Ended) else 0,
        }


def _why(state: State) -> Optional[str]:
    if not isinstance(state, Ended) or state.result.state == COMPLETED:
        return None
    code = state.result.exit_code
    facts = [state.result.reason, "exit status %d" % code if code else None, _MEANINGS.get(code or 0)]
    return "; ".join(fact for fact in facts if fact)


def _tail(record: Record) -> tuple[str, int]:
    try:
        fd = os.open(record.log_path, os.O_RDONLY)
    except OSError:
        return "", 0
    try:
        size = os.fstat(fd).st_size
        start = max(logread.tail_offset(fd, _TAIL_LINES), size - _TAIL_BYTES)
        return os.pread(fd, size - start, start).decode("utf-8", "replace"), size
    finally:
        os.close(fd)
