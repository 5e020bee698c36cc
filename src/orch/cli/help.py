"""``orch help``: of orch, of one command, and the whole contract for programs."""

from __future__ import annotations

from orch.errors import nearest, usage

from .args import Arguments, Command, help_text
from .output import say

COMMAND = Command(
    name="help",
    words="[COMMAND | agents]",
    options=(),
    most=1,
    text="`orch help agents` is this tool's contract, short, for a program to read.",
)


def main(args: Arguments) -> int:
    """Explain."""
    from . import main as called

    face = called.face

    topic = args.words[0] if args.words else ""
    if not topic:
        say(face.overview.rstrip("\n"))
    elif topic == "agents":
        say(face.contract.rstrip("\n"))
    elif topic in face.table:
        command = face.own(face.load(topic).COMMAND)
        say(help_text(command, face.table[topic].summary).rstrip("\n"))
    else:
        guess = nearest(topic, [*face.table, "agents"])
        raise usage(f"there is no help on {topic!r}", f"orch help {guess}".rstrip())
    return 0
