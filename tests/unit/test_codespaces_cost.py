from __future__ import annotations

import calendar
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orch import paths
from orch.errors import OrchError
from orch.model import Host
from orch.ops import cache, codespaces, cost
from orch.providers.codespaces import usage
from tests.unit.fakegh import FakeGh

NOW = calendar.timegm((2026, 11, 16, 0, 0, 0))
START = calendar.timegm((2026, 11, 1, 0, 0, 0))
HOUR = 3600.0
HUGE = json.dumps(
    {
        "spans": [[0, 10**400]],
        "as_of": 10**400,
        "cores": 4,
        "month": "2026-11",
        "at": 10**400,
        "bill": ["", None, None, []],
    }
)
BILL = "/users/octo/settings/billing/usage"


def listed(name: str, state: str, cores: int = 4, payer: str = "octo") -> dict[str, Any]:
    machine = {"name": "m", "cpus": cores, "memory_in_bytes": cores << 32, "storage_in_bytes": 32 << 30}
    return {
        "name": name,
        "state": state,
        "machine": machine,
        "billable_owner": {"login": payer},
        "repository": {"full_name": "octo/web"},
        "created_at": "2026-11-13T00:00:00Z",
    }


class Agents:
    """What the agents say that are asked, and who was."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}
        self.asked: list[str] = []

    def connect(self, host: Host) -> Any:
        class Remote:
            @staticmethod
            def call(verb: str, request: Any, patience: float) -> Any:
                assert (verb, request) == ("awake", {})
                self.asked.append(host.name)
                if isinstance(self.says[host.name], Exception):
                    raise self.says[host.name]
                return {"spans": self.says[host.name]}

        return Remote


@pytest.fixture
def agents(gh: FakeGh, monkeypatch: pytest.MonkeyPatch) -> Agents:
    one = Agents()
    monkeypatch.setattr(cost, "connect", one.connect)
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    return one


def github(gh: FakeGh, *spaces: dict[str, Any], **more: Any) -> None:
    gh.tells({"/user": {"login": "octo"}, "/user/codespaces": {"codespaces": list(spaces)}, **more})


def use(*names: str) -> None:
    """Jobs of these have been seen from here."""
    for name in names:
        cache.keep(Host(name, "codespaces"), {"jobs": [], "host": {}}, float(NOW))


def test_what_was_used_and_what_is_left(gh: FakeGh, agents: Agents) -> None:
    """10 h with 4 cores and 2 h with 16; 32 GB twice, for 3 days of 30."""
    github(gh, listed("one", "Available"), listed("two", "Available", 16))
    agents.says = {"one": [[START, START + 10 * HOUR]], "two": [[NOW - 2 * HOUR, NOW + 60]]}
    use("one", "two")
    costs = cost.gather()
    assert [line.used[:3] for line in costs.lines] == [(10.0, 40.0, 32.0), (2.0, 32.0, 32.0)]
    assert costs.total == (72.0, pytest.approx(6.4), None) and not costs.by_github
    assert costs.left == (48.0, pytest.approx(8.6)) and (costs.plan, costs.is_plan_known) == ("free", False)
    assert costs.whole[:2] == (144.0, pytest.approx(6.4 + 32.0))


def test_nobody_is_woken_and_nobody_gets_an_agent(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("off", "Shutdown"), listed("mine", "Available"), listed("never-used", "Available"))
    agents.says = {"mine": []}
    use("off", "mine")
    assert [line.as_of for line in cost.gather().lines] == [None, float(NOW), None]
    assert agents.asked == ["mine"]


def test_what_one_said_is_remembered(gh: FakeGh, agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    github(gh, listed("one", "Available"))
    agents.says = {"one": [[START, START + HOUR]]}
    use("one")
    cost.gather()
    cost.gather()
    assert agents.asked == ["one"], "once a minute"
    monkeypatch.setattr(time, "time", lambda: NOW + 61.0)
    agents.says = {"one": OrchError("host", "silent")}
    [line] = cost.gather().lines
    assert agents.asked == ["one", "one"] and (line.used.hours, line.as_of) == (1.0, float(NOW))
    github(gh, listed("one", "Shutdown"))
    [line] = cost.gather().lines
    assert agents.asked == ["one", "one"] and (line.used.hours, line.as_of) == (1.0, float(NOW))
    github(gh)
    [line] = cost.gather().lines
    assert (line.name, line.space, line.used) == ("one", None, (1.0, 4.0, None, None)), "it is gone, its hours are not"
    assert cost.gather(1).lines == []


@pytest.mark.parametrize("spans", [None, [[1]], [["a", 2]], [[0, float("inf")]], [[0, 10**400]], {"a": 1}])
def test_an_agent_that_talks_nonsense_is_not_believed(gh: FakeGh, agents: Agents, spans: Any) -> None:
    github(gh, listed("one", "Available"))
    agents.says = {"one": spans}
    use("one")
    [line] = cost.gather().lines
    assert line.used.hours is None and not Path(paths.awake("one")).exists()


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"spans": 3, "as_of": 1, "cores": 4}', "\xff", "9" * 9999, HUGE])
def test_a_garbled_cache_does_no_harm(gh: FakeGh, agents: Agents, kept: str) -> None:
    github(gh, listed("one", "Shutdown"))
    Path(paths.awake("one")).parent.mkdir(parents=True)
    Path(paths.awake("one")).write_text(kept, encoding="latin-1")
    Path(paths.awake("gone")).write_text(kept, encoding="latin-1")
    Path(paths.bill()).write_text(kept, encoding="latin-1")
    [line] = cost.gather().lines
    assert line.as_of is None


def test_nor_one_that_cannot_be_written(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("one", "Available"))
    agents.says = {"one": [[START, START + HOUR]]}
    use("one")
    Path(paths.awake_all()).write_text("a file in the way")
    assert cost.gather().total.core_hours == 4.0


def test_github_s_bill_goes_first(gh: FakeGh, agents: Agents) -> None:
    compute = {"product": "codespaces", "sku": "Codespaces compute 4-core", "grossAmount": 9.0, "netAmount": 0.0}
    storage = {"product": "codespaces", "sku": "Codespaces storage", "grossAmount": 1.12, "netAmount": 0.07}
    github(gh, listed("one", "Shutdown"), **{BILL: {"usageItems": [compute, storage]}})
    said = json.loads(gh.answers.read_text()) | {"/user": {"login": "octo", "plan": {"name": "pro"}}}
    gh.tells(said)
    costs = cost.gather()
    assert costs.by_github and not costs.notes
    assert costs.total == (pytest.approx(100.0), pytest.approx(16.0), pytest.approx(0.07))
    assert costs.left == (pytest.approx(80.0), pytest.approx(4.0)) and costs.plan == "pro" and costs.is_plan_known


def test_a_bill_that_comes_late_is_no_base_for_a_guess(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("one", "Available"), **{BILL: {"usageItems": []}})
    agents.says = {"one": [[START, START + 10 * HOUR]]}
    use("one")
    costs = cost.gather()
    assert costs.by_github and costs.total.core_hours == 0.0
    assert costs.whole.core_hours == pytest.approx(80.0), "half the month is over"


def test_a_month_that_is_over_knows_nothing_that_came_later(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("one", "Shutdown"), **{BILL: {"usageItems": []}})
    assert [line.name for line in cost.gather().lines] == ["one"] and not cost.gather(1).lines


def test_what_an_organization_pays_is_not_of_the_quota(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("one", "Available"), listed("two", "Available", payer="acme"))
    agents.says = {"one": [[START, START + HOUR]], "two": [[START, START + 9 * HOUR]]}
    use("one", "two")
    costs = cost.gather()
    assert [line.used.hours for line in costs.lines] == [1.0, 9.0] and costs.total.core_hours == 4.0


def bills_asked(gh: FakeGh) -> int:
    return gh.log.read_text().count("settings/billing/usage")


def test_for_a_glance_the_bill_of_an_hour_ago_will_do(
    gh: FakeGh, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = {"product": "codespaces", "sku": "Codespaces compute 4-core", "grossAmount": 9.0, "netAmount": 0.0}
    github(gh, listed("one", "Available"), listed("two", "Available"), **{BILL: {"usageItems": [compute]}})
    everything = codespaces.refresh(0.0)
    agents.says = {"one": [[START, START + HOUR]]}
    use("one", "two")
    first = cost.glance(everything, {"one"})
    assert agents.asked == ["one"] and bills_asked(gh) == 1 and first.used("one").hours == 1.0
    assert first.used("two").hours is first.used("three").hours is None
    assert cost.glance(everything, set())._replace(notes=[]) == first._replace(notes=[])
    assert agents.asked == ["one"] and bills_asked(gh) == 1
    Path(paths.bill()).write_text("{")
    assert cost.glance(everything, set()).total == first.total and bills_asked(gh) == 2
    monkeypatch.setattr(time, "time", lambda: NOW + 3601.0)
    assert cost.glance(everything, set()).by_github and bills_asked(gh) == 3


def test_what_github_refused_is_not_asked_for_at_each_glance(gh: FakeGh, agents: Agents) -> None:
    github(gh, listed("one", "Shutdown"))
    everything = codespaces.refresh(0.0)
    assert len(cost.glance(everything, set()).notes) == 1
    assert not cost.glance(everything, set()).notes and bills_asked(gh) == 1
    assert len(cost.gather().notes) == 1 and bills_asked(gh) == 2


def cs_cost(*words: str) -> tuple[int, str, str]:
    cs = [sys.executable, "-c", "from orch.cli.main import cs; cs()", "cost", *words]
    done = subprocess.run(cs, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_is_said(gh: FakeGh) -> None:
    github(gh, listed("one", "Shutdown"))
    status, said, noted = cs_cost("--month")
    assert status == 0
    rows = [line.split() for line in said.splitlines()]
    assert rows[0] == ["NAME", "STATE", "MACHINE", "AWAKE", "CORE-HOURS", "COMPUTE", "DISK", "STORAGE", "TOLD"]
    assert rows[1][:7] == ["web", "Shutdown", "4-core/16GB", "-", "-", "-", "32GB"] and rows[1][-1] == "never"
    assert "by our own count: 0.0 core-hours" in said and "120.0 of 120 core-hours" in said
    assert "does not tell yours" in said and "the whole month" in said and "docs.github.com" in said
    assert noted.count("gh auth refresh -h github.com -s user") == 1


def test_a_bill_that_comes_late(gh: FakeGh) -> None:
    """Even in the first second of a month so many cores would have used something."""
    github(gh, **{BILL: {"usageItems": []}})
    now = time.time()
    span = [now - HOUR, now]
    Path(paths.awake_all()).mkdir(parents=True)
    Path(paths.awake("gone")).write_text(json.dumps({"spans": [span], "as_of": now, "cores": 10**6}))
    said = cs_cost()[1]
    used = usage.awake([span], usage.month(now)) / HOUR * 10**6
    assert f"our own count is {used:.1f} core-hours already" in said and "120.0 of 120" in said


def test_nothing_at_all(gh: FakeGh) -> None:
    github(gh, **{BILL: {"usageItems": []}})
    status, said, noted = cs_cost()
    assert status == 0 and noted == ""
    assert (
        said.startswith("there are no codespaces\n") and "by GitHub's bill" in said and "to be paid: 0.00 USD" in said
    )


def test_for_programs(gh: FakeGh) -> None:
    github(gh, listed("one", "Shutdown"))
    status, said, noted = cs_cost("--json")
    found = json.loads(said)
    assert status == 0 and noted == ""
    assert found["counted_by"] == "orch" and found["billed_usd"] is None
    assert found["free"] | {"plan": "free", "core_hours": 120, "core_hours_left": 120} == found["free"]
    assert found["codespaces"][0]["hours_awake"] is None and found["codespaces"][0]["disk_gb"] == 32
    assert found["notes"][0]["hint"] == "gh auth refresh -h github.com -s user"
    past = cs_cost("--last")[1]
    assert "left of" not in past and "free then (as on plan free" in past
    last = json.loads(cs_cost("--json", "--last")[1])
    assert last["month"] < found["month"] and last["until"] <= found["until"]
