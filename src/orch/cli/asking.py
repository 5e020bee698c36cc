"""A question to the person, where there is one."""

from __future__ import annotations

import sys

from orch.errors import OrchError

from .output import is_terminal


def agreed(question: str, unasked: str) -> bool:
    """Whether the person says yes. Without a terminal it is refused; ``unasked`` is the command that does not ask."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "this has to be agreed to, and there is no terminal to ask on", unasked)
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
