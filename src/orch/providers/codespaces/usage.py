"""How much of codespaces was used in a month. Pure but for the two questions to GitHub, ``billed`` and ``account``.

Invariants
- Times are epoch seconds, months are calendar months in UTC, as GitHub bills them.
- What is not known is None, and is counted nowhere.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from . import gh, prices
from .space import Space

Span = Sequence[float]
"""From when until when a codespace was awake."""


class Month(NamedTuple):
    """A month; ``until`` is how far it has come, its ``end`` where it is over."""

    year: int
    number: int
    start: float
    end: float
    until: float

    @property
    def label(self) -> str:
        """``2026-11``."""
        return f"{self.year}-{self.number:02}"

    @property
    def part(self) -> float:
        """How much of it is over."""
        return (self.until - self.start) / (self.end - self.start)


class Used(NamedTuple):
    """What one codespace has used in a month; ``hours`` awake and what follows of it None where nobody has counted."""

    hours: float | None
    core_hours: float | None
    gb: float | None
    gb_months: float | None

    @property
    def compute(self) -> float | None:
        """USD."""
        return None if self.core_hours is None else prices.compute(self.core_hours)

    @property
    def storage(self) -> float | None:
        """USD."""
        return None if self.gb_months is None else prices.storage(self.gb_months)


UNKNOWN = Used(None, None, None, None)


class Total(NamedTuple):
    """Core-hours and GB-months of one account in a month; ``net``: USD that GitHub bills, None where it is silent."""

    core_hours: float
    gb_months: float
    net: float | None = None


def month(now: float, back: int = 0) -> Month:
    """The month of ``now``, or one ``back`` months before it."""
    at = time.gmtime(now)
    first = at.tm_year * 12 + at.tm_mon - 1 - back
    start, end = _first(first), _first(first + 1)
    return Month(first // 12, first % 12 + 1, start, end, min(now, end))


def _first(months: int) -> float:
    return float(calendar.timegm((months // 12, months % 12 + 1, 1, 0, 0, 0)))


def awake(spans: Iterable[Span], month: Month) -> float:
    """Seconds in the month that lie in any of the spans, which may overlap."""
    total, reached = 0.0, month.start
    for start, end in sorted((span[0], span[1]) for span in spans):
        begin, stop = max(start, reached), min(end, month.until)
        if stop > begin:
            total, reached = total + stop - begin, stop
    return total


def used(space: Space, spans: Iterable[Span] | None, month: Month) -> Used:
    """What it has used, as if it had had its machine of today all the time, and its disk were full."""
    hours = None if spans is None else awake(spans, month) / 3600
    if space.machine is None:
        return Used(hours, None, None, None)
    gb = prices.disk(space.machine)
    exists = max(0.0, month.until - max(month.start, space.created_at or 0.0))
    core_hours = None if hours is None else hours * space.machine.cpus
    return Used(hours, core_hours, gb, gb * exists / (month.end - month.start))


def total(each: Iterable[Used]) -> Total:
    """All together."""
    found = list(each)
    return Total(sum(one.core_hours or 0.0 for one in found), sum(one.gb_months or 0.0 for one in found))


def whole(so_far: Total, each: Iterable[Used], month: Month) -> Total:
    """What a month comes to if it goes on as it has begun, with the disks that there are."""
    rest = sum(one.gb or 0.0 for one in each) * (1 - month.part)
    return Total(so_far.core_hours / month.part if month.part else 0.0, so_far.gb_months + rest)


def left(total: Total, free: prices.Quota) -> prices.Quota:
    """What is still free."""
    return prices.Quota(max(0.0, free.core_hours - total.core_hours), max(0.0, free.gb_months - total.gb_months))


def report(said: Mapping[str, Any]) -> Total:
    """The codespaces in GitHub's usage report.

    Units have several names there, and storage in "GigabyteHours" is in GB-months: so both are taken from the amounts
    in USD before discounts, by the prices that are told with them being those of ``prices``.
    """
    items = [one for one in said.get("usageItems") or [] if str(one.get("product")).lower() == "codespaces"]
    stored = sum(_gross(one) for one in items if "storage" in str(one.get("sku")).lower())
    computed = sum(_gross(one) for one in items) - stored
    net = sum(float(one.get("netAmount") or 0.0) for one in items)
    return Total(computed / prices.CORE_HOUR, stored / prices.GB_MONTH, net)


def _gross(item: Mapping[str, Any]) -> float:
    said = item.get("grossAmount")
    if said is None:
        said = float(item.get("quantity") or 0.0) * float(item.get("pricePerUnit") or 0.0)
    return float(said)


def account() -> tuple[str, str | None]:
    """The person's login, and plan where GitHub tells it: only to a login with the scope ``user``."""
    said = gh.api("/user")
    with gh.understood("/user"):
        return str(said["login"]), (said.get("plan") or {}).get("name")


def billed(login: str, month: Month) -> Total:
    """What GitHub has counted so far; a ``gh.Failure`` where it does not tell."""
    path = f"/users/{login}/settings/billing/usage?year={month.year}&month={month.number}"
    said = gh.api(path)
    with gh.understood(path):
        return report(said)
