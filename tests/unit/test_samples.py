"""The curve of a job: bounded, true at any moment, with its peak."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_agent import samples
from orch_agent.model import Usage
from orch_agent.samples import Curve, Sample

G = 1 << 30


def drawn(path: Path, seconds: float, memory: dict[float, int], pause: float = 1.0) -> list[Sample]:
    """The curve of a job of so many ``seconds``, sampled each ``pause``; a G but for what ``memory`` says."""
    curve = Curve(str(path))
    for step in range(int(seconds / pause)):
        curve.add(step * pause, Usage(memory.get(step * pause, G), G, step / 2), 8 * G)
    return samples.read(str(path))


def test_three_hours_take_less_than_200_kb(tmp_path: Path) -> None:
    found = drawn(tmp_path / "curve", 3 * 3600, {5000.0: 9 * G})
    assert (tmp_path / "curve").stat().st_size < 200_000
    assert found[0].seconds < 3 and found[-1].seconds > 3 * 3600 - 6
    assert max(after.seconds - before.seconds for before, after in itertools.pairwise(found)) < 12
    assert samples.peak(found) == Sample(5000.0, 9 * G, 2500.0, 8 * G), "a peak of one second outlives the halving"


def test_a_month_takes_no_more(tmp_path: Path) -> None:
    found = drawn(tmp_path / "curve", 30 * 86400, {77_700.0: 2 * G}, pause=60.0)
    assert (tmp_path / "curve").stat().st_size < 200_000
    assert len(found) > samples.MOST // 4
    assert samples.peak(found) == Sample(77_700.0, 2 * G, 77_700 / 120, 8 * G)


def test_what_is_sampled_between_two_entries_counts(tmp_path: Path) -> None:
    curve = Curve(str(tmp_path / "curve"))
    for step, memory in enumerate((1, 5, 2, 1)):
        curve.add(step / 10, Usage(memory, memory, 0.0), 0)
    assert samples.read(str(tmp_path / "curve")) == [Sample(pytest.approx(0.1), 5, 0.0, 0)]


def test_a_moment_leaves_no_file(tmp_path: Path) -> None:
    Curve(str(tmp_path / "curve")).add(0.1, Usage(1, 1, 0.0), 0)
    assert list(tmp_path.iterdir()) == []
    assert samples.read(str(tmp_path / "curve")) == []


def test_whoever_adopts_a_job_goes_on(tmp_path: Path) -> None:
    drawn(tmp_path / "curve", 100, {})
    curve = Curve(str(tmp_path / "curve"))
    curve.add(200.0, Usage(3 * G, 3 * G, 0.0), 0)
    found = samples.read(str(tmp_path / "curve"))
    assert (len(found), found[-1].seconds, samples.peak(found)) == (100, 200.0, found[-1])


def test_a_cut_write_is_no_entry(tmp_path: Path) -> None:
    found = drawn(tmp_path / "curve", 10, {})
    with (tmp_path / "curve").open("ab") as file:
        file.write(b"half an entry")
    assert samples.read(str(tmp_path / "curve")) == found


def test_a_curve_that_is_being_halved_is_still_true(tmp_path: Path) -> None:
    """What was kept stands before what it was chosen from, until the file is cut."""
    curve, full, halved, at = Curve(str(tmp_path / "curve")), b"", b"", 1
    while len(halved) >= len(full):
        curve.add(float(at), Usage(at % 7, 7, 0.0), 0)
        full, halved, at = halved, (tmp_path / "curve").read_bytes(), at + 1
    (tmp_path / "curve").write_bytes(halved + full[len(halved) :])
    times = [one.seconds for one in samples.read(str(tmp_path / "curve"))]
    assert times == sorted(set(times))


def test_a_full_disk_costs_entries_only(tmp_path: Path) -> None:
    curve = Curve(str(tmp_path / "gone" / "curve"))
    curve.add(1.0, Usage(1, 1, 0.0), 0)
    (tmp_path / "gone").mkdir()
    curve.add(2.0, Usage(2, 2, 0.0), 0)
    assert [one.seconds for one in samples.read(str(tmp_path / "gone" / "curve"))] == [2.0]


entries = st.lists(st.integers(0, 1 << 50), max_size=300).map(
    lambda sizes: [Sample(float(at), size, 0.0, 0) for at, size in enumerate(sizes)]
)


@settings(max_examples=200)
@given(curve=entries, most=st.integers(2, 60))
def test_a_thin_curve_keeps_peak_and_end(curve: list[Sample], most: int) -> None:
    thin = samples.thin(curve, most)
    assert len(thin) == min(len(curve), most)
    assert thin == sorted(thin) and set(thin) <= set(curve)
    if curve:
        assert thin[-1] == curve[-1]
        assert max(one.mem_bytes for one in thin) == max(one.mem_bytes for one in curve)


def rising(by: int, seconds: int = 100) -> list[Sample]:
    return [Sample(float(at), G + by * at, 0.0, 0) for at in range(seconds)]


def test_the_slope_is_that_of_the_end() -> None:
    steady = [Sample(float(at), G, 0.0, 0) for at in range(900)]
    ramp = [Sample(900.0 + at, G + 1000 * at, 0.0, 0) for at in range(100)]
    assert samples.slope(rising(500)) == pytest.approx(500)
    assert samples.slope(steady) == pytest.approx(0)
    assert samples.slope(steady + ramp) == pytest.approx(1000)
    assert samples.slope([]) is samples.slope(rising(1, 2)) is None


def test_what_falls_when_it_dies_is_no_slope() -> None:
    dying = [Sample(100.0, G // 2, 0.0, 0), Sample(100.1, 0, 0.0, 0)]
    assert samples.slope(rising(500) + dying) == pytest.approx(500)
