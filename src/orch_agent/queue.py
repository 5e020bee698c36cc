"""The rows of the ledger that wait or run, as the scheduler wants them.

Invariants
- A row is admitted in a transaction of its own kind and only then started: the reservation is on disk first.
- Only jobs that could start are shown to the scheduler: not those that wait for others, for a time, or for their array.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from . import layout, memory, schedule, usage
from .ledger import Ledger, Record, stored_end
from .model import CANCELLED, COMPLETED, Ended, JobSpec, Result

FLOOR = 32 << 20
"""Bytes that any job counts with."""
_YOUNG = 10.0
"""Seconds for which a job of which nothing is known counts with its share of the memory."""
_SHARE = 16
"""A job of which nothing is known counts with one part in so many of the memory while it is young."""
_ACTIVE = "ended_at IS NULL AND (admitted_at IS NOT NULL OR started_at IS NOT NULL)"
_FREE = "queued AND admitted_at IS NULL AND started_at IS NULL AND ended_at IS NULL"


class View(NamedTuple):
    """What was planned with."""

    plan: schedule.Plan
    left: schedule.Room


def active(ledger: Ledger) -> list[Record]:
    """Jobs that were admitted, or started without asking (by an older agent), and have not ended."""
    return list(ledger.select("INDEXED BY jobs_active WHERE " + _ACTIVE))


def terms(spec: JobSpec) -> dict[str, object]:
    """What the queue goes by, of a job that is asked for on these terms."""
    return {"queued": 1, "nice": spec.nice, "cpus": spec.cpus, "mem": spec.mem, "time_limit": spec.timeout}


def known(name_mem: Optional[int]) -> Optional[int]:
    """A reservation with the floor that every job has; None stays None."""
    return None if name_mem is None else max(FLOOR, name_mem)


def reservation(ledger: Ledger, record: Record) -> Optional[int]:
    """The bytes a waiting job asks for: its own word, or what its name has taught; None where nothing is known."""
    if record.mem is not None:
        return record.mem
    return known(next((row[0] for row in ledger.rows("SELECT mem FROM learned WHERE name = ?", [record.name])), None))


def promised(record: Record, used: int, total: int, now: float) -> int:
    """The bytes that an active job counts with: what it reserved or really uses, whichever is larger."""
    if record.reserved is not None:
        return max(record.reserved, used)
    is_young = now - (record.started_at or record.admitted_at or now) < _YOUNG
    return max(total // _SHARE if is_young else FLOOR, used)


def plan(ledger: Ledger, running: list[Record], host: memory.Memory, most: int = 1 << 30) -> View:
    """What may start on this host now."""
    now = time.time()
    left, holding = room(ledger, running, host, now)
    candidates = waiting(ledger, running, host, schedule.most_of(left, holding).mem, now)
    return View(schedule.plan(now, left, holding, candidates, most), left)


def room(
    ledger: Ledger, running: list[Record], host: memory.Memory, now: float
) -> tuple[schedule.Room, list[schedule.Active]]:
    """What is left to give away, and who holds the rest."""
    seconds = dict(ledger.rows("SELECT name, seconds FROM learned WHERE seconds IS NOT NULL"))
    holding, owed, cpus = [], 0, float(host.cpus)
    for record in running:
        sample = usage.read(layout.usage_file(record.id)) if record.started_at is not None else None
        used = sample.mem_bytes if sample else 0
        counts = promised(record, used, host.total, now)
        owed += counts - used
        cpus -= record.cpus
        holding.append(
            schedule.Active(
                _called(record.name, record.run, record.task), counts, record.cpus, _ends(record, seconds, now)
            )
        )
    capacity = host.total - host.reserve
    left = schedule.Room(
        min(capacity - sum(one.mem for one in holding), host.available - host.reserve - owed),
        cpus,
    )
    return left, holding


def _called(name: str, run: int, task: Optional[int]) -> str:
    """What a person calls it: its name, where that does not mean others as well."""
    return name if task is None else "%s.%d" % (name, run)


def _ends(record: Record, seconds: dict[str, float], now: float) -> Optional[float]:
    began = record.started_at or now
    if record.time_limit is not None:
        return began + record.time_limit
    usual = seconds.get(record.name)
    # One that takes longer than usual may take any time.
    return began + usual if usual is not None and began + usual > now else None


def waiting(
    ledger: Ledger, running: list[Record], host: memory.Memory, most: int, now: float
) -> Iterator[schedule.Waiting]:
    """Jobs that could start, in the order of the queue. An array's limit counts those given before, too.

    ``most``: the bytes that there could be if all jobs ended. Who wants a little more, for the system's own programs
    use some, is given that.
    """
    tasks = Counter(record.array_id for record in running if record.array_id is not None)
    capacity = host.total - host.reserve
    # Rows are taken as they are asked for: whatever waits behind those costs nothing.
    for _, _, run, job_id, name, task, asked, learned, cpus, limit, since in heapq.merge(
        _rows(ledger, "jobs_queue", "array_id IS NULL AND id NOT IN (SELECT job_id FROM needs)", [now]),
        *(_tasks(ledger, array_id, limit, tasks[array_id], now) for array_id, limit in _arrays(ledger)),
    ):
        mem = asked if asked is not None else known(learned)
        wants = host.total // _SHARE if mem is None else min(mem, capacity)
        if 0 < most < wants <= most + host.reserve:
            wants = most
        yield schedule.Waiting(
            job_id, _called(name, run, task), wants, min(cpus, float(host.cpus)), limit, since, mem is None
        )


def _arrays(ledger: Ledger) -> list[tuple[str, Optional[int]]]:
    """The arrays of which tasks wait, for no other job, and how many of each may run at once."""
    first = (
        "(SELECT array_id FROM jobs INDEXED BY jobs_tasks WHERE array_id %s AND "
        + _FREE
        + " ORDER BY array_id LIMIT 1)"
    )
    query = "WITH RECURSIVE arrays (id) AS (SELECT %s UNION ALL SELECT %s FROM arrays WHERE id IS NOT NULL) "
    query += (
        "SELECT id, (SELECT task_limit FROM jobs WHERE array_id = arrays.id LIMIT 1) FROM arrays WHERE id IS NOT NULL "
    )
    query += "AND id NOT IN (SELECT job_id FROM needs)"
    return list(ledger.rows(query % (first % "IS NOT NULL", first % "> arrays.id")))


def _tasks(ledger: Ledger, array_id: str, limit: Optional[int], active: int, now: float) -> Iterator[tuple[Any, ...]]:
    """The rows of an array's tasks that could start."""
    room = -1 if limit is None else max(0, limit - active)
    return _rows(ledger, "jobs_tasks", "array_id = ?", [now, array_id], room)


def _rows(ledger: Ledger, index: str, which: str, values: list[object], most: int = -1) -> Iterator[tuple[Any, ...]]:
    return ledger.rows(
        "SELECT nice, submitted_at, run, id, jobs.name, task, jobs.mem, learned.mem, cpus, time_limit, "
        "coalesce(due, submitted_at) FROM jobs INDEXED BY %s LEFT JOIN learned ON learned.name = jobs.name "
        "WHERE %s AND coalesce(due, 0) <= ? AND %s ORDER BY nice, submitted_at, run LIMIT ?" % (index, _FREE, which),
        [*values, most],
    )


def admit(ledger: Ledger, chosen: list[schedule.Waiting]) -> list[Record]:
    """Give them what they want; those that may now be started."""
    now = time.time()
    with ledger.transaction():
        done = []
        for job in chosen:
            record = ledger.get(job.id)
            known_mem = None if record is None else reservation(ledger, record)
            wants = None if known_mem is None else job.mem
            sql = "UPDATE jobs SET admitted_at = ?, reserved = ? WHERE id = ? AND " + _FREE
            if record is not None and ledger.write(sql, [now, wants, job.id]):
                done.append(record._replace(admitted_at=now, reserved=wants))
        return done


def enlist(ledger: Ledger, patience: float) -> None:
    """Queue what an older agent has accepted and not started within ``patience`` seconds: it knows no queue."""
    ledger.write(
        "UPDATE jobs SET queued = 1 WHERE NOT queued AND started_at IS NULL AND ended_at IS NULL "
        "AND abs(submitted_at - ?) > ?",
        [time.time(), patience],
    )


def next_due(ledger: Ledger, now: float) -> Optional[float]:
    """When the next job that waits for a time may start."""
    found: Optional[float] = next(
        ledger.rows("SELECT min(due) FROM jobs INDEXED BY jobs_due WHERE " + _FREE + " AND due > ?", [now])
    )[0]
    return found


def resolve_needs(ledger: Ledger) -> bool:
    """Let go those who waited for a job that has completed, end those whose job has not; whether there was any."""
    ended = list(ledger.select("WHERE ended_at IS NOT NULL AND id IN (SELECT needs_id FROM needs)"))
    for record in ended:
        with ledger.transaction():
            state = _state(record)
            if state != COMPLETED:
                why = "%s, which had to complete first, ended as %s" % (record.ref, state)
                for (job_id,) in list(ledger.rows("SELECT job_id FROM needs WHERE needs_id = ?", [record.id])):
                    _end_unstarted(ledger, job_id, Ended(time.time(), Result(CANCELLED, reason=why, cause="needs")))
                    ledger.write("DELETE FROM needs WHERE job_id = ?", [job_id])
            ledger.write("DELETE FROM needs WHERE needs_id = ?", [record.id])
    return bool(ended)


def _end_unstarted(ledger: Ledger, owner: str, ended: Ended) -> None:
    """End a job, or every task of an array."""
    for (job_id,) in list(ledger.rows("SELECT id FROM jobs WHERE id = ? OR array_id = ?", [owner, owner])):
        ledger.settle_unstarted(job_id, ended)


def _state(record: Record) -> str:
    end = stored_end(record)
    return end.result.state if end else COMPLETED
