"""Whether a log is what its job wrote: every byte of every attempt, one after the other, and no other. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from . import work
from .facts import Attempt, End
from .plan import Job

_MISSING = re.compile(rb"\r\n\[orch: (\d+) bytes are missing here: the disk was full\]\r\n")
_BEGIN = work.BEGIN.encode()


def wrong(
    job_id: str, job: Job, log: bytes | None, ends: Sequence[End], told: Mapping[int, Attempt], bound: Set[int]
) -> str:
    """What is wrong with the log of a job whose attempts ended like this; "" where nothing is.

    An attempt in ``bound`` that says itself that it wrote everything must be there whole, but for what is admitted.
    """
    if log is None:
        return "there is none"
    junk, *parts = log.split(_BEGIN)
    if junk:
        return f"it begins with {junk[:60]!r}"
    for end in ends:
        own = work.output(job_id, end.attempt, job.lines)
        own = (own.replace(b"\n", b"\r\n") if job.tty else own)[len(_BEGIN) :]
        mine = parts.pop(0) if parts and _may_be(parts[0], own, end.attempt) else None
        reached = -len(_BEGIN) if mine is None else _reached(mine, own)
        if reached is None:
            return f"attempt {end.attempt} did not write {mine!r:.200}"
        lacks = len(own) - reached
        wrote_all = end.attempt in told and told[end.attempt].end.startswith(("end", "kill"))
        if lacks not in (0, end.lost) and wrote_all and end.attempt in bound:
            return f"of what attempt {end.attempt} wrote, {lacks} bytes are missing, {end.lost} admittedly"
    return f"nobody wrote {parts[0][:60]!r}" if parts else ""


def _may_be(part: bytes, own: bytes, attempt: int) -> bool:
    """Whether this part of a log may be of that attempt, by the number it begins with."""
    return own.startswith(part) or part.startswith(b"%d:" % attempt)


def _reached(part: bytes, own: bytes) -> int | None:
    """How many bytes of ``own`` are in ``part`` or said to be missing there; None where it holds others."""
    at = 0
    for number, piece in enumerate(_MISSING.split(part)):
        if number % 2:
            at += int(piece)
        elif own[at : at + len(piece)] != piece:
            return None
        else:
            at += len(piece)
    return at
