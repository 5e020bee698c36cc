"""How quantities are written where a person may type them again."""

from __future__ import annotations

import math

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def duration(seconds: float) -> str:
    """Exactly, in one unit: ``3h``, ``90m``, ``0.5s``."""
    for length, unit in _UNITS:
        if seconds >= length and seconds % length == 0:
            return "%d%s" % (seconds // length, unit)
    return "%gs" % round(seconds, 3)


def span(seconds: float) -> str:
    """Roughly, in two figures or more: ``40s``, ``34m``, ``12h``."""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return "%d%s" % (seconds // length, unit)
    return "%ds" % seconds


def room(amount: float) -> str:
    """At least so many bytes: ``11G``; below one G ``300M``."""
    if amount >= 1 << 30:
        return "%dG" % math.ceil(amount / (1 << 30))
    return "%dM" % max(1, math.ceil(amount / (1 << 20)))
