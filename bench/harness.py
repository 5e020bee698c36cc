"""A home, a tmux server and an agent of its own for every measurement; processor time and memory of commands.

Invariants
- The person's home is never touched, and only what a measurement started is ended, through the agent.
- What is compared is run in turn, A B A B, in one go: whatever else the machine does meets both.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from tests.support.agent import Agent

T = TypeVar("T")
HERE = Path(__file__).parent
PYTHON = sys.executable
ORCH = [str(Path(PYTHON).with_name("orch"))]
_KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SHELL",
    "PYENV_ROOT",
    "ORCH_BENCH_PEERS",
    "ORCH_BENCH_REPOSITORY",
)
_scratch = tempfile.TemporaryDirectory(prefix="orch-bench-", dir="/tmp")
SCRATCH = Path(_scratch.name)


def leave_home() -> None:
    """Forget the person's environment; to be called before anything is run."""
    for key in list(os.environ):
        if key not in _KEPT:
            del os.environ[key]
    os.environ["HOME"] = os.environ["TMUX_TMPDIR"] = str(SCRATCH)


@functools.cache
def native(name: str) -> str:
    """The path of ``native/NAME.c``, built."""
    target = SCRATCH / name
    subprocess.run(["cc", "-O2", "-o", str(target), str(HERE / "native" / f"{name}.c"), "-lutil"], check=True)
    return str(target)


class Used(NamedTuple):
    """What a command and all it waited for took: seconds of processor and of the clock, bytes resident at most."""

    cpu: float
    elapsed: float
    resident: int


class Failed(Exception):
    """A command that was to be measured, and what it said last."""


def measure(
    words: Sequence[str], env: Mapping[str, str] | None = None, stdin: bytes = b"", before: Sequence[str] = ()
) -> Used:
    """Run a command to its end; ``before`` are words that run what stands behind them, outside the measurement."""
    report, errors = SCRATCH / "measured", SCRATCH / "errors"
    with errors.open("wb") as file:  # and no pipe: what goes on in the background may keep it open
        done = subprocess.run(
            [*before, native("measure"), str(report), *words],
            input=stdin,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=file,
            timeout=120,
        )
    if done.returncode:
        said = errors.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise Failed(f"{' '.join(words)}: status {done.returncode}, said {said[-2:]}")
    cpu, elapsed, resident = report.read_text().split()
    return Used(float(cpu), float(elapsed), int(resident) << 10)


def in_turn(rounds: int, **ways: Callable[[], T]) -> dict[str, list[T]]:
    """Each way's results; the first round warms up and does not count."""
    results: dict[str, list[T]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            result = way()
            if turn:
                results[name].append(result)
    return results


def middle(used: Sequence[Used]) -> Used:
    """The median of each."""
    return Used(median(one.cpu for one in used), median(one.elapsed for one in used), max(one.resident for one in used))


class World:
    """One home with its agent."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self.home = home
        self.env = {**os.environ, "HOME": str(home), "TMUX_TMPDIR": str(home), **env}
        self.agent = Agent(home, PYTHON, {**env, "TMUX_TMPDIR": str(home)})

    def orch(self, *words: str) -> Used:
        """What a command line takes; it must succeed."""
        return measure([*ORCH, *words], self.env)


@contextmanager
def world(**env: str) -> Iterator[World]:
    """A fresh one, ended with all its jobs."""
    # Short: tmux's socket lies in it, and its path has a limit.
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as name:
        one = World(Path(name).resolve(), env)
        try:
            yield one
        finally:
            os.environ["TMUX_TMPDIR"] = str(one.home)
            one.agent.close()
            os.environ["TMUX_TMPDIR"] = str(SCRATCH)
