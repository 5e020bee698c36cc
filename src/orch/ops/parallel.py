"""Several hosts asked side by side: none waits for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def as_they_end(calls: Sequence[Callable[[], T]]) -> Iterator[tuple[int, T | Exception]]:
    """Run every call at once and give each one's place and outcome, the fastest first.

    Whoever stops listening leaves the rest behind: their threads do not keep the program alive.
    """
    if len(calls) == 1:
        yield 0, _outcome(calls[0])
        return
    import threading
    from queue import SimpleQueue

    ended: SimpleQueue[tuple[int, T | Exception]] = SimpleQueue()

    def work(place: int, call: Callable[[], T]) -> None:
        ended.put((place, _outcome(call)))

    for place, call in enumerate(calls):
        threading.Thread(target=work, args=(place, call), daemon=True).start()
    for _ in calls:
        yield ended.get()


def in_order(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Every outcome, in the order of the calls."""
    outcomes = dict(as_they_end(calls))
    return [outcomes[place] for place in range(len(calls))]


def _outcome(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:
        return error
