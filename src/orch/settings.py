"""What the configuration says of a host besides how it is reached: kept on the host, sent with every submission."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import units
from .errors import ConfigError, OrchError, usage
from .model import Host

DEFAULT = "default"
"""Takes a setting back: one that is merely left out here may have been made by another laptop."""


def _retention(text: str) -> float:
    seconds = units.duration(text)
    if seconds < 86400:
        raise usage(f"{text} is too short", "write at least 1d")
    return seconds


_READ: Mapping[str, Callable[[str], float]] = {"retention": _retention, "memory_reserve": units.size}
OPTIONS: Mapping[str, type] = dict.fromkeys(_READ, str)
"""The keys that ``[hosts.NAME]`` takes whatever its provider, with the type of each."""


def of(host: Host) -> dict[str, float | None]:
    """The settings of a host as numbers, seconds or bytes; None for one that is taken back."""
    return {key: _value(host, key) for key in _READ if key in host.options}


def _value(host: Host, key: str) -> float | None:
    text: str = host.options[key]
    if text == DEFAULT:
        return None
    try:
        return _READ[key](text)
    except OrchError as error:
        said = f"{host.source}: [hosts.{host.name}] {key}: {error.message}"
        raise ConfigError(said, f'{error.hint}, or "{DEFAULT}"') from None
