"""Where a job runs: in a directory of the host's, or in the snapshot of a working tree that it came with."""

from __future__ import annotations

import os
from typing import Optional

from . import files, layout
from .ledger import Record


def owner(record: Record) -> str:
    """Whose directory holds what was submitted with it: the job's own, or of a task its array's."""
    return record.array_id or record.id


def directory(record: Record) -> str:
    """The directory in which its command begins."""
    spec = record.spec
    if spec.code is None:
        return spec.cwd or layout.home()
    return os.path.normpath(os.path.join(layout.code_dir(owner(record)), spec.cwd or ""))


def delay(record: Record) -> Optional[str]:
    """Why a job that may start has not, where that is on account of its code."""
    return files.read_text(layout.code_lock(owner(record))) or None if record.spec.code is not None else None
