"""How the ledger came to be what it is: one entry a version, which only adds.

Invariants
- A ledger of every released version loads for ever, and an older agent goes on reading a newer ledger.
- An older agent knows no queue and would start whatever is pending: the ledger itself lets nobody start a queued job
  that was not admitted.
"""

from __future__ import annotations

GENERATION = 1000
"""A ledger whose version is at or beyond the next multiple of this cannot be read by us."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
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
        )
        """,
        "CREATE INDEX jobs_live ON jobs (submitted_at) WHERE ended_at IS NULL",
        "CREATE INDEX jobs_ended ON jobs (ended_at)",
    ),
    (
        # What the queue goes by. `mem`: asked for, or raised by a retry. `reserved`: at admission, learned or not.
        "ALTER TABLE jobs ADD COLUMN queued INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN nice INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN cpus REAL NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN mem INTEGER",
        "ALTER TABLE jobs ADD COLUMN time_limit REAL",
        "ALTER TABLE jobs ADD COLUMN after TEXT",
        "ALTER TABLE jobs ADD COLUMN array_id TEXT",
        "ALTER TABLE jobs ADD COLUMN task INTEGER",
        "ALTER TABLE jobs ADD COLUMN task_limit INTEGER",
        "ALTER TABLE jobs ADD COLUMN due REAL",
        "ALTER TABLE jobs ADD COLUMN why TEXT",
        "ALTER TABLE jobs ADD COLUMN admitted_at REAL",
        "ALTER TABLE jobs ADD COLUMN reserved INTEGER",
        # However many wait, a look costs what there is to do: by themselves in their order, tasks within their array.
        "CREATE INDEX jobs_queue ON jobs (nice, submitted_at, run)"
        " WHERE queued AND admitted_at IS NULL AND ended_at IS NULL AND array_id IS NULL",
        "CREATE INDEX jobs_tasks ON jobs (array_id, nice, submitted_at, run)"
        " WHERE queued AND admitted_at IS NULL AND ended_at IS NULL AND array_id IS NOT NULL",
        "CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL AND admitted_at IS NULL AND ended_at IS NULL",
        "CREATE INDEX jobs_unlisted ON jobs (submitted_at)"
        " WHERE NOT queued AND started_at IS NULL AND ended_at IS NULL",
        "CREATE INDEX jobs_active ON jobs (admitted_at)"
        " WHERE ended_at IS NULL AND (admitted_at IS NOT NULL OR started_at IS NOT NULL)",
        "CREATE INDEX jobs_array ON jobs (array_id) WHERE array_id IS NOT NULL",
        # Whom a queued job still waits for. A row goes when the job it names has completed.
        "CREATE TABLE needs (job_id TEXT, needs_id TEXT, PRIMARY KEY (job_id, needs_id)) WITHOUT ROWID",
        "CREATE INDEX needs_of ON needs (needs_id)",
        """
        CREATE TABLE attempts (
            job_id TEXT COLLATE NOCASE, attempt INTEGER, started_at REAL, ended_at REAL, result TEXT,
            PRIMARY KEY (job_id, attempt)
        ) WITHOUT ROWID
        """,
        # What earlier runs of a name teach: bytes to reserve and seconds they take. `past`: peak and seconds of the
        # newest ones, to which each end adds, so that no other row has to be read for that.
        """
        CREATE TABLE learned (
            name TEXT PRIMARY KEY COLLATE NOCASE, mem INTEGER, seconds REAL, runs INTEGER, past TEXT
        )
        """,
        # The highest run of a name that is no longer in `jobs`.
        "CREATE TABLE pruned (name TEXT PRIMARY KEY COLLATE NOCASE, last_run INTEGER, at REAL)",
        """
        CREATE TRIGGER starts_when_admitted BEFORE UPDATE OF started_at ON jobs
        WHEN NEW.started_at IS NOT NULL AND OLD.queued AND OLD.admitted_at IS NULL
        BEGIN SELECT RAISE(IGNORE); END
        """,
    ),
    (
        # Ends that are not in ended.log yet, where there is such a file.
        "CREATE TABLE untold (id TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID",
    ),
)
