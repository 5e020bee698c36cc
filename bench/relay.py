"""How fast a job may write: through its terminal against a relay in C, without one against a plain file."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from statistics import median

from .figures import Figure
from .harness import SCRATCH, World, in_turn, native, world

ROUNDS = 9
TTY_MB, PLAIN_MB = 100, 300
REPORT = SCRATCH / "flooded"


def figures() -> list[Figure]:
    """MB/s, 10^6 bytes, as the writer sees it."""
    with world() as host, world(PATH=_without_tmux()) as blind:
        terminal = in_turn(
            ROUNDS,
            bare=lambda: _bare([native("relay"), str(SCRATCH / "flood.log"), *_flood(TTY_MB)]),
            viewed=lambda: _job(host, TTY_MB, True, viewed=True),
            unseen=lambda: _job(blind, TTY_MB, True),
        )
        plain = in_turn(
            ROUNDS,
            bare=lambda: _bare(
                ["sh", "-c", f"exec {shlex.join(_flood(PLAIN_MB))} > {SCRATCH / 'flood.log'}"], PLAIN_MB
            ),
            job=lambda: _job(host, PLAIN_MB, False),
        )
    return [
        _figure(
            "100 MB through the terminal, its view in tmux open",
            terminal["viewed"],
            terminal["bare"],
            "relay in C",
            0.9,
        ),
        _figure("the same without a view", terminal["unseen"], terminal["bare"], "relay in C", 0.9),
        _figure("300 MB with --no-tty", plain["job"], plain["bare"], "cmd > file", 0.8),
    ]


def _figure(what: str, ours: list[float], bare: list[float], yardstick: str, least: float) -> Figure:
    # Each turn against the yardstick's just before it: the machine was the same for both.
    best, pairs = max(ours) / max(bare), median(one / other for one, other in zip(ours, bare, strict=True))
    return Figure(
        what,
        _speeds(ours),
        f"{yardstick}: {_speeds(bare)}",
        f"median of pairs {pairs:.0%}, of bests {best:.0%}",
        f">= {least:.0%}",
        pairs >= least,
    )


def _speeds(found: list[float]) -> str:
    return f"best {max(found):.0f} MB/s, median {median(found):.0f}"


def _flood(megabytes: int) -> list[str]:
    return [native("flood"), str(megabytes), str(REPORT)]


def _speed(megabytes: int) -> float:
    return megabytes / float(REPORT.read_text())


def _bare(words: list[str], megabytes: int = TTY_MB) -> float:
    (SCRATCH / "flood.log").unlink(missing_ok=True)
    subprocess.run(words, check=True, timeout=300)
    return _speed(megabytes)


def _job(host: World, megabytes: int, tty: bool, viewed: bool = False) -> float:
    job = host.agent.submit("flood", "exec " + shlex.join(_flood(megabytes)), tty=tty)
    if viewed:
        assert host.agent.call("attach", job="flood")["session"] == "flood"
    host.agent.wait("flood")
    log = Path(job["log_path"])
    expected = megabytes * 1_000_000 + (megabytes * 10_000 if tty else 0)  # the terminal makes CR LF of LF
    assert log.stat().st_size == expected, (log.stat().st_size, expected)
    log.unlink()
    return _speed(megabytes)


def _without_tmux() -> str:
    """A PATH with everything but tmux."""
    tools = SCRATCH / "no-tmux"
    if not tools.exists():
        tools.mkdir()
        # The first directory that has a program wins, as on a PATH.
        for directory in reversed(os.environ["PATH"].split(os.pathsep)):
            for program in Path(directory).glob("*"):
                (tools / program.name).unlink(missing_ok=True)
                if program.name != "tmux":
                    (tools / program.name).symlink_to(program)
    return str(tools)
