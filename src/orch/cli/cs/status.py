"""``cs status``: the codespaces, and what runs in them; none of them is woken by that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch.errors import OrchError
from orch.model import HostStatus
from orch.ops import codespaces, cost, hosts, machines
from orch.ops.cost import Costs
from orch.ops.status import Board
from orch.providers.codespaces.space import Space
from orch.providers.codespaces.usage import UNKNOWN

from .. import options
from ..args import Arguments, Command, Option
from ..output import DIM, GREEN, age, clean, document, note, note_of_link, say, table
from ..progress import Progress
from ..status_table import as_json, lines, silence, waiting
from . import CODESPACE
from .cost import free_as_json, left, used_as_json

COMMAND = Command(
    name="status",
    words="[NAME...]",
    options=(
        Option("--all", "the whole history of jobs"),
        Option("--watch", "again and again, in place; Ctrl-C ends it"),
        options.JSON,
        CODESPACE,
    ),
    text="""\
First the codespaces: STATE is GitHub's word, IDLE the time since the last job or use, USED how long it was awake this
month, EXPIRES when GitHub deletes one that stays stopped, with its jobs and their logs. Then the jobs; with NAME only
those. A codespace that runs is asked once a minute at most, one that does not is not asked at all: its jobs are shown
as they were, with the age of that.""",
)

NONE = "no codespaces; cs create -R OWNER/REPO makes one, and cs run where it is needed"


class Seen(NamedTuple):
    """The codespaces that are meant, and what the host of each has said; ``costs`` where GitHub answers."""

    spaces: Sequence[Space]
    told: Sequence[HostStatus]
    costs: Costs | None

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        each = [_as_json(*both, self.costs) for both in zip(self.spaces, self.told, strict=True)]
        return {"codespaces": each, "free": self.costs and free_as_json(self.costs), **as_json(self.told)}

    @property
    def called(self) -> list[HostStatus]:
        """What was said, each host by the name that its codespace has in the table."""
        names = [codespaces.shown(space, self.spaces) for space in self.spaces]
        return [one._replace(host=one.host._replace(name=name)) for name, one in zip(names, self.told, strict=True)]


def main(args: Arguments) -> int:
    """Show both, once or until somebody has seen enough."""
    if args["watch"]:
        from .watching import Watched

        return Watched(args).watch()
    seen = look(args, codespaces.refresh(0.0))
    if args["json"]:
        document(seen.document)
    else:
        _show(seen, args.words)
    for one in overdue(seen):
        stop(one)
    return 0


def look(args: Arguments, everything: Sequence[Space]) -> Seen:
    """Ask those that run, where that is due."""
    found = [codespaces.called(args["codespace"])] if args["codespace"] else everything
    board = Board(list(map(hosts.connect, codespaces.hosts_of(found))), args.words, args["all"])
    board.ask()
    board.hear()
    told = board.told()
    return Seen(found, told, _costs(everything, found, told))


def overdue(seen: Seen) -> list[HostStatus]:
    """Those that may not stop themselves, and should have."""
    return [one for one in seen.told if hosts.is_overdue(one)]


def stop(told: HostStatus) -> None:
    """Stop it from here, unless somebody is there."""
    name = told.host.name
    note_of_link(f"{name} has been idle for too long, and may not stop itself; it is to be stopped")
    try:
        with Progress() as progress:
            machines.stop_overdue(told, progress.tell)
    except OrchError as error:
        if error.kind != "refused":
            raise
        note_of_link(f"{name} is not stopped: {error.message}")


def _costs(everything: Sequence[Space], found: Sequence[Space], told: Sequence[HostStatus]) -> Costs | None:
    """What they have used; who has not answered just now is not asked, and where GitHub does not answer, nothing is."""
    reached = {space.name for space, one in zip(found, told, strict=True) if not (one.error or one.off or one.kept)}
    try:
        return cost.glance(everything, reached)
    except OrchError:
        return None


def _show(seen: Seen, names: Sequence[str]) -> None:
    if not seen.spaces:
        say(NONE)
        return
    jobs = lines(seen.called)
    for line in [] if names else [*table_of(seen), *([""] if jobs else [])]:
        say(line)
    for line in jobs:
        say(line)
    for line in remarks(seen):
        note(line)
    if seen.costs and not names:
        note(f"\n{left(seen.costs)}    # more: cs cost")
    if not jobs and names:
        raise _no_job(names, seen)


def _no_job(names: Sequence[str], seen: Seen) -> OrchError:
    """There is none; what was typed may be a codespace."""
    error = hosts.no_job(names, "any codespace")
    if {names[0].lower()} & {text.lower() for one in seen.spaces for text in (one.name, one.folder, one.repository)}:
        error.hint = f"cs status -c {names[0]}"
    return error


def remarks(seen: Seen) -> list[str]:
    """What a person should know besides."""
    return [*waiting(seen.told), *silence([one for one in seen.told if not one.off]), *_limits(seen.told)]


def table_of(seen: Seen) -> list[str]:
    """The codespaces."""
    rows = [[*_row(*both, seen)] for both in zip(seen.spaces, seen.told, strict=True)]
    header = ["NAME", "STATE", "MACHINE", "IDLE", "USED", "EXPIRES"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    colours = (["", DIM if one.off else GREEN] + [""] * (len(header) - 2) for one in seen.spaces)
    return table([header, *rows], [[], *colours])


def _row(space: Space, told: HostStatus, seen: Seen) -> Iterator[str]:
    yield codespaces.shown(space, seen.spaces)
    yield space.state
    yield space.machine.short if space.machine else "-"
    idle = None if told.error or space.off else _idle(space, told)
    yield "-" if idle is None else age(idle)
    hours = seen.costs and seen.costs.used(space.name).hours
    yield "-" if hours is None else age(hours * 3600)
    yield _expiry(space.expires_at - time.time()) if space.expires_at and space.off else ""


def _idle(space: Space, told: HostStatus) -> float | None:
    """Seconds since its last use, of which its last start is one."""
    said = told.facts.get("idle_seconds")
    if not isinstance(said, int | float):
        return None
    return min(said + _age(told), max(0.0, time.time() - (space.used_at or 0.0)))


def _expiry(seconds: float) -> str:
    return f"in {seconds / 86400:.0f}d" if seconds > 86400 else f"in {age(seconds)}"


def _age(told: HostStatus) -> float:
    return max(0.0, time.time() - told.as_of) if told.kept and told.as_of else 0.0


def _limits(told: Sequence[HostStatus]) -> Iterator[str]:
    """What each codespace could not be made to do."""
    for one in told:
        facts = one.facts.get("codespace")
        if isinstance(facts, Mapping) and facts.get("can_stop") is False and not one.error:
            why = f": {facts['why_not']}" if facts.get("why_not") else ""
            yield clean(f"{one.host.name} may not stop itself{why}; cs status stops it when it is idle for too long")


def _as_json(space: Space, told: HostStatus, costs: Costs | None) -> dict[str, object]:
    said = told.facts.get("codespace")
    can_stop = said.get("can_stop") if isinstance(said, Mapping) else None
    return {
        **codespaces.as_json(space),
        "idle_seconds": told.facts.get("idle_seconds"),
        "can_stop": can_stop,
        **used_as_json(costs.used(space.name) if costs else UNKNOWN),
    }
