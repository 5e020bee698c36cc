"""What has happened at the imitated GitHub, in order."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Something that happened; ``at`` in seconds of the monotonic clock.

    Kinds: ``http``, a call (method, path, status, who); ``state``, a codespace's new one (name, state, why);
    ``activity``, that somebody is present (name, activities, scaled); ``connection``, through the relay (name, kind).
    """

    at: float
    kind: str
    what: dict[str, Any]


class Events:
    """All of them."""

    def __init__(self) -> None:
        self._all: list[Event] = []
        self._lock = threading.Lock()

    def tell(self, kind: str, /, **what: Any) -> None:
        """It has happened just now."""
        with self._lock:
            self._all.append(Event(time.monotonic(), kind, what))

    def of(self, kind: str, /, **match: Any) -> list[Event]:
        """Those of a kind that have these values."""
        with self._lock:
            found = [event for event in self._all if event.kind == kind]
        return [event for event in found if all(event.what.get(key) == value for key, value in match.items())]

    def states(self, name: str) -> list[str]:
        """The states that a codespace has been in."""
        return [event.what["state"] for event in self.of("state", name=name)]

    def stops(self, name: str) -> list[str]:
        """Why a codespace was stopped, each time."""
        return [event.what["why"] for event in self.of("state", name=name, state="ShuttingDown")]

    def activities(self, name: str) -> list[str]:
        """The signs of presence at a codespace."""
        return [one for event in self.of("activity", name=name) for one in event.what["activities"]]

    def calls(self, path: str, method: str = "GET") -> list[Event]:
        """Calls of one path, without its query."""
        return [event for event in self.of("http", method=method) if event.what["path"] == path]

    def forget(self) -> None:
        """Nothing has happened."""
        with self._lock:
            self._all.clear()
