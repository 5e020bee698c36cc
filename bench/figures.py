"""What a measurement says, and how it is printed.

A verdict is a ratio, a share or processor time, never a time on the clock: machines differ and are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table. ``met`` is None where nothing was promised."""

    what: str
    ours: str
    beside: str = ""
    ratio: str = ""
    wanted: str = ""
    met: bool | None = None


HEAD = ("WHAT", "ORCH", "BESIDE IT", "RATIO", "WANTED", "MET")


def cells(figure: Figure) -> tuple[str, ...]:
    """The line as texts."""
    return (*figure[:5], {None: "", True: "yes", False: "NO"}[figure.met])


def table(figures: Sequence[Figure]) -> str:
    """For a terminal."""
    rows = [HEAD, *map(cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(figures: Sequence[Figure]) -> str:
    """For a page."""
    rows = [[name.lower() for name in HEAD], ["---"] * len(HEAD), *(list(cells(figure)) for figure in figures)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def ms(seconds: float) -> str:
    """``12.3 ms``"""
    return f"{seconds * 1000:.1f} ms"


def mb(amount: float) -> str:
    """``12.3 MB``, of 2^20 bytes."""
    return f"{amount / (1 << 20):.1f} MB"
