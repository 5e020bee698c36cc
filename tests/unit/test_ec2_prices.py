from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from orch import paths
from orch.providers.ec2 import prices
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.prices import GP3, SNAPSHOT, Cost, Prices, Rate, cost, one_price, surcharge
from tests.support import mockaws

pytestmark = pytest.mark.usefixtures("home")
TOKYO = "ap-northeast-1"


def product(usd: str, usage: str = "APN1-BoxUsage:t3.2xlarge", currency: str = "USD") -> str:
    dimension = {"unit": "Hrs", "pricePerUnit": {currency: usd}}
    terms = {"OnDemand": {"SKU.JRT": {"priceDimensions": {"SKU.JRT.6YS": dimension}}}, "Reserved": {"x": "ignored"}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def asked(**fields: str) -> dict[str, Any]:
    return {
        "ServiceCode": "AmazonEC2",
        "Filters": [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in fields.items()],
    }


MACHINE = asked(
    operatingSystem="Linux",
    tenancy="Shared",
    capacitystatus="Used",
    preInstalledSw="NA",
    instanceType="t3.2xlarge",
    regionCode=TOKYO,
)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mockaws.nobody() as aws:
        yield aws


@pytest.fixture
def stub(aws: Aws) -> Iterator[Stubber]:
    with mockaws.stubbed(aws, "pricing", "ap-south-1") as stub:
        yield stub


def test_what_the_documents_machine_costs() -> None:
    """Its own sums: 0.4352 and 0.096 in Tokyo; 9.60 a month for the disk, stopped or not."""
    told = cost("t3.2xlarge", 100, Rate(0.4352), Rate(0.096))
    assert told.month_stopped == pytest.approx(9.60)
    assert told.hour == pytest.approx(0.4352 + 0.005 + 9.60 / 730)
    assert told.month == pytest.approx(730 * 0.4402 + 9.60)
    assert told.hour_stopped == pytest.approx(9.60 / 730)
    assert told.as_of == "" and "up to 0.24 USD/h more" in told.note


def test_what_is_not_known_is_not_guessed() -> None:
    assert cost("x9.huge", 10, None, Rate(0.1)) == Cost(None, 1.0 / 730, None, 1.0)
    assert cost("x9.huge", 10, Rate(1.0), None) == Cost(None, None, None, None)


def test_the_oldest_hand_is_told() -> None:
    assert cost("m7g.large", 10, Rate(1.0), Rate(0.1, "2026-02")).as_of == "2026-02"
    assert cost("m7g.large", 10, Rate(1.0, "2025-12"), Rate(0.1, "2026-02")).as_of == "2025-12"


@pytest.mark.parametrize(("kind", "most"), [("t3.nano", "0.095"), ("t4g.2xlarge", "0.19"), ("t3a.large", "0.07")])
def test_burstable_machines_may_cost_more(kind: str, most: str) -> None:
    assert f"up to {most} USD/h" in surcharge(kind)


def test_others_may_not() -> None:
    assert surcharge("m7g.2xlarge") == surcharge("t3.unheard-of") == ""


def test_aws_is_asked_once_a_month(aws: Aws, stub: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.add_response("get_products", {"PriceList": [product("0.0000000000")], "NextToken": "more"}, MACHINE)
    stub.add_response("get_products", {"PriceList": [product("0.5")]}, {**MACHINE, "NextToken": "more"})
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)
    stub.add_response("get_products", {"PriceList": [product("0.6")]}, MACHINE)
    now = time.time()
    monkeypatch.setattr(prices.time, "time", lambda: now + 31 * 86400)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.6)
    monkeypatch.undo()


def test_disks_and_what_is_kept_of_them(aws: Aws, stub: Stubber) -> None:
    gp3 = asked(productFamily="Storage", volumeApiName="gp3", regionCode=TOKYO)
    stub.add_response("get_products", {"PriceList": [product("0.096", "APN1-EBS:VolumeUsage.gp3")]}, gp3)
    snapshots = asked(productFamily="Storage Snapshot", storageMedia="Amazon S3", regionCode=TOKYO)
    plain, other = product("0.05", "APN1-EBS:SnapshotUsage"), product("0.0125", "APN1-EBS:SnapshotArchiveStorage")
    stub.add_response("get_products", {"PriceList": [other, plain]}, snapshots)
    assert Prices(aws).rate(GP3, TOKYO) == Rate(0.096)
    assert Prices(aws).rate(SNAPSHOT, TOKYO) == Rate(0.05)


def test_where_aws_may_not_be_asked_a_table_is_read_and_dated(aws: Aws, stub: Stubber) -> None:
    stub.add_client_error("get_products", "AccessDeniedException", "no")  # and it is not asked again
    known = Prices(aws)
    told = known.cost("t3.2xlarge", TOKYO, 100)
    assert told.month_stopped == pytest.approx(9.60) and told.as_of == prices._TABLE_OF
    assert known.rate("x9.huge", TOKYO) is None
    assert known.cost("t3.2xlarge", "eu-west-9", 100)[:4] == (None, None, None, None)
    assert not Path(paths.prices()).exists()


def test_an_old_price_of_aws_is_better_than_the_table(aws: Aws, stub: Stubber) -> None:
    Path(paths.prices()).parent.mkdir(parents=True)
    at = 1_700_000_000.0
    Path(paths.prices()).write_text(json.dumps({f"{TOKYO} t3.2xlarge": [0.7, at]}))
    stub.add_client_error("get_products", "AccessDeniedException", "no")
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.7, "2023-11-14")


def test_a_time_to_come_is_not_believed(aws: Aws, stub: Stubber) -> None:
    Path(paths.prices()).parent.mkdir(parents=True)
    Path(paths.prices()).write_text(json.dumps({f"{TOKYO} t3.2xlarge": [0.7, time.time() + 9e6]}))
    stub.add_response("get_products", {"PriceList": [product("0.5")]}, MACHINE)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)


@pytest.mark.parametrize(
    "kept", ["", "[]", "{", '{"a": 1}', '{"ap-northeast-1 t3.2xlarge": [-1, "x"]}', "\xff", "9" * 9999]
)
def test_a_garbled_cache_does_no_harm(aws: Aws, stub: Stubber, kept: str) -> None:
    Path(paths.prices()).parent.mkdir(parents=True)
    Path(paths.prices()).write_text(kept, encoding="latin-1")
    stub.add_response("get_products", {"PriceList": [product("0.5")]}, MACHINE)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)


def test_nor_one_that_cannot_be_written(aws: Aws, stub: Stubber) -> None:
    Path(paths.prices()).parent.parent.mkdir(parents=True)
    Path(paths.prices()).parent.write_text("a file in the way")
    stub.add_response("get_products", {"PriceList": [product("0.5")]}, MACHINE)
    assert Prices(aws).rate("t3.2xlarge", TOKYO) == Rate(0.5)


def test_prices_that_disagree_are_none() -> None:
    assert one_price([product("0.5"), product("0.5")]) == 0.5
    assert one_price([product("0.5"), product("0.6")]) is None
    assert one_price([product("3", currency="CNY")]) is one_price([]) is None
