"""Several hosts asked side by side: none waits for another."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Asked(Generic[T]):
    """Calls that run at once, and again when they are wanted again; never one twice at a time.

    Whoever stops listening leaves the rest behind: their threads do not keep the program alive. A lone call whose end
    is waited for needs no thread.
    """

    def __init__(self, calls: Sequence[Callable[[], T]]) -> None:
        self._calls = calls
        self._open: set[int] = set()
        self._waiting: list[int] = []
        self._ended: Any = None  # a queue, once there are threads

    def start(self, skipped: Collection[int] = ()) -> None:
        """Begin every call that is not under way, but for the ``skipped``."""
        self._waiting = [place for place in range(len(self._calls)) if place not in self._open and place not in skipped]
        self._open.update(self._waiting)
        if len(self._calls) > 1:
            self._start_threads()

    def is_open(self, place: int) -> bool:
        """Whether that call is under way."""
        return place in self._open

    def outcomes(self, patience: float | None = None) -> Iterator[tuple[int, T | Exception]]:
        """Each call's place and outcome, the fastest first, until none is under way or so many seconds are over."""
        if self._waiting and patience is None:
            self._waiting, self._open = [], set()
            yield 0, _outcome(self._calls[0])
            return
        self._start_threads()
        until = None if patience is None else time.monotonic() + patience
        while self._open:
            from queue import Empty

            try:
                place, outcome = self._ended.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                return
            self._open.discard(place)
            yield place, outcome

    def _start_threads(self) -> None:
        if not self._waiting:
            return
        import threading
        from queue import SimpleQueue

        self._ended = self._ended or SimpleQueue()
        for place in self._waiting:
            threading.Thread(target=self._work, args=(place,), daemon=True).start()
        self._waiting = []

    def _work(self, place: int) -> None:
        self._ended.put((place, _outcome(self._calls[place])))


def as_they_end(calls: Sequence[Callable[[], T]]) -> Iterator[tuple[int, T | Exception]]:
    """Run every call at once and give each one's place and outcome, the fastest first."""
    asked = Asked(calls)
    asked.start()
    return asked.outcomes()


def in_order(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Every outcome, in the order of the calls."""
    outcomes = dict(as_they_end(calls))
    return [outcomes[place] for place in range(len(calls))]


def _outcome(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:
        return error
