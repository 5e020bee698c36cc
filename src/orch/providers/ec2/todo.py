"""What is handed from a plan to its carrying out, and what both creation and change say in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import prices
from .aws import Aws
from .machine import Machine
from .preflight import Kind, Site
from .shape import Shape

_UNITS = ((86400, "days"), (3600, "hours"), (60, "min"))


class Todo(NamedTuple):
    """The provider's part of a plan. ``site`` is for a new machine, the rest for one that exists."""

    shape: Shape
    site: Site | None = None
    machine: Machine | None = None
    kind: Kind | None = None
    former: Sequence[Machine] = ()
    """What the host was before a move, and still stands."""

    failed: bool = False
    """A stack that failed is in the way, and goes first."""

    stuck: bool = False
    """AWS has left the taking back of an earlier change half way."""

    disk: int | None = None
    """GiB that the disk grows to."""

    body: Mapping[str, Any] | None = None
    values: Mapping[str, str] | None = None
    """Template and parameters that the stack gets."""


def costs(aws: Aws, kind: Kind, shape: Shape) -> Iterator[tuple[str, str]]:
    """What it costs, in words."""
    for line in prices.lines(prices.Prices(aws).cost(kind.name, aws.region, shape.disk)):
        yield "costs", line


def stops(idle: int) -> str:
    """When it stops, in words."""
    if not idle:
        return "never by itself (idle_stop = never)"
    length = next(f"{idle / size:.4g} {unit}" for size, unit in _UNITS if idle >= 2 * size or unit == "min")
    return f"by itself, {length} after the last job or use"
