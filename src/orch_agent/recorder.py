"""What is kept of a job while it runs: its curve, its black box, and since when it does nothing."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection
from typing import Optional

from . import blackbox, files, layout, memory, procs, samples, stall, trouble
from .ledger import Record, open_ledger
from .model import Refusal, Usage
from .procs import Process

_PAUSE = 1.0
"""Seconds for which what the host has left is taken to be the same."""


def forget(job_id: str) -> None:
    """What was kept of an attempt before this one goes."""
    for path in (layout.samples_file(job_id), layout.black_box(job_id)):
        files.remove(path)


class Recorder:
    """Keeps the record of an attempt that has begun. ``why_end``: why it is to be ended, if it is."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._frozen = layout.frozen_file(record.id)
        self._limit = record.spec.stall
        self._curve = samples.Curve(layout.samples_file(record.id))
        self._box = blackbox.BlackBox(record.id, record.attempt)
        now = time.monotonic()
        self._began = now - max(0.0, time.time() - (record.started_at or 0.0))
        self._still = stall.Stillness(now)
        self._available, self._looked = 0, float("-inf")
        self.why_end: Optional[str] = None

    def note(self, used: Usage, tree: Collection[Process], output: int) -> Usage:
        """Keep a sample of the ``tree``, whose log has so many bytes of ``output``; the sample, with what it tells."""
        now = time.monotonic()
        age = now - self._began
        if age >= samples.FIRST:
            if now - self._looked >= _PAUSE:
                self._available, self._looked = memory.look().available, now
            self._curve.add(age, used, self._available)
            self._box.look(age, used.mem_bytes, tree)
        cpu = sum(one.cpu_seconds for one in tree)  # an adopter does not know what others had used, who are gone
        if used.waiting_for_input or os.path.exists(self._frozen):
            self._still.begin_anew(now, cpu, output)
        still = self._still.look(now, cpu, output, lambda: sum(procs.moved(one.pid) for one in tree))
        if self._limit is not None and still >= self._limit:
            self.why_end = stall.reason(self._limit)
        has_stalled = still >= (stall.USUAL if self._limit is None else self._limit)
        return used._replace(stalled_since=time.time() - still) if has_stalled else used

    def close(self) -> None:
        """It has failed: note what is around it."""
        try:
            with open_ledger() as ledger:
                self._box.close(ledger, self._record)
        except (Refusal, sqlite3.Error, OSError) as error:
            trouble.complain(error)
