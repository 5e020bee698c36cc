"""When a job counts as still, second by second of a clock that a test turns."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orch_agent import layout, wire
from orch_agent.ledger import Record
from orch_agent.model import JobSpec, Usage
from orch_agent.procs import Process
from orch_agent.recorder import Recorder


class Clock:
    """Turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("ORCH_HOME", str(tmp_path))
    os.makedirs(layout.job_dir("id"))
    return Clock(monkeypatch)


ME = [Process(os.getpid(), 1, 1, "", 0.0, "")]


def begun(stall: float | None) -> Recorder:
    spec = wire.spec_to_json(JobSpec("job", "true", stall=stall))
    return Recorder(Record("id", "job", 1, spec, 1.0, 1, time.time(), 1, "", "", None, None, None))


def still(recorder: Recorder, clock: Clock, seconds: int, waiting: bool = False) -> Usage:
    """What is told after so many seconds without anything."""
    for _ in range(seconds):
        clock.now += 1
        told = recorder.note(Usage(1, 1, 0.0, waiting), [], 0)
    return told


def test_a_limit_ends_it(clock: Clock) -> None:
    recorder = begun(stall=10)
    assert still(recorder, clock, 9).stalled_since is None and recorder.why_end is None
    assert still(recorder, clock, 2).stalled_since == pytest.approx(time.time() - 10, abs=3)
    assert recorder.why_end == "stalled: no output, CPU or I/O for 10s (--stall)"


def test_without_a_limit_it_is_told_and_lives(clock: Clock) -> None:
    recorder = begun(stall=None)
    assert still(recorder, clock, 1795).stalled_since is None
    assert still(recorder, clock, 10).stalled_since is not None
    assert recorder.why_end is None


@pytest.mark.parametrize("why", ["frozen", "waiting"])
def test_who_waits_for_others_is_not_still(clock: Clock, why: str) -> None:
    recorder = begun(stall=10)
    if why == "frozen":
        Path(layout.frozen_file("id")).write_text("0")
    assert still(recorder, clock, 100, why == "waiting").stalled_since is None
    if why == "frozen":
        Path(layout.frozen_file("id")).unlink()
    assert still(recorder, clock, 8).stalled_since is None and recorder.why_end is None
    assert still(recorder, clock, 5).stalled_since is not None


def test_what_it_reads_counts(clock: Clock) -> None:
    recorder = begun(stall=10)
    for _ in range(30):
        clock.now += 1
        Path("/proc/self/status").read_bytes(), os.read(os.open("/dev/zero", os.O_RDONLY), 10_000)
        assert recorder.note(Usage(1, 1, 0.0, False), ME, 0).stalled_since is None
