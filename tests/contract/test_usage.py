"""What a job uses is told within a tenth, also where its processes share pages and come and go.

Once with a control group, where one can be had, and once without. The jobs are those of ``bench/jobs``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import memory
from tests.support.agent import Agent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is shared")


@pytest.fixture(params=["cgroup", "no cgroup"])
def host(home: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    one = Agent(home, env={"ORCH_NO_CGROUP": "1"} if request.param == "no cgroup" else {})
    yield one
    one.close()


def test_pages_shared_by_forks_count_once(host: Agent) -> None:
    said, true = memory.steady(host, "family", "200", "8", "10")
    assert said == pytest.approx(true, rel=0.1)


def test_a_storm_of_forks_does_not_blur_it(host: Agent) -> None:
    said, true = memory.steady(host, "storm", "200", "12")
    assert said == pytest.approx(true, rel=0.1)


def test_forks_leave_no_mark_on_the_peak(host: Agent) -> None:
    said, true = memory.crowd_peak(host)
    assert said == pytest.approx(true, rel=0.1)


def test_processor_time_of_every_descendant_counts(host: Agent) -> None:
    said, true = memory.processor(host)
    assert said == pytest.approx(true, rel=0.1)
