"""What stands in the way on this host, said for a person."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3

from . import layout
from .model import Refusal

_DAMAGE = ("malformed", "not a database", "unsupported file format", "Could not decode to UTF-8")
_ROOM = 1 << 17
"""Bytes free below which a disk counts as full: SQLite wants 32 KiB for its index, and so do others."""


class Damaged(Refusal):
    """The ledger cannot be read."""


def is_damage(error: Exception) -> bool:
    """Whether it tells of a ledger that cannot be read, whoever met it."""
    if isinstance(error, sqlite3.DatabaseError):
        return any(words in str(error) for words in _DAMAGE)
    return isinstance(error, Damaged)


def disk_is_full(path: str) -> bool:
    """Whether the disk that holds ``path`` has no room to speak of."""
    try:
        found = os.statvfs(path)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM


def disk_is_read_only(path: str) -> bool:
    """Whether nobody may write to the disk that holds ``path``, or would hold it."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except FileNotFoundError:
        return disk_is_read_only(os.path.dirname(path))
    except OSError:
        return False


def complain(error: Exception, of: str = "") -> None:
    """Tell it to whoever reads a companion's standard error, a file that may be on the full disk that it tells of.

    ``of``: the job that it is about, where that file is not one job's.
    """
    try:
        os.write(2, (b"%a: " % of if of else b"") + b"%a\n" % str(error))
    except OSError:
        pass


def is_full(error: OSError) -> bool:
    """Whether it tells of a disk that is full, or of one's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def explain(error: Exception) -> Refusal:
    """The refusal that an error of the system or of the database means."""
    if isinstance(error, OSError):
        path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else layout.root()
        full = is_full(error)
    else:
        path, full = layout.ledger(), "full" in str(error) or disk_is_full(layout.root())
    if full:
        said = "the disk that holds %s is full" % path
        return Refusal("host", said, "df -h %s" % shlex.quote(layout.root()), there=True)
    if is_damage(error):
        return _damaged(path, error)
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if disk_is_read_only(layout.root()):
        said = "its disk is read-only; what is there is kept, and the logs in %s can be read" % layout.logs()
    return Refusal("host", "cannot use %s: %s" % (path, said), "ORCH_HOME=DIR names a directory you may write")


def from_the_future(path: str, version: int) -> Refusal:
    """The refusal where a ledger was written by an orch that is too new for this one."""
    said = "the ledger %s was written by a newer orch (its version is %d), which this one cannot read"
    return Refusal("host", said % (path, version), "update orch on this laptop; nothing was changed")


def _damaged(path: str, error: Exception) -> Refusal:
    # A write-ahead log goes along: left behind, it would be taken for the new ledger's. It may come and go by itself.
    aside = "mv {0} {0}.broken && {{ [ ! -e {0}-wal ] || mv {0}-wal {0}.broken-wal; }}".format(shlex.quote(path))
    said = "the ledger %s is damaged (%s); the logs in %s are whole" % (path, error, layout.logs())
    return Damaged("host", said, aside, there=True)
