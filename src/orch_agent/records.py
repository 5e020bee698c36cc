"""Records with bytes between them, as they come out of a stream.

Invariants
- Nothing is held in memory but the record, or the piece, that is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import wire
from .model import Refusal

_LONGEST = 1 << 20  # bytes of a record


class Records:
    """``more`` gives the next bytes, and raises what is to be raised at the end."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._held = b""
        self._at = 0

    def record(self) -> dict[str, Any]:
        """The next record; a ``Refusal`` where that is none."""
        while (end := self._held.find(b"\n", self._at)) < 0:
            if len(self._held) - self._at > _LONGEST:
                raise Refusal("usage", "a record without an end")
            self._held, self._at = self._held[self._at :] + self._more(), 0
        line, self._at = self._held[self._at : end], end + 1
        try:
            return wire.decode(line)
        except (Refusal, RecursionError):
            raise Refusal("usage", "it is no record") from None

    def data(self, count: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, in pieces."""
        while count:
            if self._at == len(self._held):
                self._held, self._at = self._more(), 0
            piece = memoryview(self._held)[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece
