"""What was not brought as somebody may think, told the same way in both directions."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orch.ops.receiving import Left

from .args import Arguments
from .output import clean, is_terminal, note

_TOLD = 20  # lines


def can_ask(args: Arguments) -> bool:
    """Whether there is somebody to ask."""
    return not args["json"] and is_terminal(sys.stdin) and is_terminal(sys.stdout)


def tell(changed: Sequence[str], left: Sequence[Left]) -> None:
    """What changed while it was read, and what is left out."""
    lines = [f"{path} was changed while it was read" for path in changed]
    lines += [f"{one.path} is left out: {one.why}" for one in left]
    for line in lines[:_TOLD]:
        note(clean(f"orch: {line}"))
    if lines[_TOLD:]:
        note(f"orch: and {len(lines) - _TOLD} more; --json has all of them")
