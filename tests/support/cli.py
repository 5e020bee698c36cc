"""The command line, as a person or a script calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
    """``orch`` in a home of its own; ``before`` are words that run what stands behind them."""

    program = "orch"

    def __init__(self, home: Path, env: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> None:
        self.home = home
        self.env = {"HOME": str(home), **(env or {})}
        self.before = before

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        """The command line."""
        program = f"import sys; from orch.cli.main import {self.program} as main; sys.exit(main())"
        return [*self.before, sys.executable, "-c", program, *words]

    def __call__(self, *words: str | bytes, timeout: float = 60, **more: Any) -> Done:
        """Run a command to its end; ``before`` are further words before all others."""
        env = {**os.environ, **self.env, **more.pop("env", {})}
        stdin = None if "input" in more else subprocess.DEVNULL
        argv = [*more.pop("before", []), *self.argv(*words)]
        done = subprocess.run(argv, capture_output=True, timeout=timeout, env=env, stdin=stdin, **more)
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def popen(self, *words: str | bytes, **more: Any) -> Started:
        """Start a command."""
        pipe = subprocess.PIPE
        env = {**os.environ, **self.env, **more.pop("env", {})}
        return Started(self.argv(*words), **{"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": env, **more})
