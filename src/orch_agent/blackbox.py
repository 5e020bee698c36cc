"""What is kept of a job for whoever asks why it failed: who was big at its peak, and what was around it at its end.

Invariants
- Of a process its program and its script are kept, never its other words: a command line may hold a secret that the
  job's own text does not (``curl -H "Authorization: $TOKEN"``), and nothing we write down may.
- Written whole or not at all, at most once a second, without sync: what a power failure takes was no promise.
- A job that completed at once has none.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from . import files, layout, memory, procs, usage, workplace
from .ledger import Ledger, Record
from .procs import Process

_STEP = 1.05
"""A peak that is so many times as high as the last that was looked at is looked at."""
_PAUSE = 1.0
_LARGEST, _NEIGHBOURS = 5, 10
_WORDS = 200
"""Characters that are kept of a program's name."""


class BlackBox:
    """Writes the box of one attempt; goes on with what is there. Seconds are counted from its start."""

    def __init__(self, job_id: str, attempt: int) -> None:
        self._path = layout.black_box(job_id)
        self._facts: dict[str, Any] = {**read(job_id, attempt), "attempt": attempt}
        self._peak: float = (self._facts.get("peak") or {}).get("mem_bytes", 0)
        self._written = float("-inf")
        self._is_new = False

    def look(self, seconds: float, used: int, tree: Iterable[Process]) -> None:
        """Note who is big where ``used``, the memory of the ``tree`` in bytes, is a new peak."""
        if used and used >= self._peak * _STEP:
            self._peak = used
            found = ((procs.resident(one.pid), one.pid) for one in tree)
            largest = [(size, pid) for size, pid in heapq.nlargest(_LARGEST, found) if size]
            self._facts["peak"] = {
                "seconds": round(seconds, 2),
                "mem_bytes": used,
                "processes": [{"pid": pid, "program": program(pid), "mem_bytes": size} for size, pid in largest],
            }
            self._is_new = True
        if self._is_new and seconds - self._written >= _PAUSE:
            self._written = seconds
            self._write()

    def close(self, ledger: Ledger, record: Record) -> None:
        """Note what is around the job, which has just failed."""
        around = sorted(_others(ledger, record), reverse=True)
        self._facts["end"] = {
            "neighbours": [{"job": ref, "mem_bytes": used} for used, ref in around[:_NEIGHBOURS]],
            "neighbours_count": len(around),
            "neighbours_mem_bytes": sum(used for used, _ in around),
            "host_available_bytes": memory.look().available,
            "disk_free_bytes": _free(workplace.directory(record)),
        }
        self._write()

    def _write(self) -> None:
        self._is_new = False
        aside = "%s.%d" % (self._path, os.getpid())
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(self._facts, file)
            os.rename(aside, self._path)
        except OSError:
            files.remove(aside)  # a full disk


def read(job_id: str, attempt: int) -> Mapping[str, Any]:
    """What was kept of this attempt; empty where nothing was."""
    facts = files.read_table(layout.black_box(job_id))
    return facts if facts.get("attempt") == attempt else {}


def program(pid: int) -> str:
    """The program that a process runs and, where its next words name a file or a module, that: ``python3 train.py``."""
    words = procs.argv(pid)
    name = os.path.basename((words[0].split() or [""])[0]) if words else ""
    told = [name, *_script(pid, name, words[1:])]
    return "".join(c if c.isprintable() else "?" for c in " ".join(told))[:_WORDS]


def _script(pid: int, name: str, words: list[str]) -> list[str]:
    """The first word that is no option, where it names a file; the module of ``python -m``."""
    for place, word in enumerate(words):
        if word == "-m" and name.startswith("python"):
            return words[place : place + 2]
        if not word.startswith("-"):
            return [os.path.basename(word)] if os.path.isfile(os.path.join(procs.directory(pid), word)) else []
    return []


def _others(ledger: Ledger, record: Record) -> list[tuple[int, str]]:
    """The other jobs that run, with the bytes that they use."""
    found = []
    running = "SELECT id, name, run FROM jobs WHERE ended_at IS NULL AND started_at IS NOT NULL AND id != ?"
    for job_id, name, run in ledger.rows(running, [record.id]):
        sample = usage.read(layout.usage_file(job_id))
        found.append((sample.mem_bytes if sample else 0, "%s.%d" % (name, run)))
    return found


def _free(path: str) -> Optional[int]:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
