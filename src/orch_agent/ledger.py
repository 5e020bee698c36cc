"""The host's database of jobs.

Invariants
- A submission is on disk before anybody is told of it (WAL, synchronous=FULL).
- One row a run, never deleted by accident, never renumbered: ``run`` counts up within a name,
  upper and lower case counting as one (file systems of macOS do not tell them apart either).
- ``started_at`` is set once, by the runner that wins the claim; ``ended_at`` and ``result`` once, together.
- Migrations only add: a ledger of every released version loads for ever, and an older agent
  goes on reading a newer ledger.
- Nobody holds a transaction open while waiting for anything but the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from . import layout, trouble, wire
from .model import Ended, JobRef, JobSpec, Result

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        id           TEXT PRIMARY KEY COLLATE NOCASE,
        name         TEXT NOT NULL COLLATE NOCASE,
        run          INTEGER NOT NULL,
        spec         TEXT NOT NULL,
        submitted_at REAL NOT NULL,
        attempt      INTEGER NOT NULL DEFAULT 0,
        started_at   REAL,
        pid          INTEGER,
        birth        TEXT,
        boot_id      TEXT,
        cgroup       TEXT,
        ended_at     REAL,
        result       TEXT,
        UNIQUE (name, run)
    );
    CREATE INDEX jobs_live ON jobs (submitted_at) WHERE ended_at IS NULL;
    CREATE INDEX jobs_ended ON jobs (ended_at);
    """,
)
_COLUMNS = "id, name, run, spec, submitted_at, attempt, started_at, pid, birth, boot_id, cgroup, ended_at, result"


class Record(NamedTuple):
    """One row: what was asked, by whom it was started, how it ended. Times in seconds since the epoch."""

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

    @property
    def spec(self) -> JobSpec:
        """What to run."""
        return wire.spec_from_json(self.spec_json)

    @property
    def ref(self) -> str:
        """``NAME.n``"""
        return "%s.%d" % (self.name, self.run)

    @property
    def is_pending(self) -> bool:
        """Whether nobody has started or ended it."""
        return self.started_at is None and self.ended_at is None

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


def open_ledger() -> Ledger:
    """Open this host's ledger, made or brought up to date where needed; refuses in words what stands in the way."""
    try:
        os.makedirs(layout.root(), mode=0o700, exist_ok=True)
        return Ledger(layout.ledger())
    except (OSError, sqlite3.Error) as error:
        raise trouble.explain(error) from error


def _connect(path: str) -> sqlite3.Connection:
    try:
        return _opened(path)
    except sqlite3.OperationalError as error:
        # A full disk has no room for the index that connections share; a connection alone keeps its own in memory.
        try:
            return _opened(path, "PRAGMA locking_mode = EXCLUSIVE")
        except sqlite3.Error:
            raise error from None


def _opened(path: str, *first: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        for statement in (*first, "PRAGMA synchronous = FULL", "PRAGMA user_version"):
            database.execute(statement)
    except sqlite3.Error:
        database.close()
        raise
    return database


class Ledger:
    """An open ledger. Use as a context manager."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._db = _connect(path)
        if self._version() < len(MIGRATIONS):
            self._migrate()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        # One at a time by a lock of our own: SQLite does not wait while two connections switch to WAL.
        with open(self.path + ".migrate", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._db.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                for version in range(self._version(), len(MIGRATIONS)):
                    for statement in MIGRATIONS[version].split(";"):
                        self._db.execute(statement)
                    self._db.execute("PRAGMA user_version = %d" % (version + 1))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; the only writer while it lasts."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _select(self, rest: str, values: Iterable[object] = ()) -> list[Record]:
        rows = self._db.execute("SELECT %s FROM jobs %s" % (_COLUMNS, rest), tuple(values))  # noqa: S608 (our own text)
        return [Record(*row) for row in rows]

    # Reading

    def get(self, job_id: str) -> Optional[Record]:
        """The job with this id."""
        return next(iter(self._select("WHERE id = ?", [job_id])), None)

    def find(self, ref: JobRef) -> Optional[Record]:
        """The run that ``NAME`` (its newest) or ``NAME.n`` means."""
        if ref.run is None:
            rows = self._select("WHERE name = ? ORDER BY run DESC LIMIT 1", [ref.name])
        else:
            rows = self._select("WHERE name = ? AND run = ?", [ref.name, ref.run])
        return rows[0] if rows else None

    def live(self) -> list[Record]:
        """Every job that has not ended, oldest first."""
        return self._select("WHERE ended_at IS NULL ORDER BY submitted_at, name, run")

    def live_runs(self, name: str) -> list[Record]:
        """The runs of ``name`` that have not ended."""
        return self._select("WHERE ended_at IS NULL AND name = ?", [name])

    def ended_since(self, since: float) -> list[Record]:
        """Every job that ended at ``since`` or later, by time of submission."""
        return self._select("WHERE ended_at >= ? ORDER BY submitted_at, name, run", [since])

    def quiet_since(self) -> Optional[float]:
        """When the last job ended; None while one has not, and where there never was one."""
        asked = "SELECT (SELECT max(ended_at) FROM jobs), EXISTS (SELECT 1 FROM jobs WHERE ended_at IS NULL)"
        last, is_busy = self._db.execute(asked).fetchone()
        return None if is_busy or last is None else float(last)

    def last_run(self, name: str) -> int:
        """The highest run of ``name``, 0 where there is none."""
        return int(self._db.execute("SELECT coalesce(max(run), 0) FROM jobs WHERE name = ?", [name]).fetchone()[0])

    def names(self) -> list[str]:
        """Every job's name, the latest first."""
        return [
            row[0] for row in self._db.execute("SELECT name FROM jobs GROUP BY name ORDER BY max(submitted_at) DESC")
        ]

    # Writing

    def insert(self, job_id: str, run: int, spec: JobSpec, submitted_at: float) -> Record:
        """A new row; call it inside a transaction."""
        self._db.execute(
            "INSERT INTO jobs (id, name, run, spec, submitted_at) VALUES (?, ?, ?, ?, ?)",
            [job_id, spec.name, run, wire.spec_to_json(spec), submitted_at],
        )
        return self._select("WHERE id = ?", [job_id])[0]

    def claim(self, job_id: str, start: Start) -> bool:
        """Whether this start is the one that counts; call it inside a transaction."""
        done = self._db.execute(
            "UPDATE jobs SET attempt = attempt + 1, started_at = ?, pid = ?, birth = ?, boot_id = ?, cgroup = ? "
            "WHERE id = ? AND started_at IS NULL AND ended_at IS NULL",
            [*start, job_id],
        )
        return done.rowcount == 1

    def settle(self, job_id: str, ended: Ended) -> bool:
        """Write down the end, unless one is written already; whether this call did."""
        text = wire.result_to_json(ended.at, ended.result)
        done = self._db.execute(
            "UPDATE jobs SET ended_at = ?, result = ? WHERE id = ? AND ended_at IS NULL", [ended.at, text, job_id]
        )
        return done.rowcount == 1

    def settle_unstarted(self, job_id: str, ended: Ended) -> bool:
        """Write down the end of a job that nobody has started; whether nobody has."""
        with self.transaction():
            record = self.get(job_id)
            return record is not None and record.is_pending and self.settle(job_id, ended)


def stored_end(record: Record) -> Optional[Ended]:
    """The end a row tells of, or None."""
    if record.ended_at is None:
        return None
    found = wire.result_from_json(record.result_json or "")
    return Ended(record.ended_at, found[1] if found else Result("NODE_FAIL", reason="its record is damaged"))
