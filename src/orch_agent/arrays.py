"""Array jobs as Slurm writes them: ``0-9``, ``1,5,7``, ``0-100:10``, with ``%3`` at most three at once. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from .model import Refusal

MOST = 10_000
"""Tasks of one array."""
_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?\Z", re.ASCII)


class Array(NamedTuple):
    """The numbers of the tasks, ascending, and how many may run at once."""

    tasks: list[int]
    limit: Optional[int]


def parse(text: str) -> Array:
    """Read it, or refuse it with an example."""
    parts, percent, limit = text.partition("%")
    tasks: set[int] = set()
    for part in parts.split(","):
        found = _PART.match(part.strip())
        first, last, step = (int(word) if word else None for word in found.groups()) if found else (None, None, None)
        if first is None or (last is not None and last < first) or step == 0:
            raise _wrong(text)
        numbers = range(first, (first if last is None else last) + 1, step or 1)
        if len(tasks) + len(numbers) > MOST:
            raise Refusal("usage", "the array %s has more than %d tasks" % (ascii(text), MOST), "submit it in parts")
        tasks.update(numbers)
    if percent and not (limit.isascii() and limit.isdigit() and len(limit) < 6 and int(limit)):
        raise _wrong(text)
    return Array(sorted(tasks), int(limit) if percent else None)


def _wrong(text: str) -> Refusal:
    return Refusal("usage", "%s is no array of tasks" % ascii(text), "as in --array 0-9, --array 1,5,7, --array 0-99%4")
