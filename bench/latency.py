"""How long after a job printed a line a follower has it."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from .figures import Figure, ms
from .harness import HERE, ORCH, PYTHON, world

LINES = 200
LIMIT = 0.050


def figures() -> list[Figure]:
    """Three followers of the same job, so that they meet the same machine: ours, the agent's verb, and tail -f."""
    with world() as host:
        go = host.home / "go"
        words = [PYTHON, str(HERE / "jobs" / "ticker.py"), str(LINES), str(go)]
        job = host.agent.submit("ticker", "exec " + shlex.join(words))
        log = host.agent.running("ticker")["log_path"]
        request = json.dumps({"job": "ticker", "follow": True}).encode() + b"\n"
        followers = {
            "orch": Follower([*ORCH, "logs", "-f", "ticker"], host.env),
            "verb": Follower(host.agent.argv("logs"), host.env, request, header=True),
            "tail": Follower(["tail", "-c", "+1", "-f", log], host.env),
        }
        time.sleep(1)
        go.touch()
        host.agent.wait(f"ticker.{job['run']}")
        delays = {name: follower.delays() for name, follower in followers.items()}
    tail = _summary(delays["tail"])
    return [
        _figure("a line reaches orch logs -f", delays["orch"], tail),
        _figure("a line reaches the agent's logs verb", delays["verb"], tail),
    ]


class Follower:
    """A process whose lines are held against the clock as they come."""

    def __init__(self, words: Sequence[str], env: dict[str, str], stdin: bytes = b"", header: bool = False) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, env=env, cwd=Path("/"))
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(stdin)
        self._process.stdin.flush()
        self._delays: list[float] = []
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout, header), daemon=True)
        self._thread.start()

    def _read(self, out: IO[bytes], header: bool) -> None:
        if header:
            out.readline()
        while len(self._delays) < LINES and (line := out.readline()):
            self._delays.append((time.monotonic_ns() - int(line)) / 1e9)

    def delays(self) -> list[float]:
        """Seconds, sorted; every line must have come."""
        self._thread.join(10)
        self._process.terminate()
        self._process.communicate()
        assert len(self._delays) == LINES, f"{len(self._delays)} of {LINES} lines came"
        return sorted(self._delays)


def _summary(delays: list[float]) -> str:
    return f"median {ms(delays[LINES // 2])}, 99 % {ms(_late(delays))}, worst {ms(delays[-1])}"


def _late(delays: list[float]) -> float:
    return delays[LINES * 99 // 100 - 1]


def _figure(what: str, delays: list[float], tail: str) -> Figure:
    within = sum(delay <= LIMIT for delay in delays) / LINES
    return Figure(
        what, _summary(delays), f"tail -f: {tail}", f"{within:.1%} in time", "99 % <= 50 ms", _late(delays) <= LIMIT
    )
