from __future__ import annotations

import time

import pytest

from orch.cli.values import count, duration, moment, variable
from orch.errors import OrchError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("5m", 300), ("3h", 10800), ("1d", 86400), ("7", 7), ("0.5", 0.5), ("1.5h", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1w", "1 h", "nan", "inf", "1e3", "٣s", "1h30m", "9" * 20, "5m\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(OrchError, match="is no duration"):
        duration(text)


def test_moments() -> None:
    local = time.mktime((2026, 2, 16, 14, 30, 0, 0, 0, -1))
    assert moment("2026-02-16 14:30") == local
    assert moment("2026-02-16 14:30:00") == local
    assert moment("2026-02-16T14:30:00Z") == 1771252200
    assert moment("2026-02-16T16:30:00.500+02:00") == 1771252200.5
    assert moment("10m") == {"ago": 600}


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "14:30", "-5m"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(OrchError, match="is no time"):
        moment(text)


def test_counts_and_variables() -> None:
    assert count("20") == 20
    assert variable("A=b=c") == ("A", "b=c")
    assert variable("A=") == ("A", "")
    for wrong in ("-1", "x", "", "²"):
        with pytest.raises(OrchError):
            count(wrong)
    for wrong in ("A", "=b", ""):
        with pytest.raises(OrchError) as caught:
            variable(wrong)
        assert not wrong or repr(wrong) not in caught.value.message
