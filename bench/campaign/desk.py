"""What the threads of a campaign share: the calls that run, what was told, what went wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .facts import Seen
from .history import History
from .ways import Answer, Call

HANGS = 60.0
"""Seconds after which a submission, a cancellation or a question hangs."""


class Desk:
    """Lists that grow; adding to one is atomic."""

    def __init__(self) -> None:
        self.history = History()
        self.wrong: list[tuple[str, str]] = []
        self.seen: list[Seen] = []
        self._calls: list[Call] = []

    def running(self) -> list[Call]:
        """The calls that have not ended."""
        return [one for one in list(self._calls) if one.runs()]

    def begun(self, call: Call) -> Call:
        """A call that may be killed from now on."""
        self._calls.append(call)
        return call

    def answer(self, call: Call, key: str, what: str, patience: float = HANGS) -> Answer:
        """What a call is told; it ends, in time or not."""
        with self.begun(call):
            if not call.end(patience):
                self.complain(key, f"{what} hung for {patience:g} s")
        self._calls.remove(call)
        return call.answer()

    def killed(self, call: Call, key: str, seconds: float) -> Answer:
        """What a call was told before it was killed, unless it ended by itself within so many seconds."""
        with self.begun(call):
            call.sleep(seconds)
            if call.runs():
                self.history.add("fault", key, kind="submission", seconds=round(seconds, 3))
            call.kill()
        self._calls.remove(call)
        return call.answer()

    def see(self, jobs: Sequence[Mapping[str, Any]], whole: bool = False) -> Sequence[Mapping[str, Any]]:
        """Note what was told of jobs."""
        self.seen.append(Seen(time.time(), jobs, whole))
        return jobs

    def complain(self, key: str, what: str) -> None:
        """Note that something is not as promised."""
        self.history.add("WRONG", key, what=what)
        self.wrong.append((key, what))
