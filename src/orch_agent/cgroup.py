"""A control group for each job, where one can be had: exact memory, and no escape.

Invariants
- Nothing here is needed: every function answers None, empty or nothing where the system says no.
- Groups are made below the one we were born in, in a folder of ours, never nested: a job that submits
  jobs gets them beside itself.
- Version 1's memory hierarchy is taken where it is writable, else version 2.
"""

from __future__ import annotations

import os
from typing import Optional

FOLDER = "orch-jobs"
_DISABLED = "ORCH_NO_CGROUP"


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> bool:
    try:
        with open(path, "r+") as file:
            file.write(text)
        return True
    except OSError:
        return False


def _mounts() -> dict[str, str]:
    """Where each hierarchy is mounted: ``memory`` of version 1, and version 2 as the empty name."""
    found: dict[str, str] = {}
    for line in _read("/proc/self/mounts").splitlines():
        _, where, kind, options = line.split(" ")[:4]
        if kind == "cgroup2":
            found[""] = where
        elif kind == "cgroup" and "memory" in options.split(","):
            found["memory"] = where
    return found


def _folder() -> Optional[str]:
    """Our folder of groups, made where it may be made."""
    mounts = _mounts()
    own = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    for hierarchy in ("memory", ""):
        if hierarchy in mounts and hierarchy in own:
            parent = own[hierarchy].split("/" + FOLDER, 1)[0].strip("/")
            folder = os.path.join(mounts[hierarchy], parent, FOLDER)
            if _make(folder):
                return folder
    return None


def _make(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        return os.access(os.path.join(folder, "cgroup.procs"), os.W_OK)
    except OSError:
        return False


class Group:
    """The group of one job."""

    def __init__(self, path: str) -> None:
        self.path = path

    def enter(self) -> bool:
        """Move the calling process in."""
        return _write(os.path.join(self.path, "cgroup.procs"), "0")

    def pids(self) -> list[int]:
        """Who is in it."""
        return [int(word) for word in _read(os.path.join(self.path, "cgroup.procs")).split()]

    def memory(self) -> Optional[int]:
        """Anonymous and shared memory in bytes, each page once; None where this group does not count."""
        stat = dict(line.split(" ", 1) for line in _read(os.path.join(self.path, "memory.stat")).splitlines())
        anonymous = stat.get("anon", stat.get("rss"))
        return None if anonymous is None else int(anonymous) + int(stat.get("shmem", 0))

    def remove(self) -> None:
        """Give it back, with the groups that the job made in it; it stays while somebody is in it."""
        for folder, _, _ in os.walk(self.path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def create(job_id: str) -> Optional[Group]:
    """A fresh group for this job, or None."""
    folder = None if os.environ.get(_DISABLED) else _folder()
    if folder is None:
        return None
    group = Group(os.path.join(folder, job_id))
    return group if _make(group.path) else None


def keep_apart() -> None:
    """Move the calling process, a keeper of jobs, out of any job's group and into one for keepers.

    Version 2 counts only in groups whose parents hold no process themselves: that is asked for here,
    and refused by the kernel where others live beside us.
    """
    folder = None if os.environ.get(_DISABLED) else _folder()
    if folder is None:
        return
    keepers = Group(os.path.join(folder, "keepers"))
    if _make(keepers.path) and keepers.enter():
        for parent in (os.path.dirname(folder), folder):
            _write(os.path.join(parent, "cgroup.subtree_control"), "+memory")


def find(path: Optional[str]) -> Optional[Group]:
    """The group kept under this path in a record, or None."""
    return Group(path) if path and os.path.isdir(path) else None
