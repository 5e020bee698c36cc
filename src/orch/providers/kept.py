"""Logs and records that were kept on this machine, as an archive of their host (``ops/kept`` puts them there)."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

from orch import paths
from orch.errors import OrchError
from orch.model import Host
from orch_agent.model import END_STATES, JobRef

from .base import Run, Stop

_BLOCK = 1 << 16


def hosts() -> list[str]:
    """Of which hosts there is anything."""
    return _names(paths.kept(""))


class Kept:
    """What is kept of one host."""

    where = "a copy on this machine"

    def __init__(self, host: Host) -> None:
        self._host = host.name

    def find(self, ref: JobRef) -> Run | None:
        """The run that is meant: of a name the newest."""
        found = [(run, name) for name in _names(paths.kept(self._host)) for run in self._runs(name, ref)]
        if not found:
            return None
        run, name = max(found)
        known = record(paths.kept_record(self._host, name, run))
        tty = known.pop("tty", True) is True
        ended = known if known.get("state") in list(END_STATES) else None
        return Run(name, run, ended, paths.kept_log(self._host, name, run), tty)

    def _runs(self, name: str, ref: JobRef) -> list[int]:
        if name.lower() != ref.name.lower():
            return []
        files = _names(os.path.join(paths.kept(self._host), name))
        runs = [int(stem) for stem, dot, kind in (file.partition(".") for file in files) if _is_log(stem, kind)]
        return [run for run in runs if ref.covers(run) and os.path.isfile(paths.kept_log(self._host, name, run))]

    def lines(self, run: Run, since: float | None = None, tail: int | None = None) -> Iterator[bytes]:
        """Its log, each line with its newline; nobody knows when which was written."""
        if since is not None:
            why = f"{self.where} does not tell when a line was written: --since has to wait"
            raise OrchError("refused", why, f"orch logs {run.name}.{run.run} --tail 100")
        with open(run.stream, "rb") as file:
            yield from file if tail is None else deque(file, maxlen=tail)

    def stops(self) -> Stop | None:
        """Nobody wrote that down."""
        return None


def _is_log(stem: str, kind: str) -> bool:
    return kind == "log" and stem.isascii() and stem.isdigit() and stem[0] != "0"


def record(path: str) -> dict[str, Any]:
    """The job as it was; empty where nobody can read that."""
    try:
        with open(path, encoding="ascii") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
