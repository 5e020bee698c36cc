from __future__ import annotations

import time

import pytest

from orch.model import job_status, jobs_status, new_id
from orch_agent.model import is_name

from .fakes import job


@pytest.mark.parametrize(
    ("state", "more", "status"),
    [
        ("COMPLETED", {"exit_code": 0}, 0),
        ("FAILED", {"exit_code": 7}, 7),
        ("FAILED", {"exit_code": 255}, 255),
        ("FAILED", {"signal": 9}, 137),
        ("FAILED", {"signal": 15}, 143),
        ("FAILED", {}, 255),
        ("CANCELLED", {"signal": 9}, 143),
        ("CANCELLED", {}, 143),
        ("TIMEOUT", {"signal": 15}, 124),
        ("OUT_OF_MEMORY", {"signal": 9}, 137),
        ("NODE_FAIL", {}, 255),
        ("PREEMPTED", {}, 255),
        ("RUNNING", {}, 255),
        ("PENDING", {}, 255),
    ],
)
def test_the_status_a_shell_would_give(state: str, more: dict[str, int], status: int) -> None:
    assert job_status(job(state=state, **more)) == status


def test_of_several_the_first_that_is_not_0() -> None:
    fine, seven, nine = job(state="COMPLETED"), job(state="FAILED", exit_code=7), job(state="FAILED", exit_code=9)
    assert jobs_status([fine, fine]) == 0
    assert jobs_status([fine, nine, seven]) == 9
    assert jobs_status([]) == 0


def test_ids_sort_by_time_and_never_meet() -> None:
    first = new_id()
    time.sleep(0.002)
    many = [new_id() for _ in range(1000)]
    assert first < min(many)
    assert len(set(many)) == 1000
    assert all(map(is_name, many))
