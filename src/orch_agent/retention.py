"""What is long over goes: rows, logs and directories of runs that ended a month ago, and agents that nobody uses.

Invariants
- What lives stays, however old; so does what a job waits for, and an array of which a task has not ended.
- Files go first, their row last: killed at any point, the next pass finds what is left. The highest run of a name is
  kept, so no number is used again.
- A step is short, holds nothing open when it is over, and holds the ledger only to delete rows.
- A clock that leaps ahead does no harm: what counts is a time that was seen at least a day ago (``trusted``). So the
  clock would have to be wrong for a whole day, and what is old stays for a day or two longer.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from . import files, layout, locks, procs, settings, vault
from .launch import detach
from .ledger import Ledger, Record, open_ledger
from .model import Refusal

DEFAULT = 30 * settings.DAY
"""Seconds that ended runs are kept for."""
_HOUR = 3600.0
_STEP = 0.05
"""Seconds after which a step gives way to other work."""
_AT_ONCE = 200
"""Rows that go in one transaction."""
_OLD = (
    "WHERE ended_at < ? AND id NOT IN (SELECT needs_id FROM needs) AND (array_id IS NULL OR array_id NOT IN "
    "(SELECT array_id FROM jobs WHERE ended_at IS NULL AND array_id IS NOT NULL)) ORDER BY ended_at LIMIT ? OFFSET ?"
)


def kept_for() -> float:
    """Seconds that ended runs are kept for on this host."""
    return settings.read().get("retention", DEFAULT)


class Clock(NamedTuple):
    """When it was looked at: ``seen`` stands since then, ``trusted`` was seen a day before that or earlier."""

    trusted: float
    seen: float

    def at(self, now: float) -> Clock:
        """After a look at ``now``."""
        trusted, seen = min(self.trusted, now), min(self.seen, now)
        return Clock(seen, now) if now - seen >= settings.DAY else Clock(trusted, seen)


class Janitor:
    """Makes a pass every hour, a step at a time."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _left(_read())
        self._work: Iterator[None] = iter(())
        self.is_at_work = False

    def step(self) -> float:
        """Do some of what is to be done; the seconds until there is more."""
        until = time.monotonic() + _STEP
        if not self.is_at_work:
            if time.monotonic() < self._next:
                return self._next - time.monotonic()
            self._work = _pass(_begin() - kept_for())
            self.is_at_work = True
        try:
            while time.monotonic() < until:
                next(self._work)
            return _STEP
        except (StopIteration, OSError, sqlite3.Error, Refusal):
            self.is_at_work = False
            self._next = time.monotonic() + _HOUR
            return _HOUR


def _read() -> Mapping[str, float]:
    fields = files.read_table(layout.retention_file())
    times = {key: float(value) for key, value in fields.items() if type(value) in (int, float)}
    return times if times.keys() >= {"trusted", "seen", "at"} else {}


def _left(last: Mapping[str, float]) -> float:
    """Seconds until the next pass, after the last one of any supervisor."""
    age = time.time() - last.get("at", 0.0)
    return _HOUR - age if 0 <= age < _HOUR else 0.0


def _begin() -> float:
    """Note that a pass begins; the time that it goes by."""
    now, last = time.time(), _read()
    clock = Clock(last.get("trusted", 0.0), last.get("seen", now)).at(now)
    try:
        files.write_whole(layout.retention_file(), json.dumps({**clock._asdict(), "at": now}))
    except OSError:
        pass  # a full disk: all the more reason to go on
    return clock.trusted


def _pass(before: float) -> Iterator[None]:
    """Remove what was over ``before`` that time, little by little."""
    yield from _runs(before)
    yield from _strays(before)
    if os.path.isdir(layout.stores()):
        from . import pruning  # most hosts have none

        yield from pruning.steps(before)
    yield from _secrets()
    yield from _agents(before)


def _runs(before: float) -> Iterator[None]:
    spared = 0
    while True:
        with open_ledger() as ledger:
            records = list(ledger.select(_OLD, [before, _AT_ONCE, spared]))
        if not records:
            return
        over = [record for record in records if not _lives(record.id)]
        spared += len(records) - len(over)
        for record in over:
            if record.array_id is not None:
                files.remove(layout.spec_file(record.array_id))  # or its tasks would be taken for forgotten ones
            yield from files.removal(layout.job_dir(record.id))
            files.remove(record.log_path)
            yield
        with open_ledger() as ledger, ledger.transaction():
            _forget(ledger, over)
        yield


def _forget(ledger: Ledger, records: Sequence[Record]) -> None:
    highest: dict[str, int] = {}
    for record in records:
        for statement in ("DELETE FROM jobs WHERE id = ?", "DELETE FROM attempts WHERE job_id = ?"):
            ledger.write(statement, [record.id])
        highest[record.name] = max(record.run, highest.get(record.name, 0))
    for name, run in highest.items():
        (known,) = next(ledger.rows("SELECT max(last_run) FROM pruned WHERE name = ?", [name]))
        ledger.write("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?)", [name, max(run, known or 0), time.time()])
        if not list(ledger.rows("SELECT 1 FROM jobs WHERE name = ? LIMIT 1", [name])):
            _remove_directory(name)


def _remove_directory(name: str) -> None:
    """The directory of a name's logs; within the transaction, for a submission that makes it anew waits for that."""
    link = layout.log_link(name)
    if os.path.islink(link) and not os.path.exists(link):
        files.remove(link)
    try:
        os.rmdir(os.path.dirname(link))
    except OSError:
        pass  # somebody keeps something there


def _lives(job_id: str) -> bool:
    return locks.is_held(layout.lock_file(job_id))


def _strays(before: float) -> Iterator[None]:
    """Directories of jobs that the ledger does not know: it may have been lost, so they are kept as long as a run."""
    for job_id in files.names(layout.jobs_dir()):
        path = layout.job_dir(job_id)
        inside = (os.path.join(path, name) for name in files.names(path))
        if all(files.is_older(one, before) for one in (path, *inside)) and not _lives(job_id) and not _is_known(job_id):
            yield from files.removal(path)
        yield


def _is_known(job_id: str) -> bool:
    """Whether there is a row of it, or of a task of the array that it stands for."""
    with open_ledger() as ledger:
        asked = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?) OR EXISTS (SELECT 1 FROM jobs WHERE array_id = ?)"
        return bool(next(ledger.rows(asked, [job_id, job_id]))[0])


def _secrets() -> Iterator[None]:
    """Of whatever age: what is left over is of no use to anybody."""
    with open_ledger() as ledger:
        vault.sweep(ledger)
    yield


def _agents(before: float) -> Iterator[None]:
    """Agents that no client has called since then and no process runs, and ruins of their installation."""
    root = layout.root()
    spared = {os.path.realpath(path) for path in (detach.AGENT, os.path.join(root, "agent"))}
    spared.update(os.path.realpath(word) for words in procs.command_lines() for word in words[1:5] if "agent" in word)
    for name in files.names(root):
        path = os.path.join(root, name)
        is_agent = name.startswith(("agent-", ".agent-")) and os.path.realpath(path) not in spared
        if is_agent and files.is_older(path, before):
            aside = os.path.join(root, ".agent-%d" % time.time_ns())
            os.rename(path, aside)  # nobody begins to run a half of it
            shutil.rmtree(aside, ignore_errors=True)
        yield
