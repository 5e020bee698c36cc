"""The process tree of one job: who is in it, and how it is ended.

Invariants
- On Linux the runner is the subreaper: whatever the job starts, however it detaches, is below the runner.
  Elsewhere, and after a runner's death, the control group and the marker in the environment find the rest.
- Agents below a job (it submitted jobs itself) are not of its tree.
- Ending is TERM to everybody (and CONT, for a stopped process hears nothing, and thawing, for neither does a frozen
  one), patience, then KILL, again and again until nobody is left.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Optional

from . import cgroup, freezer, layout, procs
from .ledger import Record
from .procs import Process

_SUBREAPER = 36
SURVIVORS_GRACE = 5.0
"""Seconds between TERM and KILL for what is left when a command has exited."""
TIMEOUT_GRACE = 10.0
"""Seconds between TERM and KILL for a job that has reached its time limit, or has stalled."""
STEP = 0.02
"""Seconds between two looks at a tree that is being ended."""


def become_subreaper() -> bool:
    """Have orphans below us handed to us; whether this system can."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


class Tree:
    """The processes of a job. ``parent``: the pid of a subreaper whose children are all the job's, or None."""

    def __init__(
        self, job_id: str, root: tuple[int, str], group: Optional[cgroup.Group], parent: Optional[int]
    ) -> None:
        self.job_id = job_id
        self.root, self._birth = root
        self.group = group
        self.parent = parent
        self.strangers: set[int] = set()

    def members(self, thorough: bool = False) -> dict[int, Process]:
        """Who lives, by pid. ``thorough`` asks every process of the host for the marker if it must."""
        roots = [self.root] if self.has_root() else []
        if self.parent is not None:
            roots += procs.children(self.parent)
        elif thorough:
            roots += procs.marked(self.job_id)
        if self.group is not None:
            roots += self.group.pids()
        own = [pid for pid in dict.fromkeys(roots) if pid == self.root or not self._is_stranger(pid)]
        return procs.descendants(own)

    def has_root(self) -> bool:
        """Whether the command itself still lives."""
        return procs.is_same(self.root, self._birth)

    def survivors(self) -> dict[int, Process]:
        """Who lives; the look at every process costs, and is taken when the quick look finds nobody."""
        return self.members() or self.members(thorough=True)

    def _is_stranger(self, pid: int) -> bool:
        if pid == os.getpid() or procs.is_agent(pid):
            self.strangers.add(pid)
            return True
        return False

    def signal(self, members: dict[int, Process], *numbers: int) -> None:
        """Send signals to those of ``members`` that are still who they were."""
        for process in members.values():
            for number in numbers:
                try:
                    if procs.is_same(process.pid, process.birth):
                        os.kill(process.pid, number)
                except OSError:
                    pass  # gone by itself, or another user's (setuid): nothing we may do


def of(record: Record, runner: Optional[int] = None) -> Tree:
    """The tree of a job as its record tells it, and the pid of its runner, where it has one."""
    parent = runner if sys.platform == "linux" else None
    return Tree(record.id, (record.pid or 0, record.birth or ""), cgroup.find(record.cgroup), parent)


class Ending:
    """The ending of a tree, step by step: call ``step`` as often as you like until it says True."""

    def __init__(self, tree: Tree, grace: float) -> None:
        self.tree = tree
        self.kill_at = time.monotonic() + grace
        self.asked = 0
        self._told: set[tuple[int, str]] = set()
        self._next = 0.0
        freezer.thaw(tree.job_id, tree)

    def step(self) -> bool:
        """Whether nobody is left."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + STEP
        if os.path.exists(layout.frozen_file(self.tree.job_id)):
            freezer.thaw(self.tree.job_id, self.tree)  # the guard has not heard of its end
        members = self.tree.members(thorough=True)
        if now >= self.kill_at:
            # First stop all: nobody may fork away while others are killed.
            self.tree.signal(members, signal.SIGSTOP)
            self.tree.signal(self.tree.members(thorough=True), signal.SIGKILL)
        else:
            fresh = {pid: one for pid, one in members.items() if (pid, one.birth) not in self._told}
            self._told.update((pid, one.birth) for pid, one in fresh.items())
            self.asked += len(fresh)
            self.tree.signal(fresh, signal.SIGTERM, signal.SIGCONT)
        return not members

    def hurry(self, grace: float) -> None:
        """Shorten the patience."""
        self.kill_at = min(self.kill_at, time.monotonic() + grace)
