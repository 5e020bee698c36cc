"""``cs cost``: what codespaces have used this month, and what is still free."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orch.ops import codespaces, cost
from orch.ops.cost import Costs, Line
from orch.providers.codespaces import prices
from orch.providers.codespaces.usage import Used
from orch_agent.model import rfc3339

from .. import options
from ..args import Arguments, Command, Option
from ..output import age, clean, document, note, say, table

COMMAND = Command(
    name="cost",
    words="",
    options=(
        Option("--month", "also what the whole month comes to if it goes on as it has begun"),
        Option("--last", "the month before"),
        options.JSON,
    ),
    most=0,
    text="""\
AWAKE is how long a codespace ran this month, as its own agent has counted, and TOLD when it last said so: one that is
stopped is not woken, and one that was never used from here is not asked. COMPUTE and STORAGE are USD by GitHub's list
prices, before what is free; STORAGE as if the disk were full. Months are UTC's, as on the bill.

What is left of the free quota is GitHub's own word, which may be some hours late, where the login here may ask (scope
`user`); else our count.""",
)

_HEADER = ("NAME", "STATE", "MACHINE", "AWAKE", "CORE-HOURS", "COMPUTE", "DISK", "STORAGE", "TOLD")


def main(args: Arguments) -> int:
    """Ask GitHub, and those that run; show."""
    costs = cost.gather(back=1 if args["last"] else 0)
    if args["json"]:
        document(_as_json(costs))
        return 0
    rows = [_row(line, costs) for line in costs.lines]
    for line in table([_HEADER, *rows], [[]] * (len(rows) + 1)) if rows else ("there are no codespaces",):
        say(line)
    for line in _summary(costs, args["month"] and not args["last"]):
        say(line)
    for text, hint in costs.notes:
        note(clean(f"orch: {text}") + f"\n  {clean(hint)}")
    return 0


def _row(line: Line, costs: Costs) -> list[str]:
    space, used = line.space, line.used
    told = "never" if line.as_of is None else f"{age(time.time() - line.as_of)} ago"
    return [
        codespaces.shown(space, filter(None, (one.space for one in costs.lines))) if space else line.name,
        space.state if space else "Deleted",
        space.machine.short if space and space.machine else "-",
        _number(used.hours, "{:.1f}h"),
        _number(used.core_hours, "{:.1f}"),
        _number(used.compute, "{:.2f}"),
        _number(used.gb, "{:.0f}GB"),
        _number(used.storage, "{:.2f}"),
        told,
    ]


def _number(value: float | None, shape: str) -> str:
    return "-" if value is None else shape.format(value)


def _summary(costs: Costs, shows_whole: bool) -> Iterator[str]:
    total, free = costs.total, costs.free
    whose = "by GitHub's bill" if costs.by_github else "by our own count"
    yield (
        f"{costs.month.label}, {whose}: {total.core_hours:.1f} core-hours ({prices.compute(total.core_hours):.2f} USD),"
        f" {total.gb_months:.1f} GB-months ({prices.storage(total.gb_months):.2f} USD), before what is free"
    )
    if costs.counted.core_hours >= total.core_hours + 0.05:
        yield f"our own count is {costs.counted.core_hours:.1f} core-hours already: GitHub's comes later"
    yield left(costs) if costs.month.until < costs.month.end else _was_free(costs)
    if total.net is not None:
        yield f"to be paid: {total.net:.2f} USD"
    else:
        usd = prices.beyond(total.core_hours, total.gb_months, free)
        yield f"to be paid: {usd:.2f} USD, if nothing else has used what is free"
    if shows_whole:
        usd = prices.beyond(costs.whole.core_hours, costs.whole.gb_months, free)
        yield (
            f"the whole month, if it goes on so: {costs.whole.core_hours:.1f} core-hours, "
            f"{costs.whole.gb_months:.1f} GB-months; to be paid {usd:.2f} USD"
        )
    yield f"prices of {prices.AS_OF}: {prices.SOURCE}"


def _was_free(costs: Costs) -> str:
    return f"free then ({_plan(costs)}): {costs.free.core_hours:.0f} core-hours, {costs.free.gb_months:.0f} GB-months"


def _plan(costs: Costs) -> str:
    return f"plan {costs.plan}" if costs.is_plan_known else "as on plan free; GitHub does not tell yours here"


def left(costs: Costs) -> str:
    """What is still free, in words."""
    whose = "" if costs.by_github else ", by our own count"
    return (
        f"left of what is free ({_plan(costs)}{whose}): "
        f"{costs.left.core_hours:.1f} of {costs.free.core_hours:.0f} core-hours, "
        f"{costs.left.gb_months:.1f} of {costs.free.gb_months:.0f} GB-months"
    )


def _as_json(costs: Costs) -> dict[str, Any]:
    return {
        "month": costs.month.label,
        "until": rfc3339(costs.month.until),
        "codespaces": [_line_as_json(line) for line in costs.lines],
        "core_hours": costs.total.core_hours,
        "gb_months": costs.total.gb_months,
        "compute_usd": prices.compute(costs.total.core_hours),
        "storage_usd": prices.storage(costs.total.gb_months),
        "billed_usd": costs.total.net,
        "counted_by": "github" if costs.by_github else "orch",
        "counted_here": {"core_hours": costs.counted.core_hours, "gb_months": costs.counted.gb_months},
        "whole_month": costs.whole._asdict() | {"usd": prices.beyond(*costs.whole[:2], costs.free)},
        "free": free_as_json(costs),
        "prices": {
            "core_hour_usd": prices.CORE_HOUR,
            "gb_month_usd": prices.GB_MONTH,
            "as_of": prices.AS_OF,
            "source": prices.SOURCE,
        },
        "notes": [{"message": text, "hint": hint} for text, hint in costs.notes],
    }


def free_as_json(costs: Costs) -> dict[str, Any]:
    """What is free each month, and what is left of it."""
    return {
        "plan": costs.plan,
        "is_plan_known": costs.is_plan_known,
        **costs.free._asdict(),
        **{f"{key}_left": value for key, value in costs.left._asdict().items()},
        "counted_by": "github" if costs.by_github else "orch",
    }


def used_as_json(used: Used) -> dict[str, Any]:
    """What a codespace has used this month."""
    return {
        "hours_awake": used.hours,
        "core_hours": used.core_hours,
        "compute_usd": used.compute,
        "disk_gb": used.gb,
        "gb_months": used.gb_months,
        "storage_usd": used.storage,
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    space = line.space
    return {
        "name": line.name,
        "repository": space.repository if space else None,
        "state": space.state if space else "Deleted",
        "machine": space.machine.name if space and space.machine else None,
        "payer": space.payer or None if space else None,
        **used_as_json(line.used),
        "as_of": rfc3339(line.as_of),
    }
