"""The command line, as a person or a script calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as a document."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error document on standard error."""
        error: dict[str, str] = json.loads(self.err)["error"]
        return error


class Started(subprocess.Popen[bytes]):
    """A command that runs; with the end of its ``with`` it ends too, whatever became of the test."""

    def __exit__(self, *failure: Any) -> None:
        self.kill()
        super().__exit__(*failure)


class Orch:
    """``orch`` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        """The command line."""
        return [sys.executable, "-c", "import sys; from orch.cli.main import orch; sys.exit(orch())", *words]

    def __call__(self, *words: str | bytes, timeout: float = 60, **more: Any) -> Done:
        """Run a command to its end; ``before`` are words that run what stands behind them."""
        env = {**os.environ, "HOME": str(self.home), **more.pop("env", {})}
        stdin = None if "input" in more else subprocess.DEVNULL
        argv = [*more.pop("before", []), *self.argv(*words)]
        done = subprocess.run(argv, capture_output=True, timeout=timeout, env=env, stdin=stdin, **more)
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def popen(self, *words: str | bytes, **more: Any) -> Started:
        """Start a command."""
        pipe = subprocess.PIPE
        return Started(self.argv(*words), **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **more})
