"""The mask against brute force, on outputs in which secrets stand whole, in part and over and over."""

from __future__ import annotations

import random
import re

import pytest

from orch_agent import needles
from orch_agent.mask import Mask
from orch_agent.secrets import LEAST
from orch_agent.secrets import hidden as hidden_of

FORGOT_A_RUN = 463  # what repeats itself, known from behind a pause, once hid a secret that had begun before it


def masked(text: bytes, hidden: list[bytes]) -> bytes:
    struck = bytearray(len(text))
    for one in set(hidden):
        for at in range(len(text)):
            if text.startswith(one, at):
                struck[at : at + len(one)] = b"\1" * len(one)
    return b"".join(b"*" if hit else text[at : at + 1] for at, hit in enumerate(struck))


def squeezed(text: bytes) -> bytes:
    return re.sub(rb"\*+", b"*", text)


def is_within(few: bytes, many: bytes) -> bool:
    rest = iter(many)
    return all(one in rest for one in few)


class Case:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._letters = self.chance.choice(["a", "ab", "ab\n", "abcd"])
        self.hidden = self._secrets()
        text = b"".join(self._part() for _ in range(self.chance.randint(1, 8)))[:3000]
        size = self.chance.choice([1, 3, 17, 200, 5000])
        self.text, self.pieces = text, [text[at : at + size] for at in range(0, len(text), size)]

    def _word(self, least: int, most: int) -> str:
        return "".join(self.chance.choice(self._letters) for _ in range(self.chance.randint(least, most)))

    def _secrets(self) -> list[bytes]:
        found: list[bytes] = []
        for _ in range(self.chance.choice([1, 2, 3, 6, 40])):
            kind = self.chance.random()
            if kind < 0.3:
                found.append(self._word(6, 14).encode())
            elif kind < 0.7:
                unit, ends = self._word(1, self.chance.choice([2, 9])), self.chance.choice([0, 0, 3])
                body = unit * self.chance.randint(1, 60) + self._word(0, ends) + unit * self.chance.randint(0, 20)
                found.append((self._word(0, ends) + body).encode())
            else:
                lines = [self._word(0, 9) for _ in range(self.chance.randint(1, 5))]
                found.extend(hidden_of(["\n".join(lines)]))
        return [one for one in found if len(one) >= LEAST] or [b"abcabc"]

    def _part(self) -> bytes:
        kind, secret = self.chance.random(), self.chance.choice(self.hidden)
        if kind < 0.3:
            return secret
        if kind < 0.5:
            return secret[: self.chance.randint(1, len(secret))]
        if kind < 0.8:
            return secret[: self.chance.randint(1, 9)] * self.chance.randint(1, 80)
        return self._word(0, 8).encode() + self.chance.choice([b"", b"x"])


@pytest.mark.parametrize("seed", [*range(1, 80), FORGOT_A_RUN])
def test_as_brute_force_does_it(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(seed)
    monkeypatch.setattr(needles, "_MUCH", case.chance.choice([0, 4096]))
    wanted = masked(case.text, case.hidden)
    mask = Mask(case.hidden)
    assert squeezed(b"".join([*map(mask.feed, case.pieces), mask.finish()])) == squeezed(wanted)
    mask, out = Mask(case.hidden), b""
    for piece in case.pieces:
        out += mask.feed(piece)
        if case.chance.random() < 0.3:
            out += mask.release()
    out += mask.finish()
    shown = out.replace(b"*", b"")
    assert is_within(wanted.replace(b"*", b""), shown) and is_within(shown, case.text)
    assert not any(one in out for one in case.hidden)
