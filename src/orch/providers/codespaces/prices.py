"""What codespaces cost, in USD: GitHub's list prices, before taxes and the free quota. Pure.

Invariants
- Every figure is GitHub's (``SOURCE``), noted down in ``AS_OF``; nobody is asked, for no API tells them.
- A core-hour is one core for an hour, a GB-month one GB for a calendar month, in UTC, as GitHub bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .space import Machine, Space

SOURCE = "https://docs.github.com/billing/concepts/product-billing/github-codespaces"
AS_OF = "2026-11"
CORE_HOUR = 0.09
"""USD: an hour of 2 cores 0.18, of 4 0.36, of 8 0.72, of 16 1.44, of 32 2.88."""

GB_MONTH = 0.07
"""USD, whether the codespace runs or not."""

_MONTH_HOURS = 730


class Quota(NamedTuple):
    """What is free each month."""

    core_hours: float
    gb_months: float


FREE: Mapping[str, Quota] = {"free": Quota(120, 15), "pro": Quota(180, 20)}
"""By the plan of a personal account. What an organization pays for is not in it."""


def compute(core_hours: float) -> float:
    """USD for so much of a machine's time."""
    return core_hours * CORE_HOUR


def storage(gb_months: float) -> float:
    """USD for so much of a disk."""
    return gb_months * GB_MONTH


def beyond(core_hours: float, gb_months: float, free: Quota) -> float:
    """USD for what is not free."""
    return compute(max(0.0, core_hours - free.core_hours)) + storage(max(0.0, gb_months - free.gb_months))


def disk(machine: Machine) -> float:
    """Its size in GB. GitHub bills what is used of it, which only it knows: this is the most that it can be."""
    return machine.storage / 2**30


def machine_hour(machine: Machine) -> float:
    """USD for an hour that it runs, without its disk."""
    return compute(machine.cpus)


def usd_per_hour(space: Space, state: str) -> float | None:
    """What a codespace costs an hour in that state, with its whole disk; None where its machine is not known."""
    if space.machine is None:
        return None
    kept = storage(disk(space.machine)) / _MONTH_HOURS
    return kept + (machine_hour(space.machine) if state == "running" else 0.0)
