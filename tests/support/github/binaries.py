"""The real gh: the newest that is installed with the tests, and the oldest that tools/gh-oldest fetches."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def newest() -> Path:
    """Of requirements/dev.lock."""
    path = Path(sys.prefix) / "bin/gh"
    assert path.exists(), "no gh in this environment: make setup"
    return path


@functools.cache
def oldest() -> Path:
    """Of requirements/gh-oldest.lock."""
    done = subprocess.run([_ROOT / "tools/gh-oldest"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())
