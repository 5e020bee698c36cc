"""A person's working tree with real git, and what a snapshot of it holds."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from orch.code import Snapshot, take
from orch.code.own import Own

_PERSON = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}
_SETTINGS = ("protocol.file.allow=always", "init.defaultBranch=main", "core.protectNTFS=false")
Contents = dict[bytes, tuple[str, bytes]]


def git(directory: Path, *words: str, **more: Any) -> bytes:
    """What git prints there; it has to succeed."""
    done = subprocess.run(
        ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *words],
        cwd=directory,
        env={**os.environ, **_PERSON, **more.pop("env", {})},
        capture_output=True,
        check=False,
        **more,
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {os.fsdecode(done.stderr)}"
    return done.stdout


class Worktree:
    """A clone of nothing in the directory ``top``."""

    def __init__(self, top: Path, is_git: bool = True) -> None:
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        if is_git:
            self.git("init", "-q")

    def git(self, *words: str, **more: Any) -> bytes:
        return git(self.top, *words, **more)

    def write(self, name: str, text: str | bytes = "text\n", mode: int = 0o644) -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a commit", "--allow-empty")
        return self.git("rev-parse", "HEAD").decode().strip()

    def names(self) -> set[str]:
        """The names in a snapshot of it, taken now."""
        return {os.fsdecode(path) for path in contents(take(str(self.top)))}

    def kept(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything that git keeps there. Of objects the time is none of ours: git renews it where it meets them."""
        found = {}
        for path in sorted((self.top / ".git").rglob("*")):
            look = path.lstat()
            time = 0 if "objects" in path.parts else look.st_mtime_ns
            found[str(path)] = (look.st_mode, time, path.read_bytes() if stat.S_ISREG(look.st_mode) else b"")
        return found

    def ignored(self, paths: set[bytes]) -> set[bytes]:
        """Which of these git has been told to leave alone, and has not been told to track."""
        words = ["git", "-C", str(self.top), "check-ignore", "--no-index", "-z", "--stdin"]
        done = subprocess.run(words, input=b"".join(path + b"\0" for path in paths), capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        return set(done.stdout.split(b"\0")[:-1]) - set(self.git("ls-files", "-z").split(b"\0"))

    def status(self) -> bytes:
        """What git says of it, and remembers nothing of."""
        return self.git("--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z", "--ignored")


def contents(snapshot: Snapshot) -> Contents:
    """Mode and bytes of everything in a snapshot, as git reads it."""
    return contents_of(Path(snapshot.top), snapshot.commit, {"GIT_DIR": Own(snapshot.top).directory})


def contents_of(top: Path, commit: str, environment: dict[str, str] | None = None) -> Contents:
    """Mode and bytes of everything in a commit."""
    own = environment or {}
    listed = git(top, "ls-tree", "-r", "-z", commit, env=own)
    entries = [entry.split(b"\t", 1) for entry in listed.split(b"\0")[:-1]]
    wanted = b"".join(fields.split()[2] + b"\n" for fields, _ in entries)
    blobs = git(top, "cat-file", "--batch", env=own, input=wanted)
    found: Contents = {}
    for fields, path in entries:
        header, _, blobs = blobs.partition(b"\n")
        size = int(header.split()[2])
        found[path] = (fields.split()[0].decode(), blobs[:size])
        blobs = blobs[size + 1 :]
    return found
