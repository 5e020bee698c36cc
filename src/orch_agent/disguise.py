"""What else a secret may look like in a text: in base64, percent-encoded, in JSON, as shells and Python quote it. Pure.

In base64 three bytes become four characters, so the same value looks different by where in the text it begins. What
does not depend on its neighbours is found in the midst of any text; what does, where the text begins or ends with it.
In lines of base64 it looks different by where in a line it begins; lines that are indented are known only of a text
that begins with it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator

_TAILS = (b"", b"\n", b"\r\n")
"""What stands behind a value that a program was given as a line."""
_LINES = (76, 64)
"""Characters in a line of base64: coreutils and MIME (RFC 2045), PEM and openssl (RFC 7468)."""
_LONG = 16 << 10
"""Bytes from which base64 is known by what it has without regard to its ends and lines: a look costs by the line."""
_PLAIN = re.compile(rb"[^A-Za-z0-9_.~-]")
"""What percent-encoding never leaves as it is (RFC 3986: what is not unreserved)."""
_KEPT = (b"", b"/", b"!'()*")
"""What it leaves besides: in a query nothing, in a path (Python), in JavaScript's encodeURIComponent."""


def of(value: bytes) -> set[bytes]:
    """The forms of a value that differ from it."""
    return {*_in_base64(value), *_in_url(value), *_in_json(value), *_quoted(value)} - {value}


def _in_base64(value: bytes) -> Iterator[bytes]:
    is_short = len(value) < _LONG
    for before in range(3):
        for tail in _TAILS if is_short else _TAILS[:1]:
            text = before * b"\0" + value + tail
            coded = base64.b64encode(text)
            start, end = -(-8 * before // 6), 8 * len(text) // 6  # between are the characters that hold no other's bits
            forms = [coded[start:end], coded[start:], coded[start:].rstrip(b"=")][: 3 if is_short else 1]
            yield from forms
            yield from (form.translate(_URL_SAFE) for form in forms)
            if before == 0 and is_short:
                yield from (coded[at : at + width] for width in _LINES for at in range(0, len(coded), width))
            if not tail and is_short:
                yield from _in_lines(coded[:end], start)


def _in_lines(coded: bytes, start: int) -> Iterator[bytes]:
    """It from ``start`` on, wherever in a line of a longer text it may begin."""
    for width in _LINES:
        for first in range(4, min(width + 4, len(coded)), 4):
            lines = [coded[start:first], *(coded[at : at + width] for at in range(first, len(coded), width))]
            yield b"\n".join(lines)
            yield b"\r\n".join(lines)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _in_url(value: bytes) -> Iterator[bytes]:
    for digits in (b"%%%02X", b"%%%02x"):
        whole = _PLAIN.sub(lambda found, digits=digits: digits % ord(found[0]), value)  # type: ignore[misc]
        for kept in _KEPT:
            coded = whole
            for one in kept:
                coded = coded.replace(digits % one, bytes([one]))
            yield coded
            yield coded.replace(b"%20", b"+")  # as forms have it


def _in_json(value: bytes) -> Iterator[bytes]:
    for is_ascii in (True, False):
        coded = json.dumps(os.fsdecode(value), ensure_ascii=is_ascii)[1:-1]
        yield os.fsencode(coded)
        yield os.fsencode(coded.replace("/", "\\/"))


_IN_DOUBLE = re.compile(rb'["$`\\]')
_IN_SHELL = re.compile(rb"[\t !\"$&'()*,;<>?\[\\\]^`{|}]")
_IN_HTML = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&#x27;"))


def _quoted(value: bytes) -> Iterator[bytes]:
    """As bash has it in ``set -x``, ``declare -p`` and ``printf %q``; as Python's ``repr`` has it; in a page."""
    yield value.replace(b"'", b"'\\''")
    yield _IN_DOUBLE.sub(rb"\\\g<0>", value)
    yield _IN_SHELL.sub(rb"\\\g<0>", value)
    yield os.fsencode(repr(os.fsdecode(value))[1:-1])
    yield repr(value)[2:-1].encode()
    for one, name in _IN_HTML:
        value = value.replace(one, name)
        yield value
