from __future__ import annotations

import time

import pytest

from orch.cli.values import count, moment, variable
from orch.errors import OrchError
from orch.units import duration, processors, size, whole


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


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("6G", 6 << 30), ("6GB", 6 << 30), ("6GiB", 6 << 30), ("6g", 6 << 30), ("512M", 512 << 20), ("1k", 1024)],
        *[("1.5G", 3 << 29), ("1T", 1 << 40), ("7", 7), ("7B", 7), ("0", 0)],
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "G", "-1G", "6 G", "6Gb/s", "1e9", "6P", "٣G", "0x10", "nan", "1.G", "9" * 20])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OrchError, match="is no size") as caught:
        size(text)
    assert "6G" in caught.value.hint


def test_numbers() -> None:
    assert (whole("3"), whole("-20"), processors("4"), processors("0.5")) == (3, -20, 4.0, 0.5)
    for read, text in ((whole, "1.5"), (whole, ""), (whole, "x"), (processors, "-1"), (processors, "half")):
        with pytest.raises(OrchError, match="is no"):
            read(text)
