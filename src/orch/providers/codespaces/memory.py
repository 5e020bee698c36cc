"""What this laptop remembers of the person's codespaces; may be lost at any time: GitHub tells it again.

So that hosts are known without asking anybody, and a connection needs no more of gh than its proxy. What cannot be
written down is remembered for as long as this process lives.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from orch import files, paths

from .space import Machine, Space

_MOST = float(1 << 63)  # bytes, seconds: more than anybody has


class Entrance(NamedTuple):
    """As whom ssh comes in, and the file of the key that it shows."""

    user: str
    key: str


class Memory(NamedTuple):
    """``asked_at``: when GitHub listed them, in epoch seconds; 0 if never."""

    asked_at: float = 0.0
    spaces: Mapping[str, Space] = {}
    entrances: Mapping[str, Entrance] = {}

    @property
    def age(self) -> float:
        """Seconds since GitHub was asked; many where the clock was set back."""
        age = time.time() - self.asked_at
        return age if age >= 0 else float("inf")


_unwritten: dict[str, Memory] = {}
"""By the file that it should be in."""


def load() -> Memory:
    """What is remembered; nothing where that cannot be read."""
    if kept := _unwritten.get(paths.codespaces()):
        return kept
    try:
        with open(paths.codespaces(), encoding="utf-8") as file:
            said = json.load(file, parse_int=_number, parse_float=_number, parse_constant=_number)
        spaces = [_space(one) for one in said["spaces"]]
        entrances = {name: Entrance(*map(str, one)) for name, one in said["entrances"].items()}
        return Memory(float(said["asked_at"]), {one.name: one for one in spaces}, entrances)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Memory()


def save(memory: Memory) -> None:
    """Remember."""
    said = {
        "asked_at": memory.asked_at,
        "spaces": [
            one._asdict() | {"machine": one.machine and one.machine._asdict()} for one in memory.spaces.values()
        ],
        "entrances": {name: list(one) for name, one in memory.entrances.items() if name in memory.spaces},
    }
    if files.keep(paths.codespaces(), json.dumps(said)):
        _unwritten.pop(paths.codespaces(), None)
    else:
        _unwritten[paths.codespaces()] = memory


def note(space: Space) -> None:
    """Remember what GitHub has just told of one."""
    memory = load()
    save(memory._replace(spaces={**memory.spaces, space.name: space}))


def note_entrance(name: str, entrance: Entrance | None) -> None:
    """Remember how one is entered; None forgets it."""
    memory = load()
    others = {key: one for key, one in memory.entrances.items() if key != name}
    save(memory._replace(entrances=others if entrance is None else {**others, name: entrance}))


def forget(name: str) -> None:
    """There is no such codespace any more."""
    memory = load()
    save(memory._replace(spaces={key: one for key, one in memory.spaces.items() if key != name}))


def _number(text: str) -> float:
    """One that there can be: with another nobody can reckon."""
    if not abs(float(text)) < _MOST:
        raise ValueError("more than there can be")
    return int(text) if text.isdigit() else float(text)


def _space(said: Mapping[str, Any]) -> Space:
    machine = said["machine"]
    return Space(**{**said, "machine": Machine(**machine) if machine else None})
