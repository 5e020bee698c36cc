"""A host that takes no jobs for a while, because it is about to be stopped, or moved: what came now would be lost.

Invariants
- It is closed and looked for jobs in one transaction of the ledger, and a submission looks whether it is closed inside
  its own: so each job is either seen, or refused.
- It opens by itself: after the time that was said, and with a restart of the host.
- Its file, once made, is written in place and stays: a full disk does not keep a host from being stopped.
"""

from __future__ import annotations

import json
import os
import time
from typing import Optional

from . import files, layout, procs
from .ledger import Ledger


def why(now: Optional[float] = None) -> Optional[str]:
    """Why this host takes no jobs: ``is about to stop``; None where it does."""
    said = files.read_table(layout.closed_file())
    if not said or said.get("boot") != procs.boot_id():
        return None
    until, reason = said.get("until"), said.get("why")
    is_over = not isinstance(until, (int, float)) or until <= (time.time() if now is None else now)
    return None if is_over or not isinstance(reason, str) else reason


def was_until(boot: Optional[str]) -> float:
    """Until when it was to be closed, when it ran as ``boot``; 0 where it was not."""
    said = files.read_table(layout.closed_file())
    until = said.get("until")
    return until if boot is not None and said.get("boot") == boot and isinstance(until, (int, float)) else 0.0


def close(ledger: Ledger, reason: str, seconds: float, even_so: bool) -> list[str]:
    """Take no jobs for so long. Where some live, or wait, it stays open unless ``even_so``; the names of these."""
    with ledger.transaction():
        names = [str(name) for (name,) in ledger.rows("SELECT DISTINCT name FROM jobs WHERE ended_at IS NULL")]
        if not names or even_so:
            fields = {"boot": procs.boot_id(), "until": time.time() + seconds, "why": reason}
            files.fill(layout.closed_file(), json.dumps(fields))
    return names


def open_again() -> None:
    """Take jobs again."""
    if os.path.exists(layout.closed_file()):
        files.fill(layout.closed_file(), "{}")


def prepare() -> None:
    """Have its file, while there is room for it."""
    if not os.path.exists(layout.closed_file()):
        files.fill(layout.closed_file(), "{}")
