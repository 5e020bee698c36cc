"""Notices when the tests touch what is the person's."""

from __future__ import annotations

import os
from pathlib import Path

_WATCHED = (
    ".orch",
    "logs",
    "bin",
    ".config/orch",
    ".cache/orch",
    ".ssh",
    ".aws",
    ".config/gh",
    ".tmux.conf",
    ".config/tmux",
    ".bashrc",
    ".bash_profile",
    ".profile",
)


class Tripwire:
    """What the watched places looked like when this was made."""

    def __init__(self, home: Path) -> None:
        self._places = [home / name for name in _WATCHED]
        self._places += [Path(f"/tmp/{name}-{os.getuid()}") for name in ("tmux", "orch")]
        self._before = self._look()

    def _look(self) -> dict[str, tuple[int, int]]:
        seen = {}
        for place in self._places:
            for path in [place, *place.rglob("*")] if place.is_dir() else [place]:
                try:
                    found = path.lstat()
                except OSError:
                    continue
                seen[str(path)] = (found.st_mtime_ns, found.st_size)
        return seen

    def touched(self) -> list[str]:
        """Paths that came, went or changed."""
        after = self._look()
        return sorted(path for path in {*self._before, *after} if self._before.get(path) != after.get(path))
