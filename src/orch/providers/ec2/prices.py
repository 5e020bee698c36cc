"""What a machine costs, in USD: AWS's list prices, on demand, Linux, before taxes, credits and savings plans.

Invariants
- A price is AWS's own, of the last 30 days; where AWS cannot be asked, an older one of its or of the table here, with
  its date; and where nobody knows, None. None is guessed.
- The laptop's cache of them may be lost, wrong or forbidden without any harm.
- ``cost`` is arithmetic and asks nobody.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orch import files, paths
from orch.errors import OrchError

from .aws import Aws, explained

HOURS = 730  # of a month, as AWS counts
ADDRESS = 0.005
"""USD an hour for a public IPv4 address in use, in every region (aws.amazon.com/vpc/pricing, since 2024-02-01).

A stopped machine has none: it was lent."""

GP3, SNAPSHOT = "gp3", "snapshot"
"""What is paid for by its size, a snapshot at most as the whole disk: blocks that were never written are free."""

_FRESH = 30 * 86400.0  # seconds
_PAGES = 5
_TABLE_OF = "2026-11"
_TABLE: Mapping[tuple[str, str], float] = {
    ("us-east-1", "t3.2xlarge"): 0.3328,
    ("us-east-1", "m7g.2xlarge"): 0.3264,
    ("ap-northeast-1", "t3.2xlarge"): 0.4352,
    ("ap-northeast-1", "m7g.2xlarge"): 0.4216,
    ("ap-northeast-1", GP3): 0.096,
}
"""For when AWS cannot be asked: what the documentation names, from SkyPilot's catalog of AWS's list prices, noted down
in ``_TABLE_OF``."""

_SURCHARGE = {"t3": 0.05, "t3a": 0.05, "t4g": 0.04}
"""USD for each hour of one processor above its baseline, by family (aws.amazon.com/ec2/instance-types/t3)."""

_BASELINE = {
    "nano": (2, 0.05),
    "micro": (2, 0.1),
    "small": (2, 0.2),
    "medium": (2, 0.2),
    "large": (2, 0.3),
    "xlarge": (4, 0.4),
    "2xlarge": (8, 0.4),
}
"""Processors of a burstable machine, and the part of each that is in the price."""


class Rate(NamedTuple):
    """A price in USD. ``as_of`` is empty for one that is AWS's today."""

    usd: float
    as_of: str = ""


class Cost(NamedTuple):
    """What a machine with its disk costs in USD; None is not known. A month is 730 hours."""

    hour: float | None
    """While it runs: machine, address and disk."""

    hour_stopped: float | None
    month: float | None
    month_stopped: float | None
    as_of: str = ""
    """Where a price is not of today: of when."""

    note: str = ""


def cost(instance_type: str, disk: int, machine: Rate | None, gp3: Rate | None) -> Cost:
    """Of a machine with ``disk`` GiB of gp3, from the price of its hour and that of a GiB's month."""
    kept = None if gp3 is None else disk * gp3.usd
    hour = None if machine is None or kept is None else machine.usd + ADDRESS + kept / HOURS
    as_of = min((rate.as_of for rate in (machine, gp3) if rate and rate.as_of), default="")
    month = None if hour is None else hour * HOURS
    return Cost(hour, None if kept is None else kept / HOURS, month, kept, as_of, surcharge(instance_type))


def lines(cost: Cost) -> Iterator[str]:
    """What it costs, in words."""
    if cost.hour is None or cost.month is None:
        yield "nobody says what this instance type costs here: https://aws.amazon.com/ec2/pricing/on-demand"
    else:
        when = f" (prices of {cost.as_of})" if cost.as_of else ""
        yield f"{cost.hour:.3f} USD an hour while it runs, {cost.month:.2f} a month if it never stopped{when}"
    if cost.month_stopped is not None:
        yield f"{cost.month_stopped:.2f} USD a month for the disk, stopped or not"
    if cost.note:
        yield cost.note


def remembered(instance_type: str, region: str, disk: int) -> Cost:
    """What it costs by what this laptop knows already; asks nobody."""
    kept = _load()

    def rate(thing: str) -> Rate | None:
        usd, _ = kept.get(f"{region} {thing}", (_TABLE.get((region, thing)), 0.0))
        return None if usd is None else Rate(usd)

    return cost(instance_type, disk, rate(instance_type), rate(GP3))


def surcharge(instance_type: str) -> str:
    """What a burstable machine may cost besides, as its credits are unlimited; nothing for any other."""
    family, _, size = instance_type.partition(".")
    if family not in _SURCHARGE or size not in _BASELINE:
        return ""
    processors, baseline = _BASELINE[size]
    most = processors * (1 - baseline) * _SURCHARGE[family]
    return f"{family} has {baseline:.0%} of its processors in the price; up to {most:.2g} USD/h more while all are busy"


class Prices:
    """AWS's prices, each asked for once a month at most; not to be used by two threads at once."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._kept = _load()
        self._is_silent = False
        self.as_of = ""
        """The date of the oldest price that was given, where not all are of today."""

    def cost(self, instance_type: str, region: str, disk: int) -> Cost:
        """What a machine costs there."""
        return cost(instance_type, disk, self.rate(instance_type, region), self.rate(GP3, region))

    def rate(self, thing: str, region: str) -> Rate | None:
        """Of an instance type the price of an hour; of ``GP3`` and ``SNAPSHOT`` that of a GiB's month."""
        found = self._rate(thing, region)
        if found and found.as_of:
            self.as_of = min(self.as_of or found.as_of, found.as_of)
        return found

    def _rate(self, thing: str, region: str) -> Rate | None:
        usd, at = self._kept.get(f"{region} {thing}", (None, 0.0))
        if usd is not None and 0 <= time.time() - at < _FRESH:
            return Rate(usd)
        asked = self._ask(region, thing)
        if asked is not None:
            self._kept[f"{region} {thing}"] = (asked, time.time())
            _save(self._kept)
            return Rate(asked)
        if usd is not None:
            return Rate(usd, time.strftime("%Y-%m-%d", time.gmtime(at)))
        listed = _TABLE.get((region, thing))
        return None if listed is None else Rate(listed, _TABLE_OF)

    def _ask(self, region: str, thing: str) -> float | None:
        """What AWS says; once it does not answer, it is not asked again."""
        if self._is_silent:
            return None
        try:
            with explained():
                return one_price(self._products(region, _FILTERS.get(thing, {**_MACHINE, "instanceType": thing})))
        except OrchError:
            self._is_silent = True
            return None

    def _products(self, region: str, filters: Mapping[str, str]) -> list[Any]:
        fields = {**filters, "regionCode": region}
        asked: dict[str, Any] = {
            "ServiceCode": "AmazonEC2",
            "Filters": [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in fields.items()],
        }
        found: list[Any] = []
        for _ in range(_PAGES):
            page = self._aws.client("pricing", _endpoint(region)).get_products(**asked)
            found += page.get("PriceList", [])
            if not page.get("NextToken"):
                break
            asked["NextToken"] = page["NextToken"]
        return found


_MACHINE = {"operatingSystem": "Linux", "tenancy": "Shared", "capacitystatus": "Used", "preInstalledSw": "NA"}
_FILTERS = {
    GP3: {"productFamily": "Storage", "volumeApiName": "gp3"},
    SNAPSHOT: {"productFamily": "Storage Snapshot", "storageMedia": "Amazon S3"},
}


def _endpoint(region: str) -> str:
    """Where prices are to be had: in three regions, for all."""
    near = {"ap": "ap-south-1", **dict.fromkeys(("eu", "af", "me", "il"), "eu-central-1")}
    return near.get(region.partition("-")[0], "us-east-1")


def one_price(products: list[Any]) -> float | None:
    """The price on demand that all the products have; None where they have none or several."""
    found = set()
    for text in products:
        product = json.loads(text) if isinstance(text, str) else text
        if not _is_meant(product["product"].get("attributes", {}).get("usagetype", "")):
            continue
        for term in product.get("terms", {}).get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                found.add(float(dimension["pricePerUnit"].get("USD", 0)))
    found.discard(0.0)  # what is free or sold for another currency
    return found.pop() if len(found) == 1 else None


def _is_meant(usage: str) -> bool:
    """Of snapshots there are several kinds, of which ours is the plain one: ``APN1-EBS:SnapshotUsage``."""
    return ":Snapshot" not in usage or usage.endswith("EBS:SnapshotUsage")


_Kept = dict[str, tuple[float, float]]


def _load() -> _Kept:
    """What was said before, by region and thing: the price, and when it was asked for."""
    try:
        with open(paths.prices(), encoding="ascii") as file:
            said = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: (one[0], one[1]) for key, one in said.items() if _is_price(one)} if isinstance(said, dict) else {}


def _is_price(said: Any) -> bool:
    is_pair = isinstance(said, list) and len(said) == 2
    return is_pair and all(type(one) in (int, float) and math.isfinite(one) and one > 0 for one in said)


def _save(kept: _Kept) -> None:
    files.keep(paths.prices(), json.dumps(kept))
