"""What a repository's devcontainer.json needs for jobs, put into the one that is there.

Invariants
- What is there wins, whatever it says; what is missing is added; what asks for less than jobs are promised is told.
- Merging again what was merged changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import jsonc
from .space import Machine

IMAGE = "mcr.microsoft.com/devcontainers/universal:linux"
"""The image of a codespace whose repository asks for none (github.com/devcontainers/images, src/universal)."""

HOST = {"cpus": 4, "memory": "16gb", "storage": "64gb"}
SSHD = "ghcr.io/devcontainers/features/sshd:1"
WAKE = "/workspaces/.orch/wake"
_WAKE_COMMAND = f"test ! -x {WAKE} || {WAKE}"
_TMUX_COMMAND = "command -v tmux || { sudo apt-get update && sudo apt-get install -y tmux; } || true"
_IMAGES = ("image", "build", "dockerFile", "dockerfile", "dockerComposeFile")
_ONCE = ("onCreateCommand", "postCreateCommand", "updateContentCommand")
"""Commands of which each runs when a codespace is made, one after the other (containers.dev, "Lifecycle scripts")."""

_NOTES = (
    "Jobs of orch's `cs` run here. It stops the codespace 30 minutes after the last job or use.",
    "Idle timeout (5 to 240 minutes, after which GitHub stops it) and retention (at most 30 days, after which GitHub",
    "deletes a stopped one with all that was not pushed) are no part of this file: `cs create` sets them.",
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([tgmk]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Merged(NamedTuple):
    """The text as it is to be, and what the person should know of what is there."""

    text: str
    told: list[str]


def merge(text: str) -> Merged:
    """``text`` with what is missing; ``jsonc.Broken`` where it is no JSON with comments, or no object."""
    merging = _Merging(text if text.strip() else "{\n}\n")
    merging.image()
    merging.host()
    merging.sshd()
    merging.tmux()
    merging.wake()
    return Merged(merging.text, merging.told)


class _Merging:
    """A file while it is merged."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.told: list[str] = []
        self._notes = () if _NOTES[0] in text else _NOTES
        if not isinstance(self._root, dict):
            raise jsonc.Broken("line 1: an object is wanted, in braces")

    @property
    def _root(self) -> dict[str, Any]:
        value: dict[str, Any] = jsonc.parse(self.text).value
        return value

    def image(self) -> None:
        """Somebody has to say what the codespace is made of."""
        if not any(key in self._root for key in _IMAGES):
            self._add("image", IMAGE)

    def host(self) -> None:
        """The least machine that may be chosen."""
        there = self._root.get("hostRequirements")
        if not isinstance(there, dict):
            self._put("hostRequirements", HOST)
            return
        for key, wanted in HOST.items():
            if key not in there:
                self.text = jsonc.added(self.text, ["hostRequirements"], key, wanted)
            elif not _holds(there[key], wanted):
                self.told.append(f"hostRequirements.{key} stays {json.dumps(there[key])}; jobs are promised {wanted}")

    def sshd(self) -> None:
        """The only way in."""
        there = self._root.get("features")
        if not isinstance(there, dict):
            self._put("features", {SSHD: {}})
        elif not any(_plain(key) == "sshd" for key in there):
            self.text = jsonc.added(self.text, ["features"], SSHD, {})

    def tmux(self) -> None:
        """Where a job's terminal is looked at. Two that install at once would meet in apt's lock: so alone, or not."""
        root = self._root
        if "tmux" in json.dumps([root.get(key) for key in (*_ONCE, "postStartCommand", "features")]):
            return
        free = next((key for key in _ONCE if not root.get(key)), None)
        if free:
            self._put(free, _TMUX_COMMAND)
        else:
            self.told.append(f"{', '.join(_ONCE)} are all in use: tmux is installed when orch first comes there")

    def wake(self) -> None:
        """What wakes the supervisor when the codespace starts, beside what the repository does then."""
        there = self._root.get("postStartCommand")
        if not there:
            self._put("postStartCommand", _WAKE_COMMAND)
        elif WAKE not in json.dumps(there):
            if not isinstance(there, dict):
                self.text = jsonc.wrapped(self.text, ["postStartCommand"], "project")
                there = {}
            key = next(key for key in ("orch", "orch-wake", "orch-wake-2") if key not in there)
            self.text = jsonc.added(self.text, ["postStartCommand"], key, _WAKE_COMMAND)

    def _put(self, key: str, value: Any) -> None:
        """In the place of an empty value, or of none."""
        if there := self._root.get(key):
            self.told.append(f"{key} is {json.dumps(there)}, which it may not be: replaced")
        if key in self._root:
            self.text = jsonc.replaced(self.text, [key], value)
        else:
            self._add(key, value)

    def _add(self, key: str, value: Any) -> None:
        self.text = jsonc.added(self.text, [], key, value, self._notes)
        self._notes = ()


def _plain(feature: str) -> str:
    """``sshd``, of ``ghcr.io/devcontainers/features/sshd:1``."""
    return feature.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _holds(there: Any, wanted: Any) -> bool:
    """Whether what is asked for is no less than what jobs are promised; what cannot be read is not judged."""
    has, needs = _size(there), _size(wanted)
    return has is None or needs is None or has >= needs


def _size(said: Any) -> float | None:
    found = _SIZE.fullmatch(str(said).strip())
    return float(found[1]) * _UNITS[found[2].lower()] if found else None


def larger(text: str, offered: Sequence[Machine]) -> str:
    """That GitHub has to give a larger machine than the cores that the file asks for, where it has to; else nothing."""
    asked = jsonc.parse(text).value.get("hostRequirements")
    if not isinstance(asked, dict):
        return ""
    cpus, memory, storage = (int(_size(asked.get(key)) or 0) for key in HOST)
    enough = [one for one in offered if one.cpus >= cpus and one.memory >= memory]
    holds = [one for one in enough if one.storage >= storage]
    if not enough or (holds and holds[0].cpus == enough[0].cpus):
        return ""
    then = f"that takes {holds[0].short}" if holds else "no machine has that"
    return f"hostRequirements.storage: {enough[0].short} has {enough[0].storage >> 30}gb here; for more {then}"
