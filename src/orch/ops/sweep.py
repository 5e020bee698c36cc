"""Everything that orch ever made in an AWS account, and its end: no configuration is needed, no host is contacted.

Invariants
- Only what was shown is deleted, and of that only stacks and what is known to belong to none.
- A region that cannot be asked is told, and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from orch.errors import ConfigError, OrchError
from orch.providers.ec2 import removal, sweep
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.prices import Prices
from orch.providers.ec2.sweep import EVERYWHERE, FIRST, STACK, Look, Thing

from .parallel import in_order

Tell = Callable[[str], None]


class Swept(NamedTuple):
    """What was found, by host and region; ``errors`` by the region that could not be asked, or not for everything."""

    aws: Aws
    account: str
    regions: list[str]
    things: list[Thing]
    errors: list[tuple[str, OrchError]]
    prices_of: str
    """The date of the oldest price, where not all are of today."""

    @property
    def doomed(self) -> list[Thing]:
        """What a deletion names: what a stack holds goes with it."""
        return [thing for thing in self.things if thing.kind == STACK or thing.is_orphan or thing.stays]


def find(region: str | None = None) -> Swept:
    """All that orch made, in every region that is enabled or in one."""
    aws = _aws(region)
    account = sweep.account(aws)
    asked = [region] if region else sweep.regions(aws)
    everywhere = sweep.look_everywhere(aws)
    looks = [
        _failed(where, look) if isinstance(look, Exception) else look
        for where, look in zip(asked, in_order([partial(sweep.look, aws, one) for one in asked]), strict=True)
    ]
    prices = Prices(aws)
    things = [sweep.priced(thing, prices) for thing in sweep.judged(everywhere, looks, region is None)]
    things.sort(
        key=lambda thing: (thing.host, thing.region == EVERYWHERE, thing.region, removal.order(thing), thing.id)
    )
    errors = [(look.region, error) for look in [*looks, everywhere] for error in look.errors]
    if region and looks[0].errors and not looks[0].things:
        raise looks[0].errors[0]
    return Swept(aws, account, asked, things, errors, prices.as_of)


def _aws(region: str | None) -> Aws:
    try:
        return Aws(region)
    except ConfigError:
        return Aws(FIRST)


def _failed(region: str, error: Exception) -> Look:
    if not isinstance(error, OrchError):
        raise error
    return Look(region, [], [error], {}, False)


def delete(swept: Swept, tell: Tell) -> list[tuple[Thing, OrchError]]:
    """Delete all that is doomed: stacks first, side by side, then one by one; what could not be, and why."""
    stacks = [thing for thing in swept.doomed if thing.kind == STACK]
    others = sorted((thing for thing in swept.doomed if thing.kind != STACK), key=removal.order)
    failed = _together(swept.aws, stacks, tell)
    for thing in others:
        failed += _together(swept.aws, [thing], tell)
    return failed


def _together(aws: Aws, things: Sequence[Thing], tell: Tell) -> list[tuple[Thing, OrchError]]:
    for thing in things:
        tell(f"deleting {thing.kind} {thing.id} ({thing.region})")
    failed = []
    for thing, outcome in zip(things, in_order([partial(removal.delete, aws, one) for one in things]), strict=True):
        if isinstance(outcome, OrchError):
            failed.append((thing, outcome))
        elif isinstance(outcome, Exception):
            raise outcome
    return failed
