"""Many strings looked for in a stream at once, at a cost that depends neither on their number nor on their length.

Invariants
- A needle is looked at only where its head, its first ``LEAST`` bytes, occurs.
- All needles of one head are decided together, by a search among them in their order.
- Setting up handles each needle once; what more is to be known of those of one head waits until it occurs.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from itertools import compress
from operator import is_not

from .secrets import LEAST

_FEW, _MANY, _MUCH = 12, 128, 4096
"""Up to how many heads are looked for one by one: in little text, and in as many bytes or more."""
_STEM = 64
"""Bytes of what all needles of one head begin with that are looked for in place of it, where heads are few."""
_FIRST_LOOK, _GROWTH = 64, 16
"""Bytes of the text that are compared, and how many times as many where those could go on in a needle."""
_PERIOD = 128
"""The longest period (bytes) that is looked for in a needle: longer ones are stepped through."""
_UNITS = 8
"""In how many ways the needles of one head may repeat themselves, and cost nothing: those of the longest."""
_STRIDES = (4096, 512, 64, 1)
"""Bytes of a run that are compared at once."""


class Needles:
    """``needles``: at least ``LEAST`` bytes each."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        needles = list(needles)
        heads = [one[:LEAST] for one in needles]
        self._first = dict(zip(heads, needles))
        self._others: dict[bytes, list[bytes]] = {}
        for one in compress(needles, map(is_not, map(self._first.get, heads), needles)):
            self._others.setdefault(one[:LEAST], []).append(one)
        self._kin: dict[bytes, Kin] = {}
        self._starts: dict[int, set[bytes]] = {}
        self._pairs, self._words = _grams(self._first)
        self._stems = [self._stem(head) for head in self._first] if len(self._first) <= _MANY else []

    def heads(self, text: bytes, start: int) -> list[int]:
        """Where needles may begin, of which as much as a head is there: from ``start`` on, in order."""
        limit = _MANY if len(text) - start >= _MUCH else _FEW
        return sorted((self._one_by_one if len(self._first) <= limit else self._by_words)(text, start))

    def kin(self, text: bytes, at: int) -> Kin:
        """The needles whose head is there."""
        head = text[at : at + LEAST]
        kin = self._kin.get(head)
        if kin is None:
            kin = self._kin[head] = Kin([self._first[head], *self._others.get(head, [])])
        return kin

    def short_start(self, text: bytes) -> int:
        """Where ``text`` ends with less than a head of a needle, as much as there is; its length if it does not."""
        for size in range(min(LEAST - 1, len(text)), 0, -1):
            tail = text[-size:]
            is_likely = size == 1 or int.from_bytes(tail[:2], sys.byteorder) in self._pairs
            if is_likely and tail in self._beginnings(size):
                return len(text) - size
        return len(text)

    def _beginnings(self, size: int) -> set[bytes]:
        if size not in self._starts:
            self._starts[size] = {head[:size] for head in self._first}
        return self._starts[size]

    def _stem(self, head: bytes) -> bytes:
        """What all needles of that head begin with."""
        kin = [one[:_STEM] for one in (self._first[head], *self._others.get(head, []))]
        return min(kin)[: _common(min(kin), max(kin))]

    def _one_by_one(self, text: bytes, start: int) -> Iterator[int]:
        """The longer what is looked for, the faster; a mere head counts where the text ends before the stem does."""
        for stem in self._stems:
            yield from _places(text, stem, start)
            yield from _places(text, stem[:LEAST], max(start, len(text) - len(stem) + 1))

    def _by_words(self, text: bytes, start: int) -> Iterator[int]:
        for begin in (start, start + 2):
            end = len(text) - max(0, len(text) - begin) % 4
            words = memoryview(text)[begin:end].cast("I")
            for at in compress(range(begin, end, 4), map(self._words.__contains__, words)):
                if text[at : at + LEAST] in self._first:
                    yield at
                if at > start and text[at - 1 : at - 1 + LEAST] in self._first:
                    yield at - 1


class Kin:
    """The needles of one head. Places in the stream are ``base`` more than those in the text."""

    def __init__(self, needles: list[bytes]) -> None:
        self._needles = sorted(needles)
        # Of each the longest other that it begins with.
        self._inner: list[int] = []
        for at, one in enumerate(self._needles):
            self._inner.append(self._whole(one, at - 1))
        by_size = sorted(needles, key=len, reverse=True)
        self.longest = len(by_size[0])
        units = [one[:period] for one in by_size for period in [_period(one)] if period]
        self._runs = [_Run(unit, needles) for unit in list(dict.fromkeys(units))[:_UNITS]]

    def is_settled(self, place: int, covered: int, last: int = -1) -> bool:
        """Whether none that begins there can go beyond what is ``covered`` already, or, should nothing come after
        ``last``, does."""
        return place + self.longest <= covered or any(run.settles(place, covered, last) for run in self._runs)

    def look(self, text: bytes, at: int, base: int) -> tuple[int, bool]:
        """The end of the longest that is there, ``at`` if none is; and whether it may become a longer one."""
        size = _FIRST_LOOK
        while True:
            part = text[at : at + size]
            after = bisect_right(self._needles, part)
            is_begun = after < len(self._needles) and self._needles[after].startswith(part)
            if not is_begun or at + size >= len(text):
                break
            size *= _GROWTH
        best = self._whole(part, after - 1)
        end = at if best < 0 else at + len(self._needles[best])
        return max([end, *(run.follow(text, at, base) for run in self._runs)]), is_begun

    def _whole(self, text: bytes, best: int) -> int:
        """The longest that ``text`` begins with, of ``best`` and those within it."""
        while best >= 0 and not text.startswith(self._needles[best]):
            best = self._inner[best]
        return best


class _Run:
    """A stretch of the stream that repeats what needles of one head begin with: there each step would see the same.

    Where ``left`` bytes of it are to come, a needle that would follow it for more or for fewer is not there; but those
    that follow it to their own end are, and there the last one's end is what counts, for they overlap.
    """

    def __init__(self, unit: bytes, needles: list[bytes]) -> None:
        self._unit = unit
        self._start = self._end = 0
        self._is_closed = False
        reaches = [(_reach(one, 0, unit), len(one)) for one in needles]
        self._most = max(reach for reach, _ in reaches)
        self._forks = {reach for reach, size in reaches if reach < size}
        sizes = sorted((size for reach, size in reaches if reach == size), reverse=True)
        # Of those that end at the same places the shortest, which fits in most often.
        self._wholes = list({(size % len(unit), size < len(unit)): size for size in sizes}.values())
        self._shortest = min(sizes, default=sys.maxsize)

    def settles(self, place: int, covered: int, last: int) -> bool:
        """Whether none is at that place that ends after what is ``covered``."""
        left = self._end - place
        if not self._start <= place < self._end or (place - self._start) % len(self._unit):
            return False
        if covered < self._end and left >= self._shortest and self._farthest(place, self._end) > max(place, covered):
            return False
        return left not in self._forks if self._is_closed or self._end == last else left > self._most

    def follow(self, text: bytes, at: int, base: int) -> int:
        """Keep the run that begins there in mind; where the last ends of those in it that cover it from there on."""
        end = _reach(text, at, self._unit)
        if base + end >= self._end:
            self._start, self._end, self._is_closed = base + at, base + end, end < len(text)
        return self._farthest(at, end)

    def _farthest(self, at: int, end: int) -> int:
        period, left = len(self._unit), end - at
        ends = (end - (left - size) % period if size >= period else at + size for size in self._wholes if size <= left)
        return max(ends, default=at)


def _places(text: bytes, needle: bytes, start: int) -> Iterator[int]:
    at = text.find(needle, start)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


def _grams(heads: Collection[bytes]) -> tuple[set[int], set[int]]:
    """As the machine's integers: the first two bytes of each; the four at its first byte, and those at its second."""
    size = 8 * len(heads)
    table = memoryview((b"\0" * (8 - LEAST)).join(heads) + b"\0" * 8)
    words = set(table[:size].cast("I")[::2])
    words.update(table[1 : size + 1].cast("I")[::2])
    return set(table[:size].cast("H")[::4]), words


def _reach(text: bytes, at: int, unit: bytes) -> int:
    """Up to where ``text`` goes on with ``unit`` after ``unit``."""
    end = at
    for stride in _STRIDES:
        step = unit * max(1, stride // len(unit))
        while text.startswith(step, end):
            end += len(step)
    return end + _common(text[end : end + len(unit)], unit)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes they begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _period(needle: bytes) -> int:
    """After how many bytes it repeats what it begins with; 0: not soon."""
    period = needle.find(needle[: min(2 * _PERIOD, (len(needle) + 1) // 2)], 1, 3 * _PERIOD)
    return max(0, period)
