"""``cs stop``: a codespace stopped, its disk kept."""

from __future__ import annotations

from orch.ops import codespaces, machines

from ..args import Arguments, Command, Option
from ..output import say
from ..progress import Progress
from . import CODESPACE
from .choosing import meant

COMMAND = Command(
    name="stop",
    words="[CODESPACE]",
    options=(CODESPACE, Option("--force", "also while jobs run or wait there: those that run end as NODE_FAIL")),
    most=1,
    text="Its disk stays, until GitHub's retention is over: cs status. To end a job: cs cancel NAME.",
)


def main(args: Arguments) -> int:
    """Stop it."""
    space = meant(args)
    with Progress() as progress:
        machines.stop(codespaces.host(space), args["force"], progress.tell)
    say(f"{space.name} is stopped; cs run starts it again")
    return 0
