"""Rows of the ledger made anew from what the directories of jobs tell.

Invariants
- Nothing is invented: what is not written in a job's directory is not in its row.
- A job that has begun, and of which nobody knows when or as what, never begins again: its record was lost.
- Who writes a submission does so inside the transaction that writes its row, so here none is seen half done.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from . import arrays, layout, notices, queue, traces
from .ledger import Ledger, Record
from .model import CANCELLED, NODE_FAIL, Ended, Result
from .traces import Begun, Submission


class _Found(NamedTuple):
    """A job as its directory tells it."""

    of: Submission
    id: str
    run: int
    task: Optional[int]
    begun: Optional[Begun]
    end: Optional[Ended]


def everything(ledger: Ledger) -> int:
    """Fill a new ledger; how many jobs there are in it then. Call it inside a transaction."""
    count = _restore(ledger, traces.owners())
    if count:
        notices.leave("the ledger was made anew from the directories of %d jobs in %s" % (count, layout.jobs_dir()))
    return count


def missing(ledger: Ledger) -> int:
    """Bring back submissions that the ledger does not know: it lost what it had last been told."""
    if not _unknown(ledger):
        return 0
    with ledger.transaction():
        count = _restore(ledger, _unknown(ledger))
    if count:
        notices.leave("%d jobs were missing in the ledger; they are back, from %s" % (count, layout.jobs_dir()))
    return count


def _unknown(ledger: Ledger) -> list[str]:
    known = {one.lower() for (one,) in ledger.rows("SELECT id FROM jobs UNION SELECT array_id FROM jobs") if one}
    unknown = [owner for owner in traces.owners() if owner.lower() not in known]
    return [owner for owner in unknown if traces.submitted(owner)]


def catch_up(ledger: Ledger, record: Record) -> bool:
    """Whether this job, of which the row says that it is pending, has begun or ended: the row says so then, too."""
    begun = traces.begun(record.id)
    if begun is not None and begun.attempt > record.attempt:
        with ledger.transaction():
            _begin(ledger, record.id, begun)
            _settle(ledger, record.id, traces.ended(record.id))
        return True
    if record.attempt == 0 and traces.left_something(record.id, record.log_path):
        return ledger.settle_unstarted(record.id, _lost(record))
    return False


def _restore(ledger: Ledger, owners: Iterable[str]) -> int:
    asked = [one for one in map(traces.submitted, owners) if one is not None]
    # Of two with the same number only one was acknowledged: the one that has begun, or else the later one.
    found = [job for one in asked for job in _jobs(one)]
    found.sort(key=lambda job: (job.begun is None, -job.of.submitted_at))
    count = sum(_could_put(ledger, job) for job in found)
    for one in asked:
        _need(ledger, one)
    for name in {one.spec.name for one in asked}:
        ledger.learn(name)
    return count


def _jobs(one: Submission) -> Iterator[_Found]:
    for job_id, run, task in one.tasks():
        yield _Found(one, job_id, run, task, traces.begun(job_id), traces.ended(job_id))


def _could_put(ledger: Ledger, job: _Found) -> bool:
    """Write its row, or nothing of it: what the database does not take is no job, and keeps no other out."""
    ledger.write("SAVEPOINT one")
    try:
        return _put(ledger, job)
    except (OverflowError, ValueError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
        ledger.write("ROLLBACK TO one")
        return False
    finally:
        ledger.write("RELEASE one")


def _put(ledger: Ledger, job: _Found) -> bool:
    """Write its row; whether there was room for it."""
    spec, array = job.of.spec, job.task is not None
    if next(ledger.rows("SELECT 1 FROM jobs WHERE id = ? OR (name = ? AND run = ?)", [job.id, spec.name, job.run]), 0):
        return False
    record = ledger.insert(
        job.id,
        job.run,
        spec,
        job.of.submitted_at,
        **queue.terms(spec),
        after=job.of.after,
        array_id=job.of.id if array else None,
        task=job.task,
        task_limit=arrays.parse(spec.array).limit if spec.array else None,
    )
    if job.begun is not None:
        _begin(ledger, job.id, job.begun)
        _settle(ledger, job.id, job.end)
    elif traces.left_something(job.id, record.log_path):
        ledger.settle_unstarted(job.id, _lost(record))
    return True


def _begin(ledger: Ledger, job_id: str, begun: Begun) -> None:
    sql = "UPDATE jobs SET attempt = ?, started_at = ?, pid = ?, birth = ?, boot_id = ?, cgroup = ? WHERE id = ?"
    start = begun.start or (time.time(), 0, "", "", None)
    ledger.write("UPDATE jobs SET admitted_at = ? WHERE id = ?", [start[0], job_id])  # or it could not have started
    ledger.write(sql, [begun.attempt, *start, job_id])


def _settle(ledger: Ledger, job_id: str, end: Optional[Ended]) -> None:
    """Write down an end, if it is the end of the attempt that the row tells of."""
    record = ledger.get(job_id)
    if record is not None and end is not None and end.result.attempt == record.attempt:
        ledger.settle(record, end, learning=False)


def _lost(record: Record) -> Ended:
    why = "its record was lost: it had begun, and nobody knows how it ended"
    return Ended(traces.last_sign(record.id, record.log_path), Result(NODE_FAIL, reason=why))


def _need(ledger: Ledger, one: Submission) -> None:
    """Have it wait again for whom it waited for, and end what ended without having started."""
    ends = traces.unstarted(one.id)
    for job_id, end in ends.items():
        ledger.settle_unstarted(job_id, end)
    for needed in one.needs:
        if needed == one.id:
            continue
        if ledger.get(needed) is not None:
            ledger.write("INSERT OR IGNORE INTO needs VALUES (?, ?)", [one.id, needed])
            continue
        why = "nobody knows any more how %s ended, which had to complete first" % (one.after or needed)
        for job_id, _, _ in one.tasks():
            ledger.settle_unstarted(job_id, Ended(time.time(), Result(CANCELLED, reason=why, cause="needs")))
