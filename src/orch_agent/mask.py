"""Secrets become ``***`` in what a job writes, before it reaches the disk or anybody's eyes.

Invariants
- What comes out is what went in, in order, each occurrence of a secret replaced; where two overlap, both are.
- Only what may be the beginning of a secret is held back, until more comes. Too little of it to tell anything (below
  ``secrets.LEAST`` bytes) is let go after a moment; should the rest come then, that is masked.
- Without secrets there is no mask, and nothing of this costs anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .needles import Needles
from .secrets import LEAST

STARS = b"***"


class Mask:
    """Masks one stream. ``secrets``: at least ``LEAST`` bytes each.

    Places are counted from the beginning of the stream.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._needles = Needles(secrets)
        # From where the first secret may have begun that has not ended yet; of that, what is before `_done` has come
        # out already.
        self._text = b""
        self._begun = 0
        self._done = 0
        self._heads: deque[int] = deque()

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return self._done < self._begun + len(self._text)

    def feed(self, data: bytes) -> bytes:
        """What may come out, now that ``data`` went in."""
        base, fresh = self._begun, max(0, len(self._text) - LEAST + 1)
        text = self._text + data
        self._heads.extend([base + at for at in self._needles.heads(text, fresh)])
        runs, begun = self._decide(text, base)
        out = self._emit(text, base, runs, begun)
        self._text, self._begun = text[begun - base :], begun
        return out

    def release(self) -> bytes:
        """Nothing came for a moment: what may come out all the same."""
        end = self._begun + len(self._text)
        if len(self._text) < LEAST:
            return self._emit(self._text, self._begun, [], end)
        runs: list[tuple[int, int]] = []
        until = max(self._begun, self._done)
        for run in self._whole():
            if run[0] - until >= LEAST:
                break  # what is between may be a secret's, and is enough to tell something
            runs.append(run)
            until = run[1]
        return self._emit(self._text, self._begun, runs, until)

    def finish(self) -> bytes:
        """Nothing will come any more: the rest."""
        end = self._begun + len(self._text)
        out = self._emit(self._text, self._begun, self._whole(), end)
        self._text, self._begun = b"", end
        self._heads.clear()
        return out

    def _decide(self, text: bytes, base: int) -> tuple[list[tuple[int, int]], int]:
        """The secrets before the first that has begun and not ended, and where that is. No head is kept before it."""
        runs: list[tuple[int, int]] = []
        covered = self._done
        while self._heads:
            place = self._heads[0]
            kin = self._needles.kin(text, place - base)
            if not kin.is_settled(place, covered):
                end, is_begun = kin.look(text, place - base, base)
                if is_begun:
                    return runs, place
                if base + end > max(covered, place):
                    covered = base + end
                    runs.append((place, covered))
            self._heads.popleft()
        return runs, base + self._needles.short_start(text)

    def _whole(self) -> list[tuple[int, int]]:
        """The secrets that are whole, whatever may have begun."""
        runs: list[tuple[int, int]] = []
        covered, base = self._done, self._begun
        for place in self._heads:
            kin = self._needles.kin(self._text, place - base)
            if not kin.is_settled(place, covered, base + len(self._text)):
                end = base + kin.look(self._text, place - base, base)[0]
                if end > max(covered, place):
                    covered = end
                    runs.append((place, covered))
        return runs

    def _emit(self, text: bytes, base: int, runs: Iterable[tuple[int, int]], until: int) -> bytes:
        """What comes out up to ``until``, or to the end of the last run; ``text`` begins at ``base``."""
        out = []
        at = self._done
        for start, end in runs:
            if start > at:
                out.append(text[at - base : start - base])
            if start >= at or not out:
                out.append(STARS)
            at = end
        if until > at:
            out.append(text[at - base : until - base])
        self._done = max(at, until)
        return b"".join(out)
