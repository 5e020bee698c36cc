"""Arithmetic, by cases that were worked out by hand."""

from __future__ import annotations

import calendar

import pytest

from orch.providers.codespaces import gh, prices, usage
from orch.providers.codespaces.prices import FREE, Quota
from orch.providers.codespaces.space import Machine, Space, read
from orch.providers.codespaces.usage import Month, Total, Used

HOUR, DAY = 3600.0, 86400.0
STANDARD = Machine("standardLinux32gb", 4, 16 << 30, 32 << 30, "")


def at(*date: int) -> float:
    return float(calendar.timegm((*date, 0, 0, 0)[:6]))


def november(day: int = 16) -> Month:
    """It has 30 days; on the 16th at 0:00 it is half over."""
    return usage.month(at(2026, 11, day))


def space(machine: Machine | None = STANDARD, created: float | None = 0.0) -> Space:
    return read({"name": "x"})._replace(machine=machine, created_at=created)


@pytest.mark.parametrize(("cores", "usd"), [(2, 0.18), (4, 0.36), (8, 0.72), (16, 1.44), (32, 2.88)])
def test_github_s_table(cores: int, usd: float) -> None:
    assert prices.machine_hour(STANDARD._replace(cpus=cores)) == pytest.approx(usd)


def test_the_document_s_sums() -> None:
    """60 h a month on 4, 8 and 16 cores; 64 GB of disk."""
    assert prices.compute(60 * 4) == pytest.approx(21.60)
    assert prices.compute(60 * 8) == pytest.approx(43.20)
    assert prices.compute(60 * 16) == pytest.approx(86.40)
    assert prices.storage(64) == pytest.approx(4.48)


def test_what_an_hour_costs() -> None:
    """Its disk: 32 GB × 0.07 USD / 730 h."""
    assert prices.usd_per_hour(space(), "running") == pytest.approx(0.36 + 0.003068, abs=1e-6)
    assert prices.usd_per_hour(space(), "stopped") == pytest.approx(0.003068, abs=1e-6)
    assert prices.usd_per_hour(space(None), "running") is None


def test_months_are_those_of_utc() -> None:
    assert usage.month(at(2026, 1, 1)) == (2026, 1, at(2026, 1, 1), at(2026, 2, 1), at(2026, 1, 1))
    assert usage.month(at(2026, 1, 31), 1) == (2025, 12, at(2025, 12, 1), at(2026, 1, 1), at(2026, 1, 1))
    assert usage.month(at(2028, 2, 15)).end == at(2028, 3, 1), "and 2028 has a 29th of February"
    assert november().label == "2026-11" and november().part == 0.5


def test_hours_awake() -> None:
    start = at(2026, 11, 1)
    spans = [(start - 5 * HOUR, start + HOUR), (start + 2 * HOUR, start + 4.5 * HOUR), (at(2026, 11, 20), 9e9)]
    assert usage.awake(spans, november()) == 3.5 * HOUR, "of the month, and until now"
    twice = [(start, start + 3 * HOUR), (start + HOUR, start + 2 * HOUR), (start + 2 * HOUR, start + 4 * HOUR)]
    assert usage.awake(twice, november()) == 4 * HOUR
    assert usage.awake([], november()) == usage.awake([(start + HOUR, start)], november()) == 0.0


def test_what_a_codespace_has_used() -> None:
    """10 h with 4 cores; 32 GB for 15 of 30 days, or for 3 of them."""
    start = at(2026, 11, 2)
    used = usage.used(space(), [(start, start + 10 * HOUR)], november())
    assert used == (10.0, 40.0, 32.0, 16.0)
    assert used.compute == pytest.approx(3.60) and used.storage == pytest.approx(1.12)
    late = usage.used(space(created=at(2026, 11, 13)), None, november())
    assert late == (None, None, 32.0, pytest.approx(3.2)) and late.compute is None
    assert usage.used(space(created=at(2026, 11, 13)), [], usage.month(at(2026, 11, 16), 1)).gb_months == 0.0
    assert usage.used(space(None), [], november()) == (0.0, None, None, None)


def test_what_is_left() -> None:
    used = [Used(10.0, 40.0, 32.0, 16.0), Used(None, None, 32.0, 3.2), Used(5.0, 10.0, None, None)]
    total = usage.total(used)
    assert total == (50.0, pytest.approx(19.2), None)
    assert usage.left(total, FREE["free"]) == Quota(70.0, 0.0)
    assert usage.left(total, FREE["pro"]) == Quota(130.0, pytest.approx(0.8))
    assert prices.beyond(50.0, 19.2, FREE["free"]) == pytest.approx(4.2 * 0.07)
    assert prices.beyond(220.0, 15.0, FREE["free"]) == pytest.approx(9.00)


def test_a_whole_month() -> None:
    """Half of it is over: twice the hours, and the disks for the other half."""
    used = [Used(10.0, 40.0, 32.0, 16.0), Used(0.0, 0.0, 32.0, 3.2)]
    assert usage.whole(usage.total(used), used, november()) == (80.0, pytest.approx(19.2 + 32.0), None)
    assert usage.whole(Total(0, 0), [], usage.month(at(2026, 11, 1)))[:2] == (0.0, 0.0), "it has just begun"


def item(sku: str, gross: float | None, net: float, **more: object) -> dict[str, object]:
    return {"product": "Codespaces", "sku": sku, "grossAmount": gross, "netAmount": net, **more}


def test_github_s_report() -> None:
    """31.89 USD are 44.29 h with 8 cores; 0.54 USD are 7.71 GB-months, which it calls GigabyteHours."""
    said = {
        "usageItems": [
            item("Codespaces compute 8-core", 31.89, 15.69, unitType="Hours", quantity=44.29),
            item("codespaces_storage", 0.54, 0.0, unitType="GigabyteHours", quantity=7.71),
            item("Codespaces prebuild storage", 0.07, 0.01),
            item("Codespaces compute 2-core", None, 0.0, quantity=10, pricePerUnit=0.18),
            {**item("Actions Linux", 9.0, 9.0), "product": "actions"},
        ]
    }
    total = usage.report(said)
    assert total.core_hours == pytest.approx(44.29 * 8 + 20, abs=0.1)
    assert total.gb_months == pytest.approx(8.71, abs=0.01)
    assert total.net == pytest.approx(15.70)
    assert usage.report({"usageItems": []}) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "said", [None, [], "x", {}, {"login": "me", "plan": "free"}, {"usageItems": 5}, {"usageItems": ["x"]}]
)
def test_an_answer_that_makes_no_sense(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gh, "api", lambda path: said)
    with pytest.raises(gh.Trouble, match="makes no sense"):
        usage.account()
    if said not in ({}, {"login": "me", "plan": "free"}):  # a report of nothing is one
        with pytest.raises(gh.Trouble, match="makes no sense"):
            usage.billed("me", november())
