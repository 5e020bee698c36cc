"""A progress bar for a terminal; a line every tenth where there is none."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
WIDTH = 30


def bar(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Pass on `items`, showing how many of `total` have gone by."""
    live = sys.stdout.isatty()
    shown = -1
    for done, item in enumerate(items, 1):
        yield item
        step = done * (WIDTH if live else 10) // total
        if step != shown:
            shown = step
            _draw(live, done, total, label)
    if live:
        print()


def _draw(live: bool, done: int, total: int, label: str) -> None:
    if live:
        filled = WIDTH * done // total
        print(f"\r{label:<10} [{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{total}", end="", flush=True)
    else:
        print(f"{label:<10} {done}/{total}", flush=True)
