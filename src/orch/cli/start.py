"""``orch start``: a machine that was stopped, started."""

from __future__ import annotations

from orch.ops import hosts, machines

from .args import Arguments, Command
from .output import say
from .progress import Progress

COMMAND = Command(
    name="start",
    words="[HOST]",
    options=(),
    most=1,
    text="""\
Comes back when the machine answers. `orch run` starts a stopped host by itself. What waited there goes on.""",
)


def main(args: Arguments) -> int:
    """Start it."""
    host = hosts.load().config.host(args.words[0] if args.words else None)
    progress = Progress()
    with progress:
        machines.start(host, progress.tell)
    say(f"{host.name} runs ({progress.seconds:.0f} s)")
    return 0
