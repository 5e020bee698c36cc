"""Whatever pieces a job's output comes in, no secret comes out, and nothing else is lost."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_agent.mask import STARS, Mask
from orch_agent.needles import Kin, Needles
from orch_agent.secrets import LEAST
from orch_agent.secrets import hidden as hidden_of

# Few letters, so that beginnings, overlaps and repetitions are what mostly happens.
secret = st.text("ab\n", min_size=LEAST, max_size=14).map(str.encode)
repeated = st.builds(
    lambda unit, times, end: (unit * times + end).encode(),
    st.text("ab\n", min_size=1, max_size=7),
    st.integers(LEAST, 40),
    st.text("ab", max_size=2),
)
many = st.lists(st.text("abd", min_size=LEAST, max_size=9).map(str.encode), min_size=30, max_size=300)
several_lines = st.lists(st.text("ab", max_size=9), min_size=1, max_size=6).map(
    lambda lines: hidden_of(["\n".join(lines)]) or [b"aaaaaa"]
)
secrets = st.one_of(
    st.lists(secret, min_size=1, max_size=4, unique=True),
    st.lists(st.one_of(secret, repeated), min_size=1, max_size=4, unique=True),
    st.tuples(many, st.lists(repeated, max_size=2)).map(lambda both: both[0] + both[1]),
    several_lines,
)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Secrets, and the pieces of an output in which they are likely to be found, whole and in part."""
    hidden = draw(secrets)
    plain = st.text("abc\n", max_size=8).map(str.encode)
    part = st.sampled_from(hidden).flatmap(lambda one: st.integers(1, len(one)).map(lambda size: one[:size]))
    run = st.tuples(st.sampled_from(hidden), st.integers(1, 7), st.integers(1, 60)).map(
        lambda of: of[0][: of[1]] * of[2]
    )
    text = b"".join(draw(st.lists(st.one_of(plain, part, run, st.sampled_from(hidden)), max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return hidden, [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def masked(text: bytes, hidden: list[bytes]) -> bytes:
    """What is to come out, by the plainest means: every byte that belongs to a secret is struck out."""
    struck = bytearray(len(text))
    for one in hidden:
        for at in range(len(text)):
            if text.startswith(one, at):
                struck[at : at + len(one)] = b"\1" * len(one)
    return b"".join(b"*" if hide else text[at : at + 1] for at, hide in enumerate(struck))


def squeezed(text: bytes) -> bytes:
    """With one star for each run of them: where two secrets meet, there may be three stars or six."""
    return re.sub(rb"\*+", b"*", text)


@given(outputs())
def test_what_comes_out_is_what_went_in_without_the_secrets(given_: tuple[list[bytes], list[bytes]]) -> None:
    hidden, pieces = given_
    mask = Mask(hidden)
    out = b"".join([*map(mask.feed, pieces), mask.finish()])
    assert squeezed(out) == squeezed(masked(b"".join(pieces), hidden))


@given(outputs(), st.lists(st.booleans(), min_size=10, max_size=10))
def test_what_is_let_go_early_tells_little_and_costs_nothing(
    given_: tuple[list[bytes], list[bytes]], pauses: list[bool]
) -> None:
    """With pauses between the pieces: of a secret at most its first bytes come out, and no byte is lost or twice."""
    hidden, pieces = given_
    mask, out = Mask(hidden), b""
    for piece, pause in zip(pieces, pauses, strict=False):
        out += mask.feed(piece)
        if pause:
            out += mask.release()
    out += mask.finish()
    assert not any(one in out for one in hidden)
    text, shown = b"".join(pieces), out.replace(b"*", b"")
    plain = masked(text, hidden).replace(b"*", b"")
    assert is_within(plain, shown) and is_within(shown, text)
    assert len(shown) - len(plain) <= (LEAST - 1) * sum(
        text.startswith(one, at) for one in hidden for at in range(len(text))
    )


def is_within(few: bytes, many: bytes) -> bool:
    """Whether all of ``few`` is in ``many``, in this order, with others between."""
    rest = iter(many)
    return all(one in rest for one in few)


@given(outputs())
def test_nothing_is_held_back_but_what_may_be_a_beginning(given_: tuple[list[bytes], list[bytes]]) -> None:
    hidden, pieces = given_
    mask = Mask(hidden)
    for piece in pieces:
        mask.feed(piece)
        assert mask.feed(b"c").endswith(b"c") and not mask.waits


def test_a_prompt_waits_for_a_moment_and_its_answer_is_masked() -> None:
    mask = Mask([b"hunter2x"])
    assert mask.feed(b"say h") == b"say " and mask.waits
    assert mask.release() == b"h" and not mask.waits
    assert mask.feed(b"unter2x.") == STARS + b"."


def test_what_was_almost_typed_is_shown_when_it_is_over() -> None:
    mask = Mask([b"hunter2x"])
    assert mask.feed(b"hunter2") == b"" == mask.release()
    assert mask.finish() == b"hunter2"


def test_of_a_secret_that_waits_nothing_is_told_for_one_that_is_in_it() -> None:
    mask = Mask([b"a long one with another-in-it.", b"another"])
    assert mask.feed(b"a long one with another") == b"" == mask.release()
    assert mask.feed(b"-in-it.") == STARS


def test_lines_of_a_secret_that_waits_are_shown_as_stars() -> None:
    mask = Mask([b"line one\r\nline two\r\nline three", b"line one", b"line two", b"line three"])
    assert mask.feed(b"line one\r\nline two\r\n") == b""
    assert mask.release() == STARS + b"\r\n" + STARS and mask.waits
    assert mask.feed(b"line three.") == STARS + b"."


@given(st.lists(st.text("abcd", min_size=LEAST, max_size=7).map(str.encode), min_size=1, max_size=200), st.data())
def test_heads_are_found_in_whatever_way_they_are_looked_for(hidden: list[bytes], data: st.DataObject) -> None:
    text = data.draw(st.text("abcd", max_size=60)).encode()
    start = data.draw(st.integers(0, len(text)))
    heads = {one[:LEAST] for one in hidden}
    want = [at for at in range(start, len(text)) if text[at : at + LEAST] in heads]
    needles = Needles(hidden)
    assert sorted(needles._by_words(text, start)) == want
    assert {at for at in want if any(text.startswith(one, at) for one in hidden)} <= set(needles.heads(text, start))


# What a job waits for: counted, not timed

AMOUNT = 1 << 19
LONG = 48_000
"""Bytes of GitHub's largest secret."""


def random_lines(number: int) -> list[bytes]:
    chance = random.Random(1)
    return [b"%064x" % chance.getrandbits(256) for _ in range(number)]


LINES = b"".join(b"%d epoch, some usual text of a log at /usr/lib/x.py\n" % at for at in range(AMOUNT // 50))


@pytest.mark.parametrize("size", [1 << 16, 1 << 10])
@pytest.mark.parametrize(
    "hidden, text, stretches",
    [
        (random_lines(20_000), LINES, 0),
        ([b"\n".join(random_lines(LONG // 65))], LINES, 0),
        ([b"A" * LONG], b"A" * AMOUNT, 1),
        ([b"A" * LONG], (b"A" * 5000 + b"B") * (AMOUNT // 5001), AMOUNT // 5001),
        ([b"A" * LONG], (b"A" * 2 * LONG + b"B") * (AMOUNT // LONG // 2), AMOUNT // LONG // 2),
        ([b"A" * LONG + b"B"], b"A" * AMOUNT, 1),
        ([b"A" * 24_000 + b"B" + b"A" * 24_000, b"AAAAAAC"], b"A" * AMOUNT, 1),
        (hidden_of(["------\n" * 7000]), b"------\n" * (AMOUNT // 7), 1),
        (hidden_of(["------\n" * 7000]), b"------\r\n" * (AMOUNT // 8), 1),
    ],
)
def test_a_piece_costs_a_few_looks_whatever_is_hidden(
    hidden: list[bytes], text: bytes, stretches: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one for each secret, nor for each byte of what repeats itself."""
    looks = 0
    look = Kin.look

    def counted(self: Kin, text: bytes, at: int, base: int) -> tuple[int, bool]:
        nonlocal looks
        looks += 1
        return look(self, text, at, base)

    monkeypatch.setattr(Kin, "look", counted)
    mask = Mask(hidden)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    out = b"".join([*map(mask.feed, pieces), mask.finish()])
    assert len(mask._needles._kin) <= 8
    assert looks <= 8 * (len(pieces) + stretches), looks
    assert (b"*" in out) == any(one in text for one in hidden)
