"""Keys for ssh, each made once in a run."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

_directory = tempfile.TemporaryDirectory(prefix="orch-keys-", dir="/tmp")


@functools.cache
def ssh_key(passphrase: str = "", number: int = 0) -> Path:
    """A private key; the public one lies beside it, with the suffix ``.pub``."""
    path = Path(_directory.name) / f"{number}-{passphrase}"
    make_key(path, passphrase)
    return path


def make_key(path: Path, passphrase: str = "") -> None:
    """Make a key where there is none."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
