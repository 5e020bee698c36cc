"""Look at a job, and do what the sight of it asks for.

Invariants
- Evidence is gathered in the order lock, processes, result: a runner writes the result before it lets go
  of the lock, so whoever finds the lock free and then no result has seen the truth.
- Whoever sees an end that is not in the ledger writes it there; whoever sees an orphan has it adopted;
  whoever sees a job that has not ended sees to it that a supervisor lives. So nothing depends on one process living.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from typing import Optional

from . import (
    cgroup,
    codespace,
    files,
    freezer,
    layout,
    locks,
    outofmemory,
    procs,
    retry,
    supervision,
    tree,
    trouble,
    uptime,
    wire,
)
from .launch import detach
from .ledger import Ledger, Record, stored_end
from .mend import healed
from .model import CANCELLED, Ended, Pending, Result, Running, State
from .state import QUEUED, Evidence, derive

_FULL_LOOK = 1.0
_QUEUE_LOOK = 0.1


def written_end(record: Record) -> Optional[Ended]:
    """The end of this attempt as the job's result file tells it, or None."""
    found = wire.result_from_json(files.read_text(layout.result_file(record.id)) or "")
    if found is None:
        return None
    # A result of an attempt before this one is no end of the job.
    attempt = found[1].attempt or record.attempt
    is_ours = attempt > record.attempt or (attempt == record.attempt and record.started_at is not None)
    return Ended(*found) if is_ours else None


def _last_sign(record: Record) -> float:
    """When the job was last seen to live."""
    signs = [record.started_at or record.submitted_at]
    for path in (layout.usage_file(record.id), record.log_path):
        try:
            signs.append(os.stat(path).st_mtime)
        except OSError:
            pass
    return max(signs)


def evidence(record: Record) -> Evidence:
    """What can be seen of the job now."""
    held = locks.is_held(layout.lock_file(record.id))
    alive = held or (record.started_at is not None and bool(tree.of(record).survivors()))
    last_sign, boot_id = _last_sign(record), procs.boot_id()
    has_stopped = codespace.is_here() and record.started_at is not None and record.boot_id != boot_id
    return Evidence(
        lock_held=held,
        alive=alive,
        end=written_end(record),
        boot_id=boot_id,
        cancelled=os.path.exists(layout.cancel_file(record.id)),
        last_sign=last_sign,
        disk_full=record.started_at is None and trouble.disk_is_full(layout.root()),
        frozen=freezer.reason(record) if alive else None,
        condemned=None if alive else outofmemory.reason(record),
        stopped=uptime.why_stopped(record.boot_id, last_sign) if has_stopped else None,
    )


def note_ends(ledger: Ledger, records: Iterable[Record]) -> list[Record]:
    """Bring the ends into the ledger, at once, that jobs whose locks are free have written; who has written none."""
    found = [(record, written_end(record)) for record in records]
    ended = [(record, end) for record, end in found if end is not None]
    if ended:
        with ledger.transaction():
            for record, end in ended:
                ledger.settle(record, end)
        for record, _ in ended:
            locks.release(record.id)  # its runner may have been killed before it did
    return [record for record, end in found if end is None]


def look(ledger: Ledger, record: Record) -> State:
    """The job's state now; see the invariants for what else happens."""
    state: Optional[State] = stored_end(record)
    if state is not None:
        return state
    supervision.ensure()
    if record.is_queued:
        return Pending(QUEUED)  # a row and nothing else: there is nothing to be seen of it
    state = derive(record, evidence(record))
    if isinstance(state, Ended):
        locks.release(record.id)
        group = cgroup.find(record.cgroup)
        if group is not None:
            group.remove()
        now = _note(ledger, record, state)
        if now is not None:
            return look(ledger, now)
    elif isinstance(state, Running) and state.orphaned:
        detach.agent("adopt", record.id)
    return state


def _note(ledger: Ledger, record: Record, end: Ended) -> Optional[Record]:
    """Write down an end that was seen; the row, if another attempt follows or somebody else knew more.

    On a full disk the end is seen again by whoever looks next.
    """
    try:
        ledger.settle(record, end)
        supervision.poke()
        now = ledger.get(record.id)
    except sqlite3.Error:
        # An attempt that another one follows is no end of the job, though nobody can write that down now.
        return retry.pending(record, end, os.path.exists(layout.cancel_file(record.id)))
    return now if now is not None and now.ended_at is None and now != record else None


class Watch:
    """Waits for the end of one job: a stat each time, a full look once a second."""

    def __init__(self, ledger: Ledger, record: Record) -> None:
        self.record = record
        self._ledger = ledger
        self._ended = record.ended_at is not None
        self._next_look = 0.0

    def look_soon(self) -> None:
        """Have the next look be a full one: something is known to have happened."""
        self._next_look = 0.0

    def has_ended(self) -> bool:
        """Whether it is over."""
        if self._ended:
            return True
        now = time.monotonic()
        if now >= self._next_look or os.path.exists(layout.result_file(self.record.id)):
            self._next_look = now + _FULL_LOOK
            healed(self._look)
        return self._ended

    def _look(self) -> None:
        self._ledger.refresh()
        self.record = self._ledger.get(self.record.id) or self.record
        self._ended = isinstance(look(self._ledger, self.record), Ended)
        self._ledger.give_way()


class Watches:
    """Waits for the ends of any number of jobs. Those that have not begun are rows: one question tells of them all."""

    def __init__(self, ledger: Ledger, records: Iterable[Record]) -> None:
        self._ledger = ledger
        self._queued = {record.id for record in records if record.ended_at is None}
        self._begun: dict[str, Watch] = {}
        self._changes = -1
        self._asked = float("-inf")

    def living(self) -> list[str]:
        """The ids of those that have not ended; every one that has begun is looked at, for a look also mends."""
        if self._queued:
            healed(self._ask)
            self._ledger.give_way()
        self._begun = {job_id: watch for job_id, watch in self._begun.items() if not watch.has_ended()}
        return [*self._begun, *self._queued]

    def _is_time(self) -> bool:
        """Now and then, sooner where somebody has changed something."""
        since, changes = time.monotonic() - self._asked, self._ledger.changes()
        if since < (_FULL_LOOK if changes == self._changes else _QUEUE_LOOK):
            return False
        self._asked, self._changes = time.monotonic(), changes
        return True

    def _ask(self) -> None:
        self._ledger.refresh()
        if not self._is_time():
            return
        supervision.ensure()
        live = dict(self._ledger.rows("SELECT id, started_at FROM jobs WHERE ended_at IS NULL"))
        for job_id in [one for one in self._queued if one not in live or live[one] is not None]:
            self._queued.remove(job_id)
            record = self._ledger.get(job_id) if job_id in live else None
            if record is not None:
                self._begun[job_id] = Watch(self._ledger, record)


def cancel_pending(ledger: Ledger, records: Iterable[Record]) -> None:
    """End those that nobody has started, all at once: the end of one lets none of the others begin."""
    waiting = [record for record in records if record.is_pending]
    if waiting:
        with ledger.transaction():
            for record in waiting:
                why = "cancelled before %s" % ("its next attempt" if record.attempt else "it started")
                ledger.settle_unstarted(record.id, Ended(time.time(), Result(CANCELLED, reason=why, cause="cancel")))
        supervision.poke()
