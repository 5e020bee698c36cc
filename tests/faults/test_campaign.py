"""A short campaign against this machine, and one against a machine behind ssh. ORCH_TEST_SEED chooses another."""

from __future__ import annotations

import os
import sys

import pytest

from bench.campaign import rounds

SEED = int(os.environ.get("ORCH_TEST_SEED", "20260216"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("host", "jobs", "faults"), [("local", 70, 30), ("ssh", 50, 20)])
def test_a_short_campaign(host: str, jobs: int, faults: int) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("file systems are mounted, machines are made of namespaces")
    result = rounds.play(host, SEED, jobs, faults)
    assert not result["accusations"], rounds.line(result)
    assert sum(result["faults"].values()) > faults / 2
    assert result["states"]["COMPLETED"] > jobs / 3
