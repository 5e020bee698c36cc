"""What the configuration says of codespaces as such: of new ones, and of when each stops itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from orch import config, paths, units
from orch.errors import ConfigError, OrchError
from orch.model import Host

from . import idle_stop


class Terms(NamedTuple):
    """What new codespaces are; in minutes."""

    machine: str | None
    idle_timeout: int
    retention: int


def terms() -> Terms:
    """What the configuration says of codespaces; a mistake there is told whether it matters just now or not."""
    table = config.load().codespaces
    idle_stop(Host("", "codespaces", table, ""))
    return Terms(table.get("machine"), *(_minutes(table, key, *known) for key, known in _TERMS.items()))


_TERMS = {"idle_timeout": ("240m", 5, 240), "retention": ("7d", 0, 30 * 24 * 60)}
"""What we say, for GitHub's own timer is but the backstop of ours; the least and the most minutes that it takes."""


def _minutes(table: Mapping[str, str], key: str, usual: str, least: int, most: int) -> int:
    said = table.get(key, usual)
    try:
        minutes = round(units.duration(said) / 60)
    except OrchError as error:
        raise ConfigError(f"[codespaces] {key}: {error.message}", error.hint) from None
    if not least <= minutes <= most:
        than = "less" if minutes < least else "more"
        hint = f'{key} = "{usual}", in {paths.config_file()}'
        raise ConfigError(f"[codespaces] {key}: {said} is {than} than GitHub takes", hint)
    return minutes
