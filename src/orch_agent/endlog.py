"""``ended.log``: a line for every run that has ended, for whoever ships logs. Written only where that file exists.

Invariants
- What the ledger has settled, and only that, is told, at least once: its row in ``untold`` comes with the end, in one
  transaction, and goes when its line is on the disk. Attempts that another one follows are no ends.
- The supervisor alone writes, all that is new in one piece. The file never ceases to exist, also when it begins anew.
- A log that cannot be written keeps no supervisor: what is untold then is told by the next one.
"""

from __future__ import annotations

import json
import os

from . import files, layout
from .ledger import Ledger, Record, stored_end
from .model import rfc3339

_LARGEST = 10 << 20
"""Bytes beyond which it begins anew; the one before stays as ``ended.log.1``."""
_AT_ONCE = 1000


def is_behind(ledger: Ledger) -> bool:
    """Whether there is anything to tell."""
    wanted = os.path.exists(layout.ended_log())
    return wanted and bool(next(ledger.rows("SELECT EXISTS (SELECT 1 FROM untold)"))[0])


def tell(ledger: Ledger) -> None:
    """Tell what has not been told; raises ``OSError`` where it cannot be written."""
    while is_behind(ledger):
        ids = [job_id for (job_id,) in ledger.rows("SELECT id FROM untold LIMIT ?", [_AT_ONCE])]
        records = (ledger.get(job_id) for job_id in ids)
        _append("".join(_line(record) for record in records if record is not None))
        with ledger.transaction():
            for job_id in ids:
                ledger.write("DELETE FROM untold WHERE id = ?", [job_id])


def _line(record: Record) -> str:
    """The keys are those of a job in JSON, and ``label``."""
    end = stored_end(record)
    if end is None:
        return ""
    fields = {
        "label": record.ref,
        "id": record.id,
        "name": record.name,
        "run": record.run,
        "state": end.result.state,
        "exit_code": end.result.exit_code,
        "signal": end.result.signal,
        "reason": end.result.reason,
        "started_at": rfc3339(record.started_at),
        "ended_at": rfc3339(end.at),
        "attempt": record.attempt,
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _append(text: str) -> None:
    """All of it, to the disk, or nothing."""
    path, data = layout.ended_log(), text.encode("ascii")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(fd).st_size
        if size > _LARGEST:
            os.close(fd)
            fd, size = _begin_anew(path), 0
        if os.write(fd, data) < len(data):
            os.ftruncate(fd, size)
            raise OSError("no room for %s" % path)
        os.fsync(fd)
    finally:
        os.close(fd)


def _begin_anew(path: str) -> int:
    """An empty file in the place of a full one, which is kept under another name."""
    files.remove(path + ".1")
    os.link(path, path + ".1")
    files.write_whole(path, "")
    return os.open(path, os.O_WRONLY | os.O_APPEND)
