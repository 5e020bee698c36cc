"""``orch status``: what runs where, and how."""

from __future__ import annotations

from collections.abc import Sequence

from orch.errors import REFUSED, OrchError
from orch.model import HostStatus, is_meant
from orch.ops import hosts
from orch.ops.status import status
from orch_agent.model import JobRef

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
With --watch, what is pending or running comes first, then what has ended, the newest first; with --json too, one
document a line whenever something has changed.
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
    refusal = _refusal(told, args.words)
    if args["json"]:
        if refusal and not any(host.jobs for host in told):
            raise refusal
        document(as_json(told))
        return REFUSED if refusal else 0
    for line in lines(told):
        say(line)
    for text in notes(told, by_name=bool(args.words)):
        note(text)
    if refusal:
        raise refusal
    return 0


def _refusal(told: Sequence[HostStatus], names: Sequence[str]) -> OrchError | None:
    """An error where nobody answered, or where a job was asked for that nobody has."""
    if all(host.error for host in told):
        hints = "\n".join(dict.fromkeys(host.hint for host in told if host.hint))
        hint = hints or ("the jobs run on; ask again: orch status" if any(host.jobs for host in told) else "")
        return OrchError("host", "; ".join(f"{host.host.name}: {host.error}" for host in told), hint)
    jobs = [job for host in told for job in host.jobs]
    missing = [name for name in names if not any(is_meant(job, JobRef.parse(name)) for job in jobs)]
    if missing and not any(host.error for host in told):
        place = "this host" if len(told) == 1 else "any host"
        return OrchError("not_found", f"there is no job called {', '.join(missing)} on {place}", "orch status --all")
    return None
