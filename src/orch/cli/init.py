"""``orch init``: write the configuration file with the person."""

from __future__ import annotations

import sys

from orch.errors import OrchError
from orch.ops import init
from orch_agent.model import check_name

from .args import Arguments, Command, Option
from .output import is_terminal, say

COMMAND = Command(
    name="init",
    words="",
    options=(Option("--yes", "take the defaults, ask nothing; a file that exists is never overwritten"),),
    most=0,
    text="Without a configuration orch works too: its one host is then `local`, this machine.",
)


def main(args: Arguments) -> int:
    """Ask where there is somebody to ask, then write."""
    asks = not args["yes"]
    if asks and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "init asks questions, and there is no terminal", "orch init --yes")
    overwrite = asks and init.exists() and _sure()
    if asks and init.exists() and not overwrite:
        say("nothing was changed")
        return 0
    name = check_name(_ask("What shall this machine be called", "local") if asks else "local", "host name")
    say(f'wrote {init.write(name, overwrite)}\nnow: orch run hello "echo hello"')
    return 0


def _sure() -> bool:
    return _ask("There is a configuration already. Overwrite it? yes or no", "no").lower() in ("y", "yes")


def _ask(question: str, default: str) -> str:
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        raise OrchError("refused", "no answer, so nothing was written", "orch init --yes") from None
