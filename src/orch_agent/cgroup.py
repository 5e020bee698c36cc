"""A control group for each job, where one can be had: exact memory, a limit, a freezer, and no escape.

Invariants
- Nothing here is needed: every function answers None, empty or nothing where the system says no.
- Groups are made below the one we were born in, in a folder of ours, never nested: a job that submits
  jobs gets them beside itself. Their names tell whose home a job is of, for ids may repeat in another.
- Version 1's memory hierarchy counts where it is writable, else version 2. Where the one that counts cannot freeze, the
  job is in a second one, of version 2 or of version 1's freezer: a group is one directory or two.
- Keepers of jobs are in no job's group, so freezing or killing a group never meets one of them.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Optional

from . import layout

FOLDER = "orch-jobs"
_DISABLED = "ORCH_NO_CGROUP"


def read(path: str) -> str:
    """What a control file says; empty where there is none."""
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


def number(path: str, key: Optional[str] = None) -> Optional[int]:
    """The number in a control file, or behind ``key`` in it; None where there is none (``max`` is none)."""
    text = read(path)
    if key is not None:
        text = fields(text).get(key, "")
    return int(text) if text.strip().isdigit() else None


def fields(text: str) -> dict[str, str]:
    """Lines of name and value."""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


@cache
def mounts() -> dict[str, tuple[str, str]]:
    """The hierarchies: ``memory`` and ``freezer`` of version 1, version 2 as the empty name.

    Of each, where it is mounted, and below that the group we were born in (``/`` or ``/some/group``).
    """
    found: dict[str, tuple[str, str]] = {}
    own = {}
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    for line in read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        names = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        for hierarchy in {"", "memory", "freezer"}.intersection(names).intersection(own):
            root, where = left.split(" ")[3:5]
            found[hierarchy] = (where, _below(root, own[hierarchy]))
    return found


def _below(root: str, path: str) -> str:
    """Our group as this mount shows it; a container may be shown its own as the root of all."""
    born = path.split("/" + FOLDER, 1)[0]
    if root != "/" and (born + "/").startswith(root + "/"):
        born = born[len(root) :]
    return "/" if "/.." in born else "/" + born.strip("/")


def lineage(hierarchy: str) -> Iterator[str]:
    """The directories of the group we were born in and of all above it."""
    if hierarchy not in mounts():
        return
    where, below = mounts()[hierarchy]
    while True:
        yield os.path.join(where, below.strip("/")).rstrip("/")
        if below == "/":
            return
        below = os.path.dirname(below)


@cache
def _folders() -> tuple[str, ...]:
    """Our folders of groups, made where they may be made: the one that counts memory first."""
    if os.environ.get(_DISABLED):
        return ()
    found: dict[str, None] = {}
    for choices in (("memory", ""), ("", "freezer")):
        folders = (os.path.join(next(lineage(one)), FOLDER) for one in choices if one in mounts())
        found.update(dict.fromkeys([folder for folder in folders if _make(folder)][:1]))
    return tuple(found)


def _make(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        return os.access(os.path.join(folder, "cgroup.procs"), os.W_OK)
    except OSError:
        return False


class Group:
    """The group of one job: its directories, of which the first counts memory."""

    def __init__(self, *folders: str) -> None:
        self._folders = folders
        self.path = "\n".join(folders)

    def enter(self) -> bool:
        """Move the calling process in."""
        return self._write_all("cgroup.procs", "0") == len(self._folders)

    def pids(self) -> list[int]:
        """Who is in it."""
        files = (read(os.path.join(folder, "cgroup.procs")) for folder in self._folders)
        return list(dict.fromkeys(int(word) for text in files for word in text.split()))

    def _set(self, name: str, text: str) -> bool:
        """Write to every control file of this name; whether there was one."""
        return self._write_all(name, text) > 0

    def _write_all(self, name: str, text: str) -> int:
        return sum(_write(os.path.join(folder, name), text) for folder in self._folders)

    def _get(self, name: str, key: Optional[str] = None) -> Optional[int]:
        return number(os.path.join(self._folders[0], name), key)

    def memory(self) -> Optional[int]:
        """Anonymous and shared memory in bytes, each page once; None where this group does not count."""
        stat = fields(read(os.path.join(self._folders[0], "memory.stat")))
        anonymous = stat.get("anon", stat.get("rss"))
        return None if anonymous is None else int(anonymous) + int(stat.get("shmem", 0))

    def limit(self, amount: int) -> bool:
        """Have the kernel kill whoever would bring it above so many bytes, swap included; whether it will."""
        self._set("memory.swap.max", "0")
        self._set("memory.oom.group", "1")
        if self._set("memory.max", str(amount)):
            return True
        done = self._set("memory.limit_in_bytes", str(amount))
        self._set("memory.memsw.limit_in_bytes", str(amount))
        return done

    def has_met(self, limit: int) -> bool:
        """Whether it has met this limit. Not every version 1 counts that, but all tell the most that was used."""
        near = limit - max(limit // 50, 4 << 20)  # what did not fit any more may have been a large page
        return bool(self._get("memory.events", "max")) or (self._get("memory.max_usage_in_bytes") or 0) >= near

    def oom_kills(self) -> Optional[int]:
        """How many of its processes the kernel has killed for want of memory; None where this group does not count."""
        kills = self._get("memory.events", "oom_kill")
        return self._get("memory.oom_control", "oom_kill") if kills is None else kills

    def freeze(self) -> bool:
        """Let none of its processes run; whether the kernel does that."""
        for folder in self._folders:
            for name, word in (("cgroup.freeze", "1"), ("freezer.state", "FROZEN")):
                if read(os.path.join(folder, "cgroup.procs")) and _write(os.path.join(folder, name), word):
                    return True
        return False

    def thaw(self) -> None:
        """Let them run again."""
        self._set("cgroup.freeze", "0")
        self._set("freezer.state", "THAWED")

    def kill(self) -> None:
        """Kill all at once, where the kernel can."""
        self._set("cgroup.kill", "1")

    def remove(self) -> None:
        """Give it back, with the groups that the job made in it; it stays while somebody is in it."""
        for top in self._folders:
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass


def create(job_id: str) -> Optional[Group]:
    """A fresh group for this job, or None."""
    name = "%s.%08x" % (job_id, zlib.crc32(os.fsencode(os.path.realpath(layout.root()))))
    folders = [os.path.join(folder, name) for folder in _folders()]
    made = [folder for folder in folders if _make(folder)]
    return Group(*made) if made else None


def keep_apart() -> None:
    """Move the calling process, a keeper of jobs, out of any job's group and into one for keepers.

    Version 2 counts only in groups whose parents hold no process themselves: that is asked for here,
    and refused by the kernel where others live beside us.
    """
    for folder in _folders():
        keepers = os.path.join(folder, "keepers")
        if _make(keepers) and Group(keepers).enter():
            for parent in (os.path.dirname(folder), folder):
                _write(os.path.join(parent, "cgroup.subtree_control"), "+memory")


def find(path: Optional[str]) -> Optional[Group]:
    """The group kept under this path in a record, or None."""
    folders = [folder for folder in (path or "").split("\n") if folder and os.path.isdir(folder)]
    return Group(*folders) if folders else None
