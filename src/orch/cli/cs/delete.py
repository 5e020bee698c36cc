"""``cs delete``: a codespace deleted, with all that is on it."""

from __future__ import annotations

from contextlib import suppress

from orch.errors import OrchError
from orch.model import Host, label
from orch.ops import codespaces, machines

from ..args import Arguments, Command, Option
from ..asking import agreed
from ..output import clean, say
from ..progress import Progress
from . import CODESPACE
from .choosing import meant

COMMAND = Command(
    name="delete",
    words="[CODESPACE]",
    options=(
        CODESPACE,
        Option("--force", "also while jobs run or wait there"),
        Option("--yes", "delete without asking"),
    ),
    most=1,
    text="Says first what goes with it. Logs that are to stay: cs pull NAME --log.",
)


def main(args: Arguments) -> int:
    """Say what goes, ask, delete it."""
    space = meant(args)
    host = codespaces.host(space)
    lost = [*machines.loss(host), *_jobs(host, args["force"])]
    if lost:
        say(f"of {space.name} this is deleted:")
        for name, text in lost:
            say(f"  {name:<8} {clean(text)}")
    unasked = f"cs delete {space.name}{' --force' if args['force'] else ''} --yes"
    if lost and not args["yes"] and not agreed("Delete it?", unasked):
        say("nothing was deleted")
        return 0
    with Progress() as progress:
        machines.down(host, args["force"], False, progress.tell)
    say(f"{space.name} is gone")
    return 0


def _jobs(host: Host, is_forced: bool) -> list[tuple[str, str]]:
    """What runs or waits there, where it answers."""
    with suppress(OrchError):
        if names := [label(job) for job in machines.live_jobs(host)]:
            return [("jobs", f"{', '.join(names)}{'' if is_forced else ': they end with --force alone'}")]
    return []
