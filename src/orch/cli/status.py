"""``orch status``: what runs where, and how."""

from __future__ import annotations

from collections.abc import Sequence

from orch.errors import OrchError
from orch.model import HostStatus
from orch.ops import hosts
from orch.ops.status import status

from . import options
from .args import Arguments, Command, Option
from .output import document, note, say
from .status_table import as_json, lines, notes

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
MEMORY is what a job uses now, and of one that has ended the most that it used.
A host that does not answer is shown as it last was, with the age of that.""",
)


def main(args: Arguments) -> int:
    """Show it once, or keep showing."""
    known = hosts.load()

    def ask() -> list[HostStatus]:
        return status(known, args.words, args["all"], args["host"])

    if args["watch"]:
        from .watch import watch

        return watch(ask, args["json"])
    return _once(ask(), args)


def _once(told: Sequence[HostStatus], args: Arguments) -> int:
    if args["json"]:
        document(as_json(told))
    else:
        for line in lines(told):
            say(line)
        for text in notes(told, by_name=bool(args.words)):
            note(text)
    _refuse(told, args)
    return 0


def _refuse(told: Sequence[HostStatus], args: Arguments) -> None:
    """An error where nobody answered, or where a job was asked for that nobody has."""
    if all(host.error for host in told):
        hints = "\n".join(dict.fromkeys(host.hint for host in told if host.hint))
        hint = hints or ("the jobs run on; ask again: orch status" if any(host.jobs for host in told) else "")
        raise OrchError("host", "; ".join(f"{host.host.name}: {host.error}" for host in told), hint)
    known = {name for host in told for job in host.jobs for name in (job["name"], f"{job['name']}.{job['run']}")}
    missing = [name for name in args.words if name not in known]
    if missing and not any(host.error for host in told):
        raise OrchError("not_found", f"no such job: {', '.join(map(ascii, missing))}", "orch status --all")
