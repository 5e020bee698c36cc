"""``orch sweep``: everything that orch ever made in an AWS account, what it costs, and its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from orch.errors import REFUSED, OrchError
from orch.ops import sweep
from orch.ops.sweep import Swept
from orch.providers.ec2.sweep import Thing
from orch_agent.model import rfc3339

from . import options
from .args import Arguments, Command, Option
from .output import RED, age, clean, document, is_terminal, note, say, table

COMMAND = Command(
    name="sweep",
    words="",
    options=(
        Option("--delete", "delete it all, once you have said yes"),
        Option("--yes", "say so now"),
        Option("--region", "only this region, in place of all that the account has enabled", "REGION"),
        options.JSON,
    ),
    most=0,
    text="""\
No configuration is needed: all that orch makes at AWS carries the tag orch:name, or a name of orch's. What belongs to
a stack goes with it; an orphan belongs to none. COST/MONTH is for as long as things are as they are now (730 hours, a
snapshot as if its disk were full); a dash costs nothing. AWS_PROFILE says whose account.

  orch sweep
  orch sweep --delete    # shows it, asks, then deletes machines, disks, snapshots and logs""",
)

_HEADER = ("HOST", "REGION", "KIND", "NAME", "STATE", "AGE", "COST/MONTH", "BELONGS TO")


def main(args: Arguments) -> int:
    """Find, show, and perhaps delete."""
    swept = sweep.find(args["region"])
    if args["json"]:
        return _json(swept, args)
    _show(swept)
    if not args["delete"] or not swept.doomed:
        return 0
    if not (args["yes"] or _sure(swept, args)):
        say("nothing was deleted")
        return REFUSED
    failed = sweep.delete(swept, note)
    for thing, error in failed:
        note(clean(f"orch: {thing.kind} {thing.id} ({thing.region}) is still there: {error.message}"))
    left = sweep.find(args["region"])
    say(f"deleted {len(swept.doomed) - len(failed)} of {len(swept.doomed)}; left: {len(left.things)}")
    return REFUSED if failed else 0


def _json(swept: Swept, args: Arguments) -> int:
    failed = None
    if args["delete"]:
        if not args["yes"]:
            raise _needs_yes(args)
        failed = sweep.delete(swept, note)
    document(
        {
            "account": swept.account,
            "regions": swept.regions,
            "things": [_thing(one) for one in swept.things],
            "cost_usd_per_month": _total(swept.things),
            "prices_of": swept.prices_of or None,
            "errors": [{"region": region, "error": error.message} for region, error in swept.errors],
            "failed": None if failed is None else [{"id": one.id, "error": error.message} for one, error in failed],
        }
    )
    return REFUSED if failed else 0


def _thing(thing: Thing) -> dict[str, Any]:
    return {
        **{key: getattr(thing, key) for key in ("kind", "id", "host", "region", "state")},
        "made_at": rfc3339(thing.made),
        "stack": thing.holder or None,
        "orphan": None if thing.holder is None else thing.is_orphan,
        "cost_usd_per_month": thing.month,
    }


def _show(swept: Swept) -> None:
    where = swept.regions[0] if len(swept.regions) == 1 else f"{len(swept.regions)} regions"
    if not swept.things:
        say(f"nothing that orch made is in account {swept.account}, {where}")
    else:
        colours = [["", "", "", "", "", "", "", RED if thing.is_orphan else ""] for thing in swept.things]
        for line in table([_HEADER, *map(_row, swept.things)], [[], *colours]):
            say(line)
        unknown = "" if all(thing.month is not None for thing in swept.things) else ", and what is unknown"
        when = f" (prices of {swept.prices_of})" if swept.prices_of else ""
        say(f"account {swept.account}, {where}: {_total(swept.things):.2f} USD a month{unknown}{when}")
    for region, error in swept.errors:
        note(clean(f"orch: {region} could not be asked for everything: {error.message}"))


def _total(things: Sequence[Thing]) -> float:
    return sum(thing.month or 0.0 for thing in things)


def _row(thing: Thing) -> list[str]:
    since = "-" if thing.made is None else age(time.time() - thing.made)
    month = "unknown" if thing.month is None else f"{thing.month:.2f}" if thing.month else "-"
    holder = "unknown" if thing.holder is None else thing.holder or "orphan"
    return [thing.host or "-", thing.region, thing.kind, thing.id, thing.state or "-", since, month, holder]


def _sure(swept: Swept, args: Arguments) -> bool:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise _needs_yes(args)
    kinds = [thing.kind for thing in swept.doomed]
    what = ", ".join(f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in dict.fromkeys(kinds))
    running = sum(thing.kind == "instance" and thing.state in ("running", "pending") for thing in swept.things)
    runs = f" {running} of the machines run{'s' * (running == 1)} now." if running else ""
    try:
        typed = input(f"Delete {what}, with all data on them?{runs} Type yes, or {swept.account}: ")
    except EOFError:
        return False
    return typed.strip().lower() in ("yes", swept.account)


def _needs_yes(args: Arguments) -> OrchError:
    where = f" --region {args['region']}" if args["region"] else ""
    return OrchError("refused", "deleting asks first, and there is nobody to ask", f"orch sweep{where} --delete --yes")
