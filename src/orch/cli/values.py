"""How values are written that only the command line takes: points in time, counts, variables."""

from __future__ import annotations

from orch.errors import OrchError, usage
from orch.units import duration
from orch_agent.check import check_secret
from orch_agent.model import Refusal


def moment(text: str) -> float | dict[str, float]:
    """Epoch seconds of ``2026-02-16 14:30[:00]`` here or of a time in RFC 3339; ``5m`` is ``{"ago": 300}``.

    From when that counts is for the host to say: its clock wrote the times that are compared.
    """
    from datetime import datetime

    try:
        return {"ago": duration(text)}
    except OrchError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        hint = "write 5m (ago), '2026-02-16 14:30' (local) or 2026-02-16T14:30:00Z"
        raise usage(f"{text!r} is no time", hint) from None


def count(text: str) -> int:
    """A number of lines."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise usage(f"{text!r} is no number of lines", "write a whole number, as in --tail 100")
    return int(text)


def secret(text: str) -> tuple[str, str]:
    """A variable, and the name that its value is kept under: ``A``, or ``B=OTHER_NAME``."""
    name, equals, kept = text.partition("=")
    try:
        return check_secret(name), check_secret(kept if equals else name)
    except Refusal:
        hint = "orch secret set NAME keeps a value; --secret never takes one"  # the text may be one: not repeated
        raise usage("--secret takes NAME, or VARIABLE=NAME: letters, digits and '_', no digit first", hint) from None


def variable(text: str) -> tuple[str, str]:
    """Name and value in ``K=V``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise usage("--env takes NAME=VALUE", "as in --env EPOCHS=10")  # the text may be a secret: not repeated
    return name, value
