"""A client that dies at any moment, and its submission repeated: one job, which ran once."""

from __future__ import annotations

import random
import time

from tests.support.cli import Orch, Started

ROUNDS, AT_ONCE = 6, 5


def test_killed_at_random_moments(orch: Orch) -> None:
    dice = random.Random(20260216)
    begun = time.monotonic()
    assert orch("run", "measure", "true").status == 0
    usual = time.monotonic() - begun
    for turn in range(ROUNDS):
        names = [f"job{turn}-{place}" for place in range(AT_ONCE)]
        for name in names:
            _kill_after(dice.uniform(0, 1.3 * usual), _submit(orch, name))
        for name in names:
            _kill_after(dice.uniform(0, 1.3 * usual), _submit(orch, name))
        for name in names:
            with _submit(orch, name) as last:
                out, err = last.communicate(timeout=60)
            assert last.returncode == 0, err
            assert out.startswith(f"{name}.1 ".encode()), "it became another run"
        assert orch("wait", *names).status == 0
        for name in names:
            assert (orch.home / name).read_text() == "ran\n"
    jobs = orch("status", "--json").json["jobs"]
    assert len(jobs) == 1 + ROUNDS * AT_ONCE
    assert {job["run"] for job in jobs} == {1}


def _submit(orch: Orch, name: str) -> Started:
    return orch.popen("run", name, "--id", f"id-{name}", f"echo ran >> {name}")


def _kill_after(seconds: float, process: Started) -> None:
    time.sleep(seconds)
    with process:
        process.kill()
