"""``cs start``: a codespace that is stopped runs again."""

from __future__ import annotations

from orch.ops import codespaces, machines

from ..args import Arguments, Command
from ..output import say
from ..progress import Progress
from . import CODESPACE

COMMAND = Command(
    name="start",
    words="[CODESPACE]",
    options=(CODESPACE,),
    most=1,
    text="Every command that needs it does that by itself. What waits there, or is to be tried again, goes on.",
)


def main(args: Arguments) -> int:
    """Start it."""
    space = codespaces.one((args.words or [args["codespace"]])[0])
    with Progress() as progress:
        machines.start(codespaces.host(space), progress.tell)
    say(f"{space.name} runs")
    return 0
