"""Other people's programs, run to their end, which ask nobody anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Optional

from . import packages
from .model import Refusal

_KNOWN = ("git", "ssh-keygen")
"""Programs of which we know what installs them."""
_REASONS = ("Host key verification", "Could not resolve", "Permission denied", "Connection refused", "timed out")


class Failed(Refusal):
    """A program that ended otherwise than it should; ``said`` is all that it told."""

    def __init__(self, program: str, said: str, why: str) -> None:
        super().__init__("host", "%s failed on this host: %s" % (program, why))
        self.said = said


def run(words: Sequence[str], patience: float = 60.0, cwd: Optional[str] = None) -> str:
    """What it prints. A ``Failed`` has the last line of what it told; a ``Refusal`` says how it is installed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSH_ASKPASS"))}
    env.update(LC_ALL="C", GIT_TERMINAL_PROMPT="0", AWS_PAGER="")
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, env=env, cwd=cwd, check=False
        )
    except FileNotFoundError:
        raise missing(words[0]) from None
    except subprocess.TimeoutExpired:
        raise Failed(words[0], "", "it has not come back within %d s" % patience) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        lines = [line for line in said.splitlines() if line.strip()]
        raise Failed(words[0], said, _telling(lines) or "status %d" % done.returncode)
    return done.stdout.decode(errors="surrogateescape")


def _telling(lines: Sequence[str]) -> str:
    """The line that says most: git ends with advice."""
    said = [line for line in lines if line.startswith(("fatal: ", "error: ", "ERROR: "))]
    first = [line for line in lines if any(word in line for word in _REASONS)]
    return (first or said or list(lines[-1:]) or [""])[0][:300]


def missing(program: str) -> Refusal:
    """There is no such program; the hint installs it."""
    if sys.platform == "darwin":
        return Refusal("refused", "this host has no %s" % program, "xcode-select --install", there=True)
    command = packages.install_command(program) if program in _KNOWN else None
    hint = command or "install it with its package manager"
    return Refusal("refused", "this host has no %s" % program, hint, there=command is not None)
