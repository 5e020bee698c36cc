"""What a job used over time, in a file that stays small however long it runs.

Invariants
- At most ``MOST`` entries (96 KiB). The pause between two doubles whenever the job has lived twice as long, and when
  the file is full, of every two that follow one another the one with more memory stays. So the grain of the curve is
  about a thousandth of its length, and the peak is in it.
- Between two entries the sample with the most memory counts.
- Written in place, without sync. Whoever reads sees a true curve at any moment, also after the runner was killed:
  entries are known by their time, and half an entry is none.
- A job of a moment has none.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple, Optional

from .model import Usage

MOST = 4096
SHORTEST = 0.05
"""Seconds between two entries at first."""
FIRST = 0.25
"""Seconds of its life in which nothing is kept of a job: thousands of short ones need no record."""
_ENTRY = struct.Struct("<fQfQ")
_LEAST = 8
"""Pauses between entries that a slope is taken over."""


class Sample(NamedTuple):
    """Seconds since the start, bytes of memory, seconds of processor time, bytes that the host had left then."""

    seconds: float
    mem_bytes: int
    cpu_seconds: float
    available_bytes: int


class Curve:
    """Writes the file at ``path``; goes on with what is there. Seconds are counted from the start of the attempt."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: Optional[int] = None
        self._count = 0
        self._best: Optional[Sample] = None
        self._pause = SHORTEST
        self._next = FIRST

    def add(self, seconds: float, used: Usage, available: int) -> None:
        """Note a sample; it is written when its time has come."""
        if self._best is None or used.mem_bytes >= self._best.mem_bytes:
            self._best = Sample(seconds, used.mem_bytes, used.cpu_seconds, available)
        if seconds < self._next:
            return
        try:
            self._write(seconds, self._best)
        except OSError:
            pass  # a full disk: the curve has a hole, the job goes on
        self._best = None
        self._next = seconds + self._pause

    def _write(self, seconds: float, sample: Sample) -> None:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            self._count = os.fstat(self._fd).st_size // _ENTRY.size
        if self._count >= MOST:
            self._halve()
        while seconds > MOST * self._pause:
            self._pause *= 2
        os.pwrite(self._fd, _ENTRY.pack(*sample), self._count * _ENTRY.size)
        self._count += 1

    def _halve(self) -> None:
        assert self._fd is not None
        entries = _entries(os.pread(self._fd, MOST * _ENTRY.size, 0))
        kept = [max(entries[at : at + 2], key=_memory) for at in range(0, len(entries), 2)]
        os.pwrite(self._fd, b"".join(_ENTRY.pack(*one) for one in kept), 0)
        os.ftruncate(self._fd, len(kept) * _ENTRY.size)
        self._count = len(kept)


def read(path: str) -> list[Sample]:
    """The curve in the file; empty where there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST * _ENTRY.size)
    except OSError:
        return []
    # While a full file is halved, what was kept stands before what it was chosen from.
    return sorted(set(_entries(data)))


def thin(curve: list[Sample], most: int) -> list[Sample]:
    """At most ``most`` of them, the peak and the last among them."""
    if len(curve) <= most:
        return curve
    last = len(curve) - 1
    edges = [last * part // (most - 1) for part in range(most)]
    parts = (curve[begin:end] for begin, end in zip(edges, edges[1:]))
    return [*(max(part, key=_memory) for part in parts), curve[last]]


def peak(curve: list[Sample]) -> Optional[Sample]:
    """The first of the highest."""
    return max(curve, key=_memory, default=None)


def slope(curve: list[Sample]) -> Optional[float]:
    """Bytes a second (least squares) in the tenth of the curve that leads to the highest point of its last tenth.

    So the fall of what is already ending does not count. None where there is too little of it.
    """
    if not curve:
        return None
    span = curve[-1].seconds / 10
    top = max(range(len(curve)), key=lambda at: (curve[at].seconds >= curve[-1].seconds - span, curve[at].mem_bytes))
    before = curve[max(0, top - _LEAST) : top + 1]
    way = [one for one in curve[:top] if one.seconds >= curve[top].seconds - span]
    way = before if len(way) < len(before) else [*way, curve[top]]
    if len(way) < 3:
        return None
    middle = sum(one.seconds for one in way) / len(way)
    spread = sum((one.seconds - middle) ** 2 for one in way)
    return sum((one.seconds - middle) * one.mem_bytes for one in way) / spread if spread else None


def _memory(sample: Sample) -> int:
    return sample.mem_bytes


def _entries(data: bytes) -> list[Sample]:
    whole = len(data) // _ENTRY.size * _ENTRY.size
    return [Sample(*fields) for fields in _ENTRY.iter_unpack(data[:whole])]
