"""The host's database of jobs.

Invariants
- A submission is on disk before anybody is told of it (WAL, synchronous=FULL).
- One row a run, never deleted by accident, never renumbered: ``run`` counts up within a name,
  upper and lower case counting as one (file systems of macOS do not tell them apart either).
- ``started_at`` is set once an attempt, by the runner that wins the claim; ``ended_at`` and ``result`` once, together.
- Whether another attempt follows is decided in the transaction that writes down the end of the one before.
- Nobody holds a transaction open while waiting for anything but the disk.
- A new ledger is made under a lock, in one transaction, with all that the directories of jobs tell: where one was put
  aside, nobody sees an empty one. What is committed to a ledger that was put aside meanwhile counts as not committed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

from . import layout, learn, retry, trouble, wire
from .migrations import GENERATION, MIGRATIONS
from .model import Ended, JobRef, JobSpec, Refusal, Result

_COLUMNS = (
    "id, name, run, spec, submitted_at, attempt, started_at, pid, birth, boot_id, cgroup, ended_at, result, "
    "queued, nice, cpus, mem, time_limit, after, array_id, task, task_limit, due, why, admitted_at, reserved"
)


class Record(NamedTuple):
    """One row: what was asked, by whom it was started, how it ended. Times in seconds since the epoch.

    ``mem``: bytes asked for, ``reserved``: since it was admitted. ``due``: not to start before; ``why``: of that.
    """

    id: str
    name: str
    run: int
    spec_json: str
    submitted_at: float
    attempt: int
    started_at: Optional[float]
    pid: Optional[int]
    birth: Optional[str]
    boot_id: Optional[str]
    cgroup: Optional[str]
    ended_at: Optional[float]
    result_json: Optional[str]
    queued: int = 0
    nice: int = 0
    cpus: float = 0.0
    mem: Optional[int] = None
    time_limit: Optional[float] = None
    after: Optional[str] = None
    array_id: Optional[str] = None
    task: Optional[int] = None
    task_limit: Optional[int] = None
    due: Optional[float] = None
    why: Optional[str] = None
    admitted_at: Optional[float] = None
    reserved: Optional[int] = None

    @property
    def spec(self) -> JobSpec:
        """What to run."""
        try:
            return wire.spec_from_json(self.spec_json)
        except (ValueError, Refusal):
            raise sqlite3.DatabaseError("malformed specification of %s" % ascii(self.id)) from None

    @property
    def ref(self) -> str:
        """``NAME.n``"""
        return "%s.%d" % (self.name, self.run)

    @property
    def is_pending(self) -> bool:
        """Whether nobody has started or ended it."""
        return self.started_at is None and self.ended_at is None

    @property
    def is_queued(self) -> bool:
        """Whether it still waits for the supervisor to let it start."""
        return bool(self.queued) and self.is_pending and self.admitted_at is None

    @property
    def log_path(self) -> str:
        """Where its log is."""
        return layout.log_file(self.name, self.run)


class Start(NamedTuple):
    """What a runner knows of the process it is about to let go. ``birth`` as ``procs`` gives it."""

    at: float
    pid: int
    birth: str
    boot_id: str
    cgroup: Optional[str]


def open_ledger(patience: float = 30.0) -> Ledger:
    """Open this host's ledger, made or brought up to date where needed; refuses in words what stands in the way.

    ``patience``: the seconds for which every statement waits for other writers.
    """
    try:
        os.makedirs(layout.root(), mode=0o700, exist_ok=True)
        return Ledger(layout.ledger(), patience)
    except (OSError, sqlite3.Error) as error:
        raise trouble.explain(error) from error


def _connect(path: str, patience: float) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it keeps all others out."""
    try:
        return _opened(path, patience), False
    except sqlite3.OperationalError as error:
        # A full disk has no room for the index that connections share; a connection alone keeps its own in memory.
        try:
            return _opened(path, patience, "PRAGMA locking_mode = EXCLUSIVE"), True
        except sqlite3.Error:
            raise error from None


def _identity(path: str) -> Optional[tuple[int, int]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _opened(path: str, patience: float, *first: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=patience, isolation_level=None)
    try:
        for statement in (*first, "PRAGMA synchronous = FULL", "PRAGMA user_version"):
            database.execute(statement)
    except sqlite3.Error:
        database.close()
        raise
    return database


class Ledger:
    """An open ledger. Use as a context manager."""

    def __init__(self, path: str, patience: float = 30.0) -> None:
        self.path = path
        self._patience = patience
        self._connection: Optional[sqlite3.Connection] = None
        self._is_alone = False
        self.file: Optional[tuple[int, int]] = None
        """Which file was opened, by device and inode."""
        self._open()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> None:
        self._connect()
        try:
            version = self._version()
            if version >= GENERATION:
                raise trouble.from_the_future(self.path, version)
            if version < len(MIGRATIONS):
                self._migrate()
        except BaseException:
            self._db.close()
            raise

    def _connect(self) -> None:
        while True:
            before = _identity(self.path)
            self._connection, self._is_alone = _connect(self.path, self._patience)
            self.file = _identity(self.path)
            if before in (None, self.file):
                return
            self._db.close()  # it was put aside just now

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    def give_way(self) -> None:
        """Let others in, should this connection keep them out, before a wait. It opens by itself again."""
        if self._is_alone and self._connection is not None:
            self._connection.close()
            self._connection = None

    def is_current(self) -> bool:
        """Whether the file that was opened is still the ledger."""
        return self.file == _identity(self.path)

    def refresh(self) -> None:
        """Open the ledger anew where another file has taken its place."""
        if not self.is_current():
            self._db.close()
            self._open()

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        # One at a time by a lock of our own: SQLite does not wait while two connections switch to WAL.
        with open(self.path + ".migrate", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.is_current():
                self._db.close()
                self._connect()
            self._db.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                before = self._version()
                for version in range(before, len(MIGRATIONS)):
                    for statement in MIGRATIONS[version]:
                        self._db.execute(statement)
                    self._db.execute("PRAGMA user_version = %d" % (version + 1))
                if before == 0:
                    from . import restore

                    restore.everything(self)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the only writer while it lasts. Within another, a part of that."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        if not self.is_current():
            raise sqlite3.DatabaseError("malformed: %s was put aside" % self.path)

    def rows(self, query: str, values: Iterable[object] = ()) -> Iterator[tuple[Any, ...]]:
        """What a query finds, one after the other."""
        return iter(self._db.execute(query, tuple(values)))

    def write(self, statement: str, values: Iterable[object] = ()) -> int:
        """Change something; how many rows that were."""
        return self._db.execute(statement, tuple(values)).rowcount

    def changes(self) -> int:
        """Differs after every change that another connection has made."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @staticmethod
    def read(database: sqlite3.Connection) -> Iterator[Record]:
        """All rows of a database that need not be the ledger."""
        return map(Record._make, database.execute("SELECT %s FROM jobs" % _COLUMNS))

    def select(self, rest: str, values: Iterable[object] = ()) -> Iterator[Record]:
        """The rows that the rest of a query chooses, one after the other."""
        return map(Record._make, self.rows("SELECT %s FROM jobs %s" % (_COLUMNS, rest), values))

    def _select(self, rest: str, values: Iterable[object] = ()) -> list[Record]:
        return list(self.select(rest, values))

    # Reading

    def get(self, job_id: str) -> Optional[Record]:
        """The job with this id."""
        return next(iter(self._select("WHERE id = ?", [job_id])), None)

    def find(self, ref: JobRef) -> list[Record]:
        """The runs that a reference means, in order: of ``NAME`` the newest, or all tasks of the array it is of."""
        if ref.run is not None:
            return self._select("WHERE name = ? AND run BETWEEN ? AND ? ORDER BY run", [*ref[:2], ref.last or ref.run])
        rows = self._select("WHERE name = ? ORDER BY run DESC LIMIT 1", [ref.name])
        return self.tasks(rows[0].array_id) if rows and rows[0].array_id is not None else rows

    def tasks(self, array_id: str) -> list[Record]:
        """Every task of an array, in order."""
        return self._select("WHERE array_id = ? ORDER BY run", [array_id])

    def live_since(self, since: float) -> list[Record]:
        """Every job that has not ended, or ended at ``since`` or later, by time of submission."""
        return self._select("WHERE ended_at IS NULL OR ended_at >= ? ORDER BY submitted_at, name, run", [since])

    def live_runs(self, name: str) -> list[Record]:
        """The runs of ``name`` that have not ended."""
        return self._select("WHERE ended_at IS NULL AND name = ?", [name])

    def is_busy(self) -> bool:
        """Whether a job has not ended."""
        return bool(next(self.rows("SELECT EXISTS (SELECT 1 FROM jobs WHERE ended_at IS NULL)"))[0])

    def last_run(self, name: str) -> int:
        """The highest run of ``name``, 0 where there is none."""
        known = "SELECT run FROM jobs WHERE name = ? UNION ALL SELECT last_run FROM pruned WHERE name = ?"
        return int(self._db.execute("SELECT coalesce(max(run), 0) FROM (%s)" % known, [name, name]).fetchone()[0])

    def last_gone(self, name: str) -> int:
        """The highest run of ``name`` that was removed for its age, 0 where none was."""
        asked = "SELECT coalesce(max(last_run), 0) FROM pruned WHERE name = ?"
        return int(next(self.rows(asked, [name]))[0])

    def names(self) -> list[str]:
        """Every job's name, the latest first."""
        return [
            row[0] for row in self._db.execute("SELECT name FROM jobs GROUP BY name ORDER BY max(submitted_at) DESC")
        ]

    # Writing

    def insert(self, job_id: str, run: int, spec: JobSpec, submitted_at: float, **queue: object) -> Record:
        """A new row, with what the queue goes by; call it inside a transaction."""
        fields = {"id": job_id, "name": spec.name, "run": run, "spec": wire.spec_to_json(spec)}
        fields.update(submitted_at=submitted_at, **queue)
        places = ", ".join("?" * len(fields))
        self.write("INSERT INTO jobs (%s) VALUES (%s)" % (", ".join(fields), places), fields.values())
        return self._select("WHERE id = ?", [job_id])[0]

    def claim(self, job_id: str, start: Start) -> bool:
        """Whether this start is the one that counts; call it inside a transaction."""
        return (
            self.write(
                "UPDATE jobs SET attempt = attempt + 1, started_at = ?, pid = ?, birth = ?, boot_id = ?, cgroup = ? "
                "WHERE id = ? AND started_at IS NULL AND ended_at IS NULL",
                [*start, job_id],
            )
            == 1
        )

    def settle(self, record: Record, ended: Ended, learning: bool = True) -> bool:
        """Write down the end of this attempt, after which another may follow; whether this call did.

        ``record`` is the row that was looked at: where it has begun again or ended since, nothing is done. Without
        ``learning``, what it teaches is to be learned later.
        """
        with self.transaction():
            now = self.get(record.id)
            if now is None or (now.attempt, now.started_at, now.ended_at) != (record.attempt, record.started_at, None):
                return False
            text = wire.result_to_json(ended.at, ended.result)
            if learning and now.started_at is not None:
                self._learn(now.name, [(ended.at - now.started_at, ended.result)], self._past(now.name))
            following = retry.following(now, ended, os.path.exists(layout.cancel_file(now.id)))
            if following is None:
                self.write("UPDATE jobs SET ended_at = ?, result = ? WHERE id = ?", [ended.at, text, record.id])
                if os.path.exists(layout.ended_log()):
                    self.write("INSERT OR IGNORE INTO untold VALUES (?)", [record.id])
                self._forget_secrets(now)
                return True
            past = [record.id, now.attempt, now.started_at, ended.at, text]
            self.write("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)", past)
            self.write(
                "UPDATE jobs SET started_at = NULL, pid = NULL, birth = NULL, boot_id = NULL, cgroup = NULL, "
                "admitted_at = NULL, reserved = NULL, queued = 1, due = ?, why = ?, mem = ? WHERE id = ?",
                [*following, record.id],
            )
            return True

    def _forget_secrets(self, record: Record) -> None:
        if record.spec.secrets:
            from . import vault

            vault.forget_if_over(self, record.array_id or record.id)

    def settle_unstarted(self, job_id: str, ended: Ended) -> bool:
        """Write down the end of a job that nobody has started; whether nobody has."""
        record = self.get(job_id)
        if record is None or not record.is_pending:
            return False
        from . import traces

        traces.note_unstarted(record.array_id or record.id, record.id, ended)
        return self.settle(record, ended)

    def learn(self, name: str) -> None:
        """What the runs of this name, all of them known by now, teach about the next one."""
        rows = self.rows(
            "SELECT started_at, result FROM jobs WHERE name = ? AND result IS NOT NULL AND started_at IS NOT NULL "
            "ORDER BY run DESC LIMIT ?",
            [name, learn.RUNS],
        )
        ended = ((started_at, wire.result_from_json(text)) for started_at, text in rows)
        self._learn(name, [(end[0] - started_at, end[1]) for started_at, end in ended if end is not None])

    def _past(self, name: str) -> Optional[str]:
        return next((row[0] for row in self.rows("SELECT past FROM learned WHERE name = ?", [name])), None)

    def _learn(self, name: str, ended: Sequence[tuple[float, Result]], past: Optional[str] = None) -> None:
        lesson = learn.lesson(ended, past)
        self.write("INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?, ?)", [name, *lesson])


def stored_end(record: Record) -> Optional[Ended]:
    """The end a row tells of, or None."""
    if record.ended_at is None:
        return None
    found = wire.result_from_json(record.result_json or "")
    return Ended(record.ended_at, found[1] if found else Result("NODE_FAIL", reason="its record is damaged"))
