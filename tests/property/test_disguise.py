"""Whatever text a secret is encoded in, nothing is left of it that tells anything."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_agent.mask import Mask
from orch_agent.secrets import hidden

values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=12, max_size=300).filter(
    lambda text: len(text.encode()) >= 12 and len(set(text)) > 5
)
around = st.binary(max_size=9)


def masked(text: bytes, value: str) -> bytes:
    mask = Mask(hidden([value]))
    return mask.feed(text) + mask.finish()


@given(values, around, st.one_of(around, st.sampled_from([b"\n", b"\r\n"])), st.booleans(), st.booleans())
def test_in_base64_at_most_a_character_is_left_at_either_end(
    value: str, before: bytes, after: bytes, is_url_safe: bool, is_padded: bool
) -> None:
    encode = base64.urlsafe_b64encode if is_url_safe else base64.b64encode
    coded = encode(before + value.encode() + after)
    out = masked(coded if is_padded else coded.rstrip(b"="), value)
    left, stars, right = out.partition(b"***")
    assert stars
    assert len(left) <= -(-8 * len(before) // 6) and len(right.replace(b"*", b"")) <= -(-8 * len(after) // 6) + 3


@pytest.mark.parametrize("width", [64, 76])
@given(st.text("abcdefghijkl+/é", min_size=60, max_size=900))
def test_in_base64_that_is_broken_into_lines(width: int, value: str) -> None:
    coded = base64.b64encode(value.encode() + b"\n")
    lines = [coded[at : at + width] for at in range(0, len(coded), width)]
    for line, end in ((b"\r\n", b"\r\n"), (b"\n", b"")):
        out = masked(line.join(lines) + end, value)
        assert all(len(left.replace(b"*", b"")) < 6 for left in out.split(line))


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@given(st.binary(max_size=160), st.text("abcdefghijkl+/é", min_size=60, max_size=900), st.binary(max_size=90))
def test_in_lines_of_base64_wherever_it_begins(end: bytes, width: int, before: bytes, value: str, after: bytes) -> None:
    """Of a text that holds it nothing is left of it but the character at either end that holds others' bits."""
    coded = base64.b64encode(before + value.encode() + after)
    start, stop = -(-8 * len(before) // 6), 8 * (len(before) + len(value.encode())) // 6
    out = masked(end.join(coded[at : at + width] for at in range(0, len(coded), width)) + end, value)
    left, stars, right = out.replace(end, b"").partition(b"***")
    assert stars and coded[:start].startswith(left) and coded[stop:].endswith(right.replace(b"*", b""))


QUOTED = (
    'set -x; : "$V"',
    "declare -p V",
    "export -p",
    "printf '%q\\n' \"$V\"",
    'echo "${V@Q}"',
    """python3 -c 'import os; print(dict(os.environ), os.environb[b"V"])'""",
    """python3 -c 'import html, os; print(html.escape(os.environ["V"]), html.escape(os.environ["V"], False))'""",
)


@pytest.mark.parametrize("command", QUOTED)
@pytest.mark.parametrize("value", ["it's-a-canary", 'a "canary" x', "a$NARY`x\\NARY", "all'\"$`\\ canary <&>!*"])
def test_as_bash_and_python_quote_it(command: str, value: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command], env={"PATH": os.environ["PATH"], "V": value}, capture_output=True, check=True
    )
    out = masked(done.stdout + done.stderr, value)
    assert b"***" in out and b"canary" not in out and b"NARY" not in out


def _lower(text: str) -> str:
    return "".join(f"%{part[:2].lower()}{part[2:]}" if at else part for at, part in enumerate(text.split("%")))


ENCODERS: list[Callable[[str], str]] = [
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="!'()*"),
    lambda text: _lower(quote(text, safe="")),
    lambda text: _lower(quote_plus(text)),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    str,
]


@pytest.mark.parametrize("encode", ENCODERS)
@given(values)
def test_in_an_address_or_a_document_nothing_is_left(encode: Callable[[str], str], value: str) -> None:
    value = value.strip("\r\n")
    text = encode(value).encode()
    assert masked(b"<" + text + b">", value) == b"<***>"
    assert value.encode() in (unquote_to_bytes(text), unquote_to_bytes(text.replace(b"+", b" ")), text) or b"\\" in text


def test_one_that_is_long_costs_little() -> None:
    assert len(hidden(["x1" * 40_000])) < 30
