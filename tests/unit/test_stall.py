"""Whether a job does anything, second by second."""

from __future__ import annotations

from collections.abc import Iterable

from orch_agent import stall, units
from orch_agent.stall import Stillness


def watched(seconds: Iterable[tuple[float, int, int]]) -> list[float]:
    """How long it has been still after each second of (processor time, output, bytes moved)."""
    still = Stillness(0.0)
    return [still.look(float(at), *used[:2], lambda used=used: used[2]) for at, used in enumerate(seconds)]


def test_nothing_at_all_is_still() -> None:
    assert watched([(0.0, 0, 0)] * 100)[-1] == 99


def test_each_kind_of_work_counts() -> None:
    for work in ([(at * 0.1, 0, 0) for at in range(9)], [(0, at, 0) for at in range(9)]):
        assert watched(work)[-1] == 0
    assert watched([(0, 0, at * 10_000) for at in range(99)])[-1] <= 1


def test_a_heartbeat_is_no_work() -> None:
    """A thread that wakes up to find nothing: half a thousandth of a processor, eight bytes into a pipe each minute."""
    assert watched([(at * 0.0005, 0, at // 60 * 8) for at in range(1800)])[-1] == 1799


def test_work_begins_the_time_anew() -> None:
    idle = [(0.0, 0, 0)] * 50
    assert watched([*idle, *[(0.0, 7, 0)] * 10])[-1] == 9
    assert watched([*idle, *[(3.0, 0, 0)] * 10])[-1] == 9
    assert watched([*idle, *[(0.0, 0, 1 << 20)] * 10])[-1] == 9


def test_what_has_moved_is_not_asked_while_it_works() -> None:
    def never() -> int:
        raise AssertionError("asked")

    still = Stillness(0.0)
    assert [still.look(float(at), at * 0.5, 0, never) for at in range(1, 5)] == [0, 0, 0, 0]


def test_words() -> None:
    assert stall.reason(1800) == "stalled: no output, CPU or I/O for 30m (--stall)"
    assert stall.report(2100) == "stalled: no output, CPU or I/O for 35m"
    assert [units.duration(seconds) for seconds in (0.5, 90, 5400, 7200, 86400, 90000)] == [
        *("0.5s", "90s", "90m", "2h", "1d", "25h")
    ]
    assert [units.span(seconds) for seconds in (0.2, 100, 150, 7199, 7200, 200_000)] == [
        *("0s", "100s", "2m", "119m", "2h", "2d")
    ]
    assert [units.room(size) for size in (1, 5 << 20, 1 << 30, (1 << 30) + 1, int(10.1 * (1 << 30)))] == [
        *("1M", "5M", "1G", "2G", "11G")
    ]
