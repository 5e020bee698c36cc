"""Freezing a job: none of its processes runs until it is thawed. Its memory stays where it is.

Invariants
- A job is marked before it is frozen, in its directory, with the time, and thawed before the mark goes. So whoever
  comes next can thaw it: the next supervisor, or the job's own runner where there is none.
- By the job's control group where that can freeze, which meets processes that are just being forked, too; else by
  SIGSTOP to everybody, parents first, until nobody new is found.
- A mark is of one attempt.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from . import files, guard, layout, locks, wire

if TYPE_CHECKING:
    from .ledger import Record
    from .tree import Tree

_ROUNDS = 50
_FORGOTTEN = 2 * guard.FROZEN_MOST
"""Seconds after which whoever froze a job has forgotten it."""


class Mark(NamedTuple):
    """Since when, why in words, whether by signals, and which attempt."""

    at: float
    why: str
    by_signals: bool
    attempt: int


def mark(record: Record) -> Optional[Mark]:
    """The mark of a job that is frozen, or None."""
    text = files.read_text(layout.frozen_file(record.id))
    if not text:
        return None
    values: list[Any] = [wire.table(text).get(key) for key in Mark._fields]
    if [type(value) for value in values] != [float, str, bool, int]:
        return Mark(0.0, "", True, record.attempt)  # thawing it does no harm
    found = Mark(*values)
    return found if found.attempt == record.attempt else None


def freeze(record: Record, tree: Tree, why: str) -> bool:
    """Freeze it; whether it is frozen now."""
    try:
        os.makedirs(layout.job_dir(record.id), mode=0o700, exist_ok=True)  # the job may have removed it
        _put(Mark(time.time(), why, False, record.attempt), record.id)
        if tree.group is not None and tree.group.freeze():
            return True
        _put(Mark(time.time(), why, True, record.attempt), record.id)
    except OSError:
        return False  # a full disk
    if _stop(tree):
        return True
    thaw(record.id, tree)
    return False


def _put(found: Mark, job_id: str) -> None:
    files.write_whole(layout.frozen_file(job_id), json.dumps(found._asdict()), durable=False)


def _stop(tree: Tree) -> bool:
    told: set[tuple[int, str]] = set()
    for _ in range(_ROUNDS):
        members = tree.members()
        fresh = {pid: one for pid, one in members.items() if (pid, one.birth) not in told}
        if not fresh:
            return bool(told)
        told.update((pid, one.birth) for pid, one in fresh.items())
        tree.signal(fresh, signal.SIGSTOP)
    return False


def thaw(job_id: str, tree: Tree) -> None:
    """Let it run again, however it was frozen."""
    path = layout.frozen_file(job_id)
    text = files.read_text(path)
    if tree.group is not None:
        tree.group.thaw()
    if text is not None and '"by_signals": false' not in text:
        # Children first: a parent that sees one stopped might make something of it.
        tree.signal(dict(reversed(list(tree.members().items()))), signal.SIGCONT)
    files.remove(path)


def thaw_forgotten(record: Record, tree: Tree) -> None:
    """Thaw a job that was frozen by somebody who is gone; for its runner, now and then."""
    found = mark(record) if os.path.exists(layout.frozen_file(record.id)) else None
    if found is not None:
        is_old = abs(time.time() - found.at) > _FORGOTTEN
        if is_old or not locks.is_held(layout.supervisor_lock()):
            thaw(record.id, tree)


def reason(record: Record) -> Optional[str]:
    """Why it is frozen, in words, or None."""
    found = mark(record) if os.path.exists(layout.frozen_file(record.id)) else None
    return None if found is None else "frozen: %s" % found.why
