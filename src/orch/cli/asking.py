"""A question to the person, where there is one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence

from orch.errors import OrchError

from .output import is_terminal, note


def agreed(question: str, unasked: str) -> bool:
    """Whether the person says yes. Without a terminal it is refused; ``unasked`` is the command that does not ask."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "this has to be agreed to, and there is no terminal to ask on", unasked)
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        note("")
        return False
    except KeyboardInterrupt:
        note("\nnothing was done")
        raise


def secret_value(name: str, most: int) -> bytes:
    """A value from a prompt that does not show it, or from standard input: of one that is too long, enough to tell."""
    from . import main as called

    if not is_terminal(sys.stdin):
        return sys.stdin.buffer.read(most * 2)
    from . import unseen

    again = f"{called.face.name} secret set {name}"
    try:
        return unseen.line(f"Value of {name} (is not shown): ")
    except EOFError:
        raise OrchError("refused", "no value, so nothing was set", again) from None
    except unseen.SeveralLines:
        raise OrchError("refused", "the value has several lines, so nothing was set", f"{again} < FILE") from None


def again(options: Mapping[str, str]) -> str:
    """The command as it was typed, but with these options; an empty value is a flag's."""
    from . import main as called

    command, *typed = sys.argv[1:]
    added = [word for name, value in options.items() for word in (name, value) if word]
    words = [called.face.name, command, *added, *_without(typed, [name for name, value in options.items() if value])]
    if all(map(str.isprintable, words)):
        return shlex.join(words)
    return f"{shlex.join([called.face.name, command, *added])} ...    # and the rest as before"


def _without(typed: Sequence[str], names: Sequence[str]) -> list[str]:
    """What was typed but for the options of these names, and their values."""
    end = typed.index("--") if "--" in typed else len(typed)
    kept, line = [], iter(typed[:end])
    for word in line:
        if word in names:
            next(line, None)
        elif word.partition("=")[0] not in names:
            kept.append(word)
    return [*kept, *typed[end:]]
