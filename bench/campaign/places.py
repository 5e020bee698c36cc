"""What a campaign happens to: a host with a small disk, and the clients' ways to it.

Invariants
- The home of the account lies on a file system of its own, which can be made full; what jobs tell beside orch does not.
- Everything is seen from here: the host's processes by our pids, its files by our paths.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support import disk
from tests.support.agent import Agent
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.root import as_root

from . import plan, work
from .ways import Command, Verbs, Way

ROOM = 192 << 20
"""Bytes of the disk that the home is on."""


class Process(NamedTuple):
    """A process of the host: our pid for it and its own, its parent, words, and working directory."""

    pid: int
    own_pid: int
    parent: int
    words: list[str]
    cwd: str

    @property
    def role(self) -> str:
        """``supervisor``, ``runner``, ``adopt``, ``view`` or a verb of the agent; ``job``, ``tmux``, or nothing."""
        if any(word.endswith("/work.py") for word in self.words):
            return "job"
        if self.words and self.words[0].split(":")[0] == "tmux":
            return "tmux"
        if len(self.words) < 5 or "agent-" not in self.words[3]:
            return ""
        return "runner" if self.words[4] == "supervisor" and self.job else self.words[4]

    @property
    def job(self) -> str:
        """The job whose directory it works in, or which it was called for."""
        found = re.search(r"/\.orch/jobs/([^/]+)$", self.cwd)
        return found[1] if found else self.words[5] if len(self.words) > 5 else ""


class Place:
    """One host. ``home`` is the account's as seen from here, ``effects`` what the jobs tell."""

    kinds = plan.LOCAL
    effects: Path

    def __init__(self, stack: ExitStack, owner: tuple[int, int]) -> None:
        # Short: sockets lie in it, and their paths have a limit.
        self.directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="c-", dir="/tmp", ignore_cleanup_errors=True))
        )
        self.directory.chmod(0o755)
        self.home = self.directory / "home"
        self.home.mkdir()
        self.lock = threading.RLock()
        self.ways: list[Way] = []
        self._mount(f"size={ROOM},mode=755,uid={owner[0]},gid={owner[1]}")
        stack.callback(as_root, "umount", "-l", str(self.home))

    def _mount(self, options: str) -> None:
        as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.home))

    @property
    def root(self) -> Path:
        """Where orch keeps its own files there."""
        return self.home / ".orch"

    def here(self, path: str) -> Path:
        """What the host calls ``path``, as seen from here."""
        return Path(path)

    def command(self, job: plan.Job) -> str:
        """What is submitted."""
        program, effects = self.program()
        words = (effects, str(job.lines), f"{job.seconds:.3f}", job.behaviour, *job.flags)
        return f"exec python3 -I -S {program} {' '.join(words)}"

    def program(self) -> tuple[str, str]:
        """The paths there of what jobs run and of what they tell."""
        raise NotImplementedError

    # Processes

    def processes(self) -> list[Process]:
        """Everything of ours that runs there."""
        found = map(self.look, map(int, filter(str.isdigit, os.listdir("/proc"))))
        return [one for one in found if one is not None]

    def look(self, pid: int) -> Process | None:
        """The process with this pid, if it is ours."""
        place = Path("/proc", str(pid))
        with suppress(OSError, IndexError):
            if self._is_ours(place):
                words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                status = dict(re.findall(r"^(\w+):\s*(.*)$", (place / "status").read_text(), re.M))
                own = int(status["NSpid"].split()[-1])
                return Process(pid, own, int(status["PPid"]), words, os.readlink(place / "cwd"))
        return None

    def _is_ours(self, place: Path) -> bool:
        raise NotImplementedError

    def supervisors(self) -> list[Process]:
        """The one that holds the lock, as it says itself; none where that one is gone."""
        with suppress(OSError, AttributeError):
            text = (self.root / "live/supervisor.lock").read_text()
            pid = int(re.search(r"\d+", text)[0])  # type: ignore[index]
            return [one for one in self.processes() if one.role == "supervisor" and one.own_pid == pid]
        return []

    def runners(self) -> list[Process]:
        """One for each job that has one; what a runner has forked and not yet let go is none."""
        found = [one for one in self.processes() if one.role == "runner"]
        pids = {one.pid for one in found}
        return [one for one in found if one.parent not in pids]

    # Faults that a place can have

    def fill(self) -> None:
        """Not a byte is left on the disk."""
        for _ in range(20):  # who writes meanwhile makes it too large for what it is made
            found = os.statvfs(self.home)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            if not subprocess.run(
                ["mount", "-o", f"remount,size={used}", str(self.home)], capture_output=True, check=False
            ).returncode:
                return

    def empty(self) -> None:
        """There is room again."""
        as_root("mount", "-o", f"remount,size={ROOM}", str(self.home))


class Local(Place):
    """This machine, called by the agent's verbs."""

    def __init__(self, stack: ExitStack, clients: int) -> None:
        super().__init__(stack, (os.getuid(), os.getgid()))
        places = {"TMUX_TMPDIR": str(self.directory)}
        agent = Agent(self.home)
        stack.callback(self._end)
        self.effects = self.directory / "effects"
        self._program = shutil.copy(work.__file__, self.directory / "work.py")
        self.ways = [Verbs(agent, places) for _ in range(clients)]

    def program(self) -> tuple[str, str]:
        """The paths there of what jobs run and of what they tell."""
        return str(self._program), str(self.effects)

    def _is_ours(self, place: Path) -> bool:
        marker = os.fsencode(self.directory)
        return marker in (place / "cmdline").read_bytes() or marker in (place / "environ").read_bytes()

    def _end(self) -> None:
        while found := [one for one in self.processes() if one.pid != os.getpid()]:
            for one in found:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            time.sleep(0.05)


class Far(Place):
    """A machine of namespaces behind a link, called by ``orch`` from two laptops over ssh."""

    kinds = plan.FAR

    def __init__(self, stack: ExitStack, clients: int) -> None:
        super().__init__(stack, (disk.UID, disk.GID))
        self.link = Link()
        stack.callback(self.link.close)
        self.machine = Machine(link=self.link, home=self.home)
        stack.callback(self.machine.close)
        tells = self.machine.log.parent / "told"
        tells.mkdir()
        tells.chmod(0o777)
        self.effects = tells / "effects"
        self.machine.write("work.py", Path(work.__file__).read_text())
        self.machine.boot()
        self.laptops = [Laptop(self.machine) for _ in range(2)]
        for laptop in self.laptops:
            stack.callback(laptop.close)
        self.ways = [Command(self.laptops[number % 2]) for number in range(clients)]

    def program(self) -> tuple[str, str]:
        """The paths there of what jobs run and of what they tell."""
        return "/home/me/work.py", "/var/log/told/effects"

    def here(self, path: str) -> Path:
        """What the host calls ``path``, as seen from here."""
        return self.home / Path(path).relative_to("/home/me")

    def _is_ours(self, place: Path) -> bool:
        init = self.machine._init
        return init is not None and os.readlink(place / "ns/pid") == os.readlink(f"/proc/{init.pid}/ns/pid")

    def sshd(self) -> Iterator[int]:
        """Its sshd, one process after the other."""
        return (
            one.pid for one in self.processes() if one.words and one.words[0].startswith(("sshd", "/usr/sbin/sshd"))
        )


def open_place(stack: ExitStack, name: str, clients: int) -> Place:
    """``local`` or ``ssh``."""
    return {"local": Local, "ssh": Far}[name](stack, clients)


def names() -> Sequence[str]:
    """What ``open_place`` knows."""
    return ("local", "ssh")
