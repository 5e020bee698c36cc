"""What happened when, as the campaign itself saw it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Event(NamedTuple):
    """``at``: seconds since the epoch. ``job``: an id, or "" where it concerns everybody."""

    at: float
    what: str
    job: str
    facts: dict[str, Any]


class History:
    """Events in the order they came; several threads write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._began = time.time()

    def add(self, what: str, job: str = "", /, **facts: Any) -> None:
        """Note that this happened now."""
        with self._lock:
            self._events.append(Event(time.time(), what, job, facts))

    def __iter__(self) -> Iterator[Event]:
        with self._lock:
            return iter(list(self._events))

    def of(self, what: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self if event.what == what]

    def told(self, job: str, more: list[Event]) -> str:
        """What concerns one job, and what concerned everybody from its first event to its last; for a person."""
        own = [event for event in [*self, *more] if event.job == job]
        since, until = (min(event.at for event in own), max(event.at for event in own)) if own else (0.0, 0.0)
        shared = [event for event in self if not event.job and since - 1 <= event.at <= until + 1]
        return "\n".join(map(self._line, sorted([*own, *shared], key=lambda event: event.at)))

    def _line(self, event: Event) -> str:
        facts = " ".join(f"{key}={value}" for key, value in event.facts.items() if value is not None)
        return f"{event.at - self._began:9.3f} {event.what} {facts}".rstrip()

    def save(self, path: Path) -> None:
        """Everything, an event a line."""
        path.write_text("".join(json.dumps(event._asdict(), default=str) + "\n" for event in self))
