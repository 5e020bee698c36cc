"""A repository of our own for each working tree, in the cache: what its last snapshot was, and what hosts have of it.

Invariants
- It may be deleted at any time, and is made anew where it is damaged; nothing else depends on it.
- Objects that the person's repository has are not written again: it is an alternate. Nothing is written into that one.
- No filter, no conversion, no hook: a blob is the bytes on disk.
- One process at a time changes the index: a lock, which git inherits. So it is held for as long as anybody is at work,
  also where orch was killed, and a lock file of git's that is found under it was left by somebody who died.
"""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from orch import paths
from orch.bundle import sha256
from orch.files import remove, write_whole

from .git import Failed, Git

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = false
\tfileMode = true
\tsymlinks = true
\tignoreCase = false
\tprotectNTFS = false
\tprotectHFS = false
\tautocrlf = false
\tfsync = none
\tcompression = 1
\tbigFileThreshold = 64m
\thooksPath = /dev/null
[index]
\tversion = 4
[gc]
\tauto = 3000
\tautoPackLimit = 20
\tpackRefs = false
\tpruneExpire = 1.day.ago
[pack]
\twriteBitmaps = false
"""
_ATTRIBUTES = "* -text -eol -crlf -filter -ident !working-tree-encoding\n"
_LOOSE = 3000 // 256  # objects in one of 256 directories, as git itself guesses how many there are
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "orch"), ("EMAIL", "orch@localhost"), ("DATE", "@0 +0000"))
}
"""Always the same, so that the same tree is the same commit."""
LAST = "last"
"""The reference of what was taken last."""


class Own:
    """Our repository of the working tree ``top``; ``held`` is its lock, for those who change its index."""

    def __init__(self, top: str, held: int | None = None) -> None:
        key = sha256(os.fsencode(top))[:16]
        self.top = top
        self.place = paths.snapshots(key)
        self.directory = os.path.join(self.place, "git")
        self._held = held
        more = {"GIT_DIR": self.directory, "GIT_WORK_TREE": top, "GIT_CONFIG_GLOBAL": "/dev/null"}
        self.git = Git(top, {**more, "GIT_CONFIG_NOSYSTEM": "1", **_IDENTITY}, held)

    def prepare(self, objects: str) -> None:
        """See to it that it is there, beside the person's ``objects``."""
        if not os.path.exists(os.path.join(self.directory, "config")):
            self.wipe()
            for name in ("refs/orch/hosts", "objects/info", "info"):
                os.makedirs(os.path.join(self.directory, name), 0o700)
            self._write("HEAD", "ref: refs/heads/none\n")
            self._write("info/attributes", _ATTRIBUTES)
            self._write("config", _CONFIG)
        quoted = "".join({"\\": r"\\", '"': r"\"", "\n": r"\n"}.get(letter, letter) for letter in objects)
        beside = f'"{quoted}"\n' if objects and _is_text(objects) else ""
        if self._read("objects/info/alternates") != beside:
            self._write("objects/info/alternates", beside)
        remove(os.path.join(self.directory, "index.lock"))

    def wipe(self) -> None:
        """Begin anew."""
        import shutil

        with suppress(FileNotFoundError):
            shutil.rmtree(self.directory)

    def sweep(self) -> None:
        """Remove what git has left half written, which may be large."""
        for left in glob.iglob(os.path.join(glob.escape(self.directory), "objects", "*", "tmp_*")):
            remove(left)

    def clock(self) -> tuple[int, int]:
        """The time in nanoseconds, by the clock of the disk that it is on; and which disk that is."""
        assert self._held is not None
        os.utime(self._held)
        found = os.fstat(self._held)
        return found.st_mtime_ns, found.st_dev

    def ref(self, name: str) -> str | None:
        """The snapshot that is noted there."""
        return (self._read(f"refs/orch/{name}") or "").strip() or None

    def set_ref(self, name: str, commit: str | None) -> None:
        """Note a snapshot, or that there is none."""
        if commit is None:
            remove(os.path.join(self.directory, "refs/orch", name))
        else:
            self._write(f"refs/orch/{name}", commit + "\n")

    def tidy(self) -> None:
        """Have git pack what has come together, in the background, if that is much."""
        with suppress(OSError, Failed):
            if len(os.listdir(os.path.join(self.directory, "objects", "17"))) > _LOOSE:
                self.git.run("gc", "--auto", "--quiet")

    def _write(self, name: str, text: str) -> None:
        write_whole(os.path.join(self.directory, name), text)

    def _read(self, name: str) -> str | None:
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return None


def _is_text(path: str) -> bool:
    return os.fsencode(path).decode(errors="replace") == path


@contextmanager
def owned(top: str, wait: Callable[[], None]) -> Iterator[Own]:
    """Our repository for whoever changes it; ``wait`` is called where somebody else is at it."""
    place = Own(top).place
    os.makedirs(place, 0o700, exist_ok=True)
    lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Own(top, lock)
    finally:
        os.close(lock)
