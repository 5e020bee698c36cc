"""What stays here though git would take it: ``.orchignore`` at the top, and directories that runs share.

Invariants
- Patterns are git's, and stand above every .gitignore. They apply to what is tracked, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

FILE = ".orchignore"
_SPECIAL = re.compile(r"([\\*?\[\]!# ])")
_TRAILING = re.compile(rb"(?<!\\) +\Z")


def patterns(top: str, places: Iterable[str]) -> tuple[str, ...]:
    """The lines of ``.orchignore``, and one for each of ``places`` below the top."""
    return (*_written(os.path.join(top, FILE)), *("/" + _escaped(place) for place in places))


def _escaped(place: str) -> str:
    """As a pattern that fits nothing else."""
    return _SPECIAL.sub(r"\\\1", place)


def within(given: Iterable[str], nested: str) -> tuple[str, ...]:
    """What of these applies in a repository that lies in the directory ``nested``, seen from its top.

    A pattern with a slash counts from the top: it is carried over where it leads there by name, and not by a wildcard.
    """
    found = []
    nested = rf"(?:{re.escape(nested)}|{re.escape(_escaped(nested))})/(.*)"
    for pattern in given:
        sign, body = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
        if "/" not in body.rstrip("/") or body.startswith("**/"):
            found.append(pattern)
        elif inside := re.fullmatch(nested, body.lstrip("/"), re.DOTALL):
            found.append(f"{sign}/{inside[1]}")
    return tuple(found)


def _written(path: str) -> list[str]:
    if not os.path.isfile(path):
        return []
    try:
        with open(path, "rb") as file:
            lines = file.read().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    lines = [_TRAILING.sub(b"", line.removesuffix(b"\r")) for line in lines]
    return [os.fsdecode(line) for line in lines if line and not line.startswith(b"#") and b"\0" not in line]
