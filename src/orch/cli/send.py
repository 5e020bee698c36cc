"""``orch send``: type into a job's terminal."""

from __future__ import annotations

from orch.model import label
from orch.ops import hosts
from orch.ops.jobs import send

from . import options
from .args import Arguments, Command
from .output import say

COMMAND = Command(
    name="send",
    words="NAME TEXT...",
    options=(options.HOST,),
    least=2,
    text="""\
The words are joined by spaces and followed by Enter. Behind `--` words may begin with a dash.

  orch send train yes
  orch send repl -- -1 + 2""",
)


def main(args: Arguments) -> int:
    """Type it."""
    job = send(hosts.load(), args.words[0], " ".join(args.words[1:]), args["host"])
    say(f"typed into {label(job)}")
    return 0
