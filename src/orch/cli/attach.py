"""``orch attach``: the job's own terminal on this one."""

from __future__ import annotations

import os
import sys

from orch.errors import OrchError
from orch.ops import hosts
from orch.ops.attach import attach
from orch_agent.model import JobRef

from . import options
from .args import Arguments, Command
from .output import is_terminal

COMMAND = Command(
    name="attach",
    words="NAME",
    options=(options.HOST,),
    least=1,
    most=1,
    text="Detach with tmux's own keys (Ctrl-b d, unless you chose others); the job runs on.",
)


def main(args: Arguments) -> int:
    """Become the terminal's program; comes back only with an error."""
    name = args.words[0]
    JobRef.parse(name)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "attach needs a terminal, and this is none", f"orch logs -f {name}")
    viewing = attach(hosts.load(), name, args["host"])
    try:
        os.execvpe(viewing.argv[0], viewing.argv, viewing.env)
    except OSError as error:
        raise OrchError("host", f"cannot start {viewing.argv[0]}: {error.strerror}", f"orch logs -f {name}") from None
