"""``orch status``: what runs where, and how."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orch.errors import REFUSED, OrchError
from orch.model import Host, HostStatus, is_meant
from orch.ops import hosts
from orch.ops.status import Board
from orch_agent.model import JobRef

from . import options
from .args import Arguments, Command, Option
from .output import document, note, say
from .status_table import as_json, notes, part, why

SOON = 1.0  # seconds in which most hosts answer

COMMAND = Command(
    name="status",
    words="[NAME...]",
    options=(
        Option("--all", "the whole history"),
        Option("--watch", "again and again, in place; Ctrl-C ends it"),
        options.JSON,
        options.HOST,
    ),
    text="""\
With --watch, what is pending or running comes first, then what has ended, the newest first; with --json too, one
document a line whenever something has changed.
MEMORY is what a job uses now, of one that has ended the most that it used, and of one that waits what it will reserve:
asked for, or learned from the runs before it. REASON says why it waits. Tasks of an array that all wait, or have ended
alike, are one row.
A host that does not answer is shown as it last was, with the age of that.""",
)


def main(args: Arguments) -> int:
    """Show it once, or keep showing."""
    board = Board(hosts.load().some(args["host"]), args.words, args["all"])
    if args["watch"]:
        from .watch import watch

        return watch(lambda: _asked_again(board), args["json"])
    board.ask()
    return _document(board, args.words) if args["json"] else _table(board, args.words)


def _asked_again(board: Board) -> list[HostStatus]:
    board.ask()
    board.hear(SOON)
    return board.told()


def _document(board: Board, names: Sequence[str]) -> int:
    board.hear()
    told = board.told()
    refusal = _refusal(told, names)
    if refusal and not any(host.jobs for host in told):
        raise refusal
    document(as_json(told))
    return REFUSED if refusal else 0


def _table(board: Board, names: Sequence[str]) -> int:
    """Who answers soon is not held up by who does not: they come below."""
    answered = board.hear(SOON if len(board) > 1 else None)
    early = _say_rows(board.told(), answered, header=True)
    late = board.hear()
    told = board.told()
    _say_rows(told, late, header=not early)
    refusal = _refusal(told, names)
    if not _all_silent(told):
        for text in notes(told, by_name=bool(names)):
            note(text)
    if refusal:
        raise refusal
    return 0


def _say_rows(told: Sequence[HostStatus], places: Sequence[int], header: bool) -> bool:
    """Print the rows of some hosts; whether there were any."""
    lines = part(told, places, header)
    for line in lines:
        say(line)
    sys.stdout.flush()
    return bool(lines)


def _all_silent(told: Sequence[HostStatus]) -> bool:
    """Whether nobody can tell anything; a host that does not run is not silent, it rests."""
    return all(host.error and not host.off for host in told)


def _refusal(told: Sequence[HostStatus], names: Sequence[str]) -> OrchError | None:
    """An error where nobody answered, or where a job was asked for that nobody has."""
    if _all_silent(told):
        hints = "\n".join(dict.fromkeys(host.hint for host in told if host.hint))
        hint = hints or ("the jobs run on; ask again: orch status" if any(host.jobs for host in told) else "")
        kind = "not_authorised" if {host.kind for host in told} == {"not_authorised"} else "host"
        return OrchError(kind, "; ".join(map(why, told)), hint)
    jobs = [job for host in told for job in host.jobs]
    missing = [name for name in names if not any(is_meant(job, JobRef.parse(name)) for job in jobs)]
    if missing and not any(host.error and not host.off for host in told):
        return hosts.no_job(missing, _place([host.host for host in told]))
    return None


def _place(asked: Sequence[Host]) -> str:
    if len(asked) > 1:
        return "any host"
    return "this host" if asked[0].provider == "local" else asked[0].name
