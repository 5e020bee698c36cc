"""Secrets of a machine at AWS, from Parameter Store: it reads those below its own path by itself, through ``aws``.

Invariants
- It is the machine's role that reads: no profile, key or history of the person's is used, or made.
- Names are words of a command line; values come by a pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

from . import files

_HOST = "/etc/orch/host"
_PATIENCE = 20.0
"""Seconds that one call may take."""
_AT_ONCE = 10
"""Names that one call may have (AWS's GetParameters)."""


class Found(NamedTuple):
    """The values by name, and, where there may be more of them, why nobody can tell."""

    values: Mapping[str, str]
    trouble: str = ""


def is_here() -> bool:
    """Whether this is a machine with a path of its own."""
    return _place() is not None


def read(names: Sequence[str]) -> Found:
    """What is kept of these."""
    place = _place()
    if place is None:
        return Found({})
    path, region = place
    values: dict[str, str] = {}
    for at in range(0, len(names), _AT_ONCE):
        asked = [path + name for name in names[at : at + _AT_ONCE]]
        words = ["aws", "ssm", "get-parameters", "--region", region, "--with-decryption", "--output", "json"]
        try:
            done = subprocess.run(
                [*words, "--names", *asked], stdin=-3, stdout=-1, stderr=-1, env=_environment(), timeout=_PATIENCE
            )
            said = json.loads(done.stdout) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            return Found(values, "AWS gave no answer within %d s" % _PATIENCE)
        except (OSError, ValueError):
            return Found(values, "aws, AWS's command line, cannot be run")
        if said is None:
            return Found(values, _last_line(done.stderr))
        values.update((one["Name"][len(path) :], one["Value"]) for one in said["Parameters"])
    return Found(values)


def _place() -> Optional[tuple[str, str]]:
    """The path of this machine's secrets, and the region they are in."""
    lines = (files.read_text(_HOST) or "").splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    name, region = told.get("name"), told.get("region")
    return ("/orch/%s/env/" % name, region) if name and region else None


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": ""}


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "aws failed and does not say why"
