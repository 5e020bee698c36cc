"""A damaged ledger is put aside; whoever opens the ledger next makes it anew from the directories of the jobs.

Invariants
- Nothing is thrown away: the damaged files stay, as ``ledger.db.broken-TIME``.
- Only a ledger that is found damaged again, by whoever holds the lock under which ledgers are made, is put aside.
- What was committed to a ledger that is put aside was committed to nobody: every commit looks, and is done again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from typing import Callable, TypeVar

from . import files, layout, notices, trouble
from .model import Refusal

T = TypeVar("T")
_PATIENCE = 5.0
"""Seconds to wait for somebody who writes."""


def healed(work: Callable[[], T]) -> T:
    """What ``work`` returns, which bears repetition: it is done again where a damaged ledger could be mended."""
    try:
        return work()
    except (Refusal, sqlite3.Error) as error:
        if not mend(error):
            raise
        return work()


def mend(error: Exception) -> bool:
    """Whether ``error`` told of a damaged ledger, and there is a sound one now, or none."""
    if not trouble.is_damage(error):
        return False
    path = layout.ledger()
    try:
        with open(path + ".migrate", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_sound(path):
                _put_aside(path)
        return True
    except (OSError, sqlite3.Error):
        return False  # a disk that is full or may not be written


def _put_aside(path: str) -> None:
    aside = "%s.broken-%s" % (path, time.strftime("%Y%m%dT%H%M%S"))
    while os.path.exists(aside):
        aside += "x"
    # Its write-ahead log first: left behind, it would be taken for the next ledger's.
    if os.path.exists(path + "-wal"):
        os.rename(path + "-wal", aside + "-wal")
    os.rename(path, aside)
    files.remove(path + "-shm")
    notices.leave("the ledger %s was damaged; it is kept as %s" % (path, aside))


def _is_sound(path: str) -> bool:
    """Whether all of it can be read. One that is not there, or empty, is."""
    from .ledger import Ledger

    if not os.path.exists(path) or not os.path.getsize(path):
        return True
    try:
        database = sqlite3.connect(path, timeout=_PATIENCE)
        try:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if said == "ok" and version:
                for record in Ledger.read(database):
                    assert record.spec
            return bool(said == "ok")
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        if trouble.is_damage(error):
            return False
        raise
