"""``orch status --watch``: redrawn in place on a terminal; elsewhere a block whenever something has changed.

Nothing flickers: a frame is one write that covers the last one line by line. The cursor comes back however we end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from orch.model import HostStatus, is_live

from . import output
from .output import is_terminal, note, say
from .status_table import as_json, lines, notes, rows, waiting

INTERVAL = 2.0  # seconds; a job's memory is at most that old
HOME, CLEAR, END_OF_LINE, BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
_PIECES = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)

Ask = Callable[[], list[HostStatus]]


class Sight(NamedTuple):
    """What is shown besides the jobs: lines above and below them, the whole for a program.

    ``gist``: what of the lines above counts as a change.
    """

    above: Sequence[str]
    below: Sequence[str]
    gist: str
    document: Mapping[str, Any]


def plain(told: Sequence[HostStatus]) -> Sight:
    """Of hosts as such."""
    return Sight([], list(notes(told)), "", as_json(told))


def watch(ask: Ask, json_lines: bool = False, sight: Callable[[Sequence[HostStatus]], Sight] = plain) -> int:
    """Show status until somebody has seen enough; never returns by itself."""
    if json_lines or not is_terminal(sys.stdout):
        return _blocks(ask, json_lines, sight)
    wake = threading.Event()
    with _screen(wake):
        sys.stdout.write(CLEAR)
        while True:
            told = ask()
            _draw(told, sight(told))
            while wake.wait(INTERVAL):  # the window has another size
                wake.clear()
                _draw(told, sight(told))


def _blocks(ask: Ask, json_lines: bool, sight: Callable[[Sequence[HostStatus]], Sight]) -> int:
    pause, last = threading.Event(), ""
    while True:
        told = ask()
        seen = sight(told)
        if (gist := f"{seen.gist}\n{_gist(told)}") != last:
            last = gist
            if json_lines:
                sys.stdout.write(json.dumps(seen.document) + "\n")
            else:
                say("\n".join([*seen.above, *lines(told, live_first=True), *seen.below, ""]))
            sys.stdout.flush()
        pause.wait(INTERVAL)


def _gist(told: Sequence[HostStatus]) -> str:
    """What counts as a change: what the table shows; not processor time, nor what other programs use."""
    return "\n".join([*lines(told), *waiting(told), *(host.error or "" for host in told)])


def _draw(told: Sequence[HostStatus], seen: Sight) -> None:
    width, height = os.get_terminal_size(sys.stdout.fileno())
    live = len(seen.above) + sum(is_live(row.job) for row in rows(told))
    below = [output.spoken(line) for line in seen.below]
    sys.stdout.write(frame([*seen.above, *lines(told, live_first=True)], width, height, live, below))
    sys.stdout.flush()


def frame(rows: Sequence[str], width: int, height: int, live: int = 0, below: Sequence[str] = ()) -> str:
    """Everything for one redraw, cut to the window: a header and ``live`` rows matter most, then what stands below."""
    room = max(1, height - 1)
    below = below[: max(0, room - min(len(rows), live + 2))]
    room -= len(below)
    if len(rows) > room:
        hidden, unseen = len(rows) - room + 1, max(0, live + 2 - room)
        more = f"... {hidden} more, {unseen} of them live" if unseen else f"... {hidden} ended earlier"
        rows = [*rows[: room - 1], more]
    return HOME + "".join(cut(row, width) + END_OF_LINE + "\n" for row in [*rows, *below]) + BELOW


def cut(text: str, width: int) -> str:
    """The first ``width`` characters; colours take no room and none is left on."""
    pieces, room = [], width
    for piece in _PIECES.findall(text):
        room -= len(piece) == 1
        if room >= 0 or len(piece) > 1:
            pieces.append(piece)
    return "".join(pieces)


@contextmanager
def _screen(wake: threading.Event) -> Iterator[None]:
    """A terminal without a cursor, for as long as this lasts."""
    signal.signal(signal.SIGWINCH, lambda *_: wake.set())
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, lambda number, _: sys.exit(128 + number))
    sys.stdout.write(HIDE)
    try:
        yield
    finally:
        try:
            sys.stdout.write(SHOW)
            sys.stdout.flush()
        except OSError:
            note("")
