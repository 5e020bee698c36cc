"""A machine that lacks a program."""

from __future__ import annotations

import os
from pathlib import Path


def path_without(missing: str, where: Path) -> str:
    """A PATH with every program of this machine but one."""
    where.mkdir()
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for entry in Path(directory).iterdir() if Path(directory).is_dir() else ():
            if entry.name != missing:
                (where / entry.name).unlink(missing_ok=True)
                (where / entry.name).symlink_to(entry)
    return str(where)
