"""How many tiny jobs a second a host takes and finishes, one submission after the other. Nothing is promised."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from .figures import Figure
from .harness import ORCH, SCRATCH, World, in_turn, world

JOBS = 40
ROUNDS = 3


def figures() -> list[Figure]:
    """Jobs a second from the first submission to the last end."""
    with world() as host:
        ways = {
            "orch": lambda: _orch(host),
            "verb": lambda: _verb(host, tty=True),
            "plain": lambda: _verb(host, tty=False),
            "bash": bash,
        }
        if has_task_spooler():
            ways["tsp"] = task_spooler
        speeds = {name: max(found) for name, found in in_turn(ROUNDS, **ways).items()}
    peer = f"tsp (no terminal): {speeds['tsp']:.0f}/s, " if "tsp" in speeds else "tsp is not installed; "
    beside = f"{peer}bare bash -lc true: {speeds['bash']:.0f}/s"
    return [
        Figure("orch run, jobs of true", f"{speeds['orch']:.1f}/s", beside),
        Figure("the agent's submit verb alone", f"{speeds['verb']:.1f}/s", beside),
        Figure("the same with --no-tty", f"{speeds['plain']:.1f}/s", beside),
    ]


def _names() -> list[str]:
    return [f"tiny{number}" for number in range(JOBS)]


def _orch(host: World) -> float:
    began = time.monotonic()
    for name in _names():
        subprocess.run([*ORCH, "run", name, "true"], env=host.env, stdout=subprocess.DEVNULL, check=True, timeout=60)
    host.agent.wait(*_names())
    return JOBS / (time.monotonic() - began)


def _verb(host: World, tty: bool) -> float:
    began = time.monotonic()
    for name in _names():
        host.agent.submit(name, "true", tty=tty)
    host.agent.wait(*_names())
    return JOBS / (time.monotonic() - began)


def bash() -> float:
    """Nothing but the shell that every job begins with."""
    began = time.monotonic()
    for _ in range(JOBS):
        subprocess.run(["bash", "-lc", "true"], check=True, timeout=60)
    return JOBS / (time.monotonic() - began)


def has_task_spooler() -> bool:
    """Whether it is installed."""
    return shutil.which("tsp") is not None


def task_spooler() -> float:
    """A queue in C that keeps nothing."""
    env = {**os.environ, "TS_SOCKET": str(SCRATCH / "tsp.socket"), "TMPDIR": str(SCRATCH), "TS_MAXFINISHED": "1000"}

    def tsp(*words: str) -> None:
        subprocess.run(["tsp", *words], env=env, stdout=subprocess.DEVNULL, check=True, timeout=60)

    tsp("-S", str(JOBS))
    try:
        began = time.monotonic()
        for _ in range(JOBS):
            tsp("bash", "-lc", "true")
        tsp("-w")  # for the last; the others ran beside it
        return JOBS / (time.monotonic() - began)
    finally:
        tsp("-K")
