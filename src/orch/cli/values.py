"""How values are written on the command line: durations, points in time, counts, variables."""

from __future__ import annotations

import re

from orch.errors import OrchError, usage

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", re.ASCII)


def duration(text: str) -> float:
    """Seconds in ``10s``, ``5m``, ``3h``, ``1d`` or a plain number."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise usage(f"{text!r} is no duration", "write 10s, 5m, 3h, 1d, or seconds")
    return float(found[1]) * _SECONDS[found[2]]


def moment(text: str) -> float | dict[str, float]:
    """Epoch seconds of ``2026-02-16 14:30[:00]`` here or of a time in RFC 3339; ``5m`` is ``{"ago": 300}``.

    From when that counts is for the host to say: its clock wrote the times that are compared.
    """
    from datetime import datetime

    try:
        return {"ago": duration(text)}
    except OrchError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        hint = "write 5m (ago), '2026-02-16 14:30' (local) or 2026-02-16T14:30:00Z"
        raise usage(f"{text!r} is no time", hint) from None


def count(text: str) -> int:
    """A number of lines."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise usage(f"{text!r} is no number of lines", "write a whole number, as in --tail 100")
    return int(text)


def variable(text: str) -> tuple[str, str]:
    """Name and value in ``K=V``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise usage("--env takes NAME=VALUE", "as in --env EPOCHS=10")  # the text may be a secret: not repeated
    return name, value
