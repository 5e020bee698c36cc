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
    from .main import TABLE, load, overview

    topic = args.words[0] if args.words else ""
    if not topic:
        say(overview().rstrip("\n"))
    elif topic == "agents":
        from .contract import TEXT

        say(TEXT.rstrip("\n"))
    elif topic in TABLE:
        say(help_text(load(topic).COMMAND, TABLE[topic].summary).rstrip("\n"))
    else:
        guess = nearest(topic, [*TABLE, "agents"])
        raise usage(f"there is no help on {topic!r}", f"orch help {guess}".rstrip())
    return 0
