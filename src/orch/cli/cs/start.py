"""``cs start``: a codespace that is stopped runs again."""

from __future__ import annotations

from orch.ops import codespaces, machines

from ..args import Arguments, Command
from ..output import say
from ..progress import Progress
from . import CODESPACE
from .choosing import meant

COMMAND = Command(
    name="start",
    words="[CODESPACE]",
    options=(CODESPACE,),
    most=1,
    text="Every command that needs it does that by itself. What waits there, or is to be tried again, goes on.",
)


def main(args: Arguments) -> int:
    """Start it."""
    space = meant(args)
    with Progress() as progress:
        machines.start(codespaces.host(space), progress.tell)
    say(f"{space.name} runs")
    return 0
