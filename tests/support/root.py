"""What only root may do, as root or through sudo without a password."""

from __future__ import annotations

import os
import subprocess
from typing import Any, ClassVar

SUDO = [] if os.getuid() == 0 else ["sudo", "-n"]


def as_root(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure is told with what the command said."""
    done = subprocess.run([*SUDO, *words], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"
    return done


class Held:
    """A process of root's that ends when its standard input closes, so at the latest when the tests end, however.

    The first line that it prints is its pid as seen from here. Namespaces that live in it end with it.
    """

    living: ClassVar[set[Held]] = set()

    def __init__(self, *words: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*SUDO, *words], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, cwd="/"
        )
        self._words = words
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said.strip().isdigit():
            raise AssertionError(f"{' '.join(words)}: {said}{self._process.communicate()[0]}")
        self.pid = int(said)
        self.living.add(self)

    def __repr__(self) -> str:
        return " ".join(self._words)

    def release(self) -> None:
        """Let it end, and wait for that."""
        with self._process:  # closes its input
            self.living.discard(self)

    def kill(self) -> None:
        """End it at once."""
        as_root("kill", "-KILL", str(self.pid))
        self.release()
