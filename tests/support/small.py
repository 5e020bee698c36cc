"""A host with little memory: a control group with a limit, and in it the agent, its keepers, its jobs and a person."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.agent import Agent, eventually

_MEMORY = Path("/sys/fs/cgroup/memory")


class Small:
    """A memory group of version 1 with a limit in bytes; enter it by ``words``."""

    def __init__(self, name: str, limit: int) -> None:
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
        self.path = _MEMORY / own.split(":", 2)[2].strip("/") / f"orch-small-{name}-{os.getpid()}"
        self.path.mkdir()
        (self.path / "memory.limit_in_bytes").write_text(str(limit))

    def words(self, *words: str) -> list[str]:
        """A command line that runs in the group."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh", *words]

    def kills(self) -> int:
        """How many processes the kernel has killed in it for want of memory."""
        files = [self.path / "memory.oom_control", *self.path.glob("**/memory.oom_control")]
        return sum(int(file.read_text().split()[-1]) for file in set(files))

    def pids(self) -> list[int]:
        """Who lives in it."""
        files = [self.path / "cgroup.procs", *self.path.glob("**/cgroup.procs")]
        return [int(word) for file in files for word in file.read_text().split()]

    def close(self) -> None:
        """Take it away, once everybody has left."""
        eventually(lambda: not self.pids(), "nobody is left in the small group")
        for folder, _, _ in os.walk(self.path, topdown=False):
            eventually(lambda folder=folder: _is_removed(folder), f"{folder} can be removed")  # type: ignore[misc]


def _is_removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False  # a moment longer: the last of its processes are still being buried
    return True


class SmallHost(Agent):
    """An agent that lives in a small group."""

    def __init__(self, home: Path, small: Small, **more: Any) -> None:
        super().__init__(home, **more)
        self.small = small

    def argv(self, verb: str, *words: str) -> list[str]:
        return self.small.words(*super().argv(verb, *words))


class Person:
    """Somebody who types into a shell in the group: how long it takes to answer, in seconds."""

    def __init__(self, small: Small) -> None:
        pipe = subprocess.PIPE
        self._shell = subprocess.Popen(small.words("bash", "--norc"), stdin=pipe, stdout=pipe, bufsize=0)
        self.waits: list[float] = []

    def types(self, line: str) -> str:
        """A line into the shell; the first line that it says."""
        assert self._shell.stdin and self._shell.stdout
        began = time.monotonic()
        self._shell.stdin.write(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = os.read(self._shell.stdout.fileno(), 4096)
            assert piece, "the shell has ended"
            answer += piece
        self.waits.append(time.monotonic() - began)
        return answer.decode().strip()

    def close(self) -> None:
        """Log out."""
        assert self._shell.stdin and self._shell.stdout
        with self._shell:
            self._shell.stdin.close()
