"""``orch hosts``: the machines that jobs can run on, and how each does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from orch.model import HostStatus
from orch.ops import hosts
from orch.ops.status import Board
from orch_agent.model import rfc3339

from . import options
from .args import Arguments, Command
from .output import GREEN, RED, age, document, note, say, table
from .status_table import silence

SOON = 1.0  # seconds in which most hosts answer

COMMAND = Command(
    name="hosts",
    words="[HOST]",
    options=(options.JSON,),
    most=1,
    text="""\
MACHINE is what jobs may have of it: processors and memory. IDLE is the time since the last job ended or the last
command that used it (looking at its status is no use); `-` while a job runs or waits. An asterisk marks the default
host. A host that does not answer is shown as it was when it last did.""",
)

_HEADER = ("NAME", "PROVIDER", "STATE", "MACHINE", "IDLE", "COST/H")
_WIDEST = ("", "", "unreachable", "128-core/1024GB", "", "")
"""Room that every column has, whatever is known when the first rows are shown."""


def main(args: Arguments) -> int:
    """Ask all, and show each; that one is unreachable is an answer too."""
    known = hosts.load()
    board = Board(known.some(args.words[0] if args.words else None))
    board.ask()
    default = known.config.default_host or ""
    if args["json"]:
        board.hear()
        document({"hosts": [_as_json(told, default) for told in board.told()]})
        return 0
    _show(board, default)
    for line in silence(board.told()):
        note(line)
    return 0


def _show(board: Board, default: str) -> None:
    """Who answers soon is not held up by who does not: they come below."""
    say(_lines(board.told(), default)[0])
    for patience in (SOON, None):
        places = board.hear(patience)
        _, *rows = _lines(board.told(), default)
        for place in sorted(places):
            say(rows[place])
        sys.stdout.flush()


def _lines(told: Sequence[HostStatus], default: str) -> list[str]:
    marked = default if len(told) > 1 else ""
    rows = [_row(one, marked) for one in told]
    colours = (["", "", RED if one.error else GREEN, "", "", ""] for one in told)
    header, _, *lines = table([_HEADER, _WIDEST, *rows], [[], [], *colours])
    return [header, *lines]


def _row(told: HostStatus, marked: str) -> list[str]:
    name = told.host.name + (" *" if told.host.name == marked else "")
    idle = told.facts.get("idle_seconds")
    since = age(idle) if isinstance(idle, (int, float)) and not told.error else "-"
    usd = hosts.usd_per_hour(told)
    return [name, told.host.provider, told.state, _machine(told), since, "-" if usd is None else f"{usd:.3f}"]


def _machine(told: HostStatus) -> str:
    """``4-core/16GB``: what the kernel has kept for itself is rounded away."""
    cpus, memory = told.facts.get("cpus"), told.facts.get("mem_total_bytes")
    if not isinstance(cpus, int) or not isinstance(memory, int):
        return "-"
    gigabytes = round(memory / 2**30)
    return f"{cpus}-core/{gigabytes}GB" if gigabytes else f"{cpus}-core/{round(memory / 2**20)}MB"


def _as_json(told: HostStatus, default: str) -> dict[str, Any]:
    measured = ("cpus", "mem_total_bytes", "mem_available_bytes", "idle_seconds")
    return {
        "name": told.host.name,
        "default": told.host.name == default,
        "provider": told.host.provider,
        "launcher": "tmux",
        "state": told.state,
        "address": told.host.options.get("address"),
        **{key: told.facts.get(key) for key in measured},
        "cost_usd_per_hour": hosts.usd_per_hour(told),
        "as_of": rfc3339(told.as_of),
        "error": told.error,
        "hint": told.hint or None,
    }
