"""What a campaign leaves behind for the oracle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .history import Event
from .plan import Plan

View = Mapping[str, Any]
"""A job as orch tells it."""


class Seen(NamedTuple):
    """Jobs as they were told at a time; ``whole``: all of the host, in one answer."""

    at: float
    jobs: Sequence[View]
    whole: bool


class Attempt(NamedTuple):
    """What one attempt told beside orch: (time, what), and by which processes."""

    told: list[tuple[float, str]]
    pids: set[int]

    def times(self, what: str) -> list[float]:
        """When it told something that begins with ``what``."""
        return [at for at, said in self.told if said.split()[0] == what]

    @property
    def end(self) -> str:
        """How it said that it ends: ``end 3``, ``kill 9``, ``term``; "" where it could not say."""
        ends = [said for _, said in self.told if not said.startswith("start")]
        return ends[-1] if ends else ""


class End(NamedTuple):
    """How orch says that one attempt ended; ``lost``: bytes of the log."""

    attempt: int
    state: str
    exit_code: int | None
    signal: int | None
    started_at: float | None
    ended_at: float
    lost: int


class Facts(NamedTuple):
    """Everything. ``acknowledged``: id -> what was answered; ``effects``: id -> attempt -> what it told."""

    plan: Plan
    acknowledged: Mapping[str, View]
    effects: Mapping[str, Mapping[int, Attempt]]
    final: Mapping[str, View]
    seen: Sequence[Seen]
    logs: Mapping[str, bytes | None]
    shown: Mapping[str, bytes]
    followed: Sequence[tuple[str, bytes, bool]]
    host: Mapping[str, Any]
    ledger: Mapping[str, Any]
    events: Sequence[Event]
    left: Sequence[str]


def effects(path: Path) -> dict[str, dict[int, Attempt]]:
    """What jobs told, in the order they did."""
    found: dict[str, dict[int, Attempt]] = defaultdict(dict)
    for line in path.read_text().splitlines() if path.exists() else ():
        at, job, attempt, pid, what = line.split(" ", 4)
        told = found[job].setdefault(int(attempt), Attempt([], set()))
        told.told.append((float(at), what))
        told.pids.add(int(pid))
    return dict(found)
