"""The person's git, run as a program that does one thing and leaves no trace.

Invariants
- What a hook or a shell has set for another repository (``GIT_DIR``, ``GIT_INDEX_FILE`` ...) does not reach it; where
  the person's configuration is, does.
- Nothing is asked, no lock is taken that is not needed, no daemon started, and what it says is in English.
- Names are bytes, and end with NUL.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Generator, Iterable, Mapping
from typing import NamedTuple

from orch.errors import OrchError

LEAST = "2.31"
"""The first git that tells paths in full when asked to (``rev-parse --path-format``)."""
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES", "GIT_EXEC_PATH")
_SET = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
_INSTALL = f"install git, {LEAST} or newer    # apt-get install git; brew install git"

_CHUNK = 1 << 18

Running = subprocess.Popen[bytes]


class Failed(Exception):
    """git ended with an error; its text is what git said."""

    @property
    def is_want_of_room(self) -> bool:
        """Whether the disk is full."""
        return any(os.strerror(number) in str(self) for number in (errno.ENOSPC, errno.EDQUOT))


class Done(NamedTuple):
    """What a git that has ended printed, and why it failed, if it has."""

    output: bytes
    failed: Failed | None

    @property
    def sure(self) -> bytes:
        """What it printed, where it has not failed."""
        if self.failed is not None:
            raise self.failed
        return self.output


class Git:
    """git in ``directory``, with more in its environment; children keep the lock ``held`` for as long as they live."""

    def __init__(self, directory: str, more: Mapping[str, str] | None = None, held: int | None = None) -> None:
        self.directory = directory
        self._held = () if held is None else (held,)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in _KEPT}
        self.environment = {**kept, **_SET, **(more or {})}

    def start(self, *words: str, fed: bool = False) -> Running:
        """It runs; ``gather`` brings what it printed."""
        pipe = subprocess.PIPE
        command = ["git", "-c", "core.fsmonitor=false", *words]
        try:
            return subprocess.Popen(
                command,
                stdin=pipe if fed else subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                cwd=self.directory,
                env=self.environment,
                pass_fds=self._held,
            )
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(self.directory):
                raise Failed(f"{self.directory} is no directory") from None
            raise OrchError("refused", "git was not found, which snapshots are made with", _INSTALL) from None

    def run(self, *words: str, given: bytes | None = None) -> bytes:
        """What it prints."""
        return gather(self.start(*words, fed=given is not None), given=given)[0].sure

    def pour(self, *words: str, given: str) -> Generator[bytes]:
        """What it prints, piece by piece, however much that is."""
        running = self.start(*words, fed=True)
        assert running.stdin is not None and running.stdout is not None
        try:
            with running.stdin:
                running.stdin.write(given.encode())
            running.stdin = None
            while chunk := running.stdout.read(_CHUNK):
                yield chunk
        except BrokenPipeError:
            running.stdin = None  # it ended before it had heard us, and says why
        except BaseException:
            running.kill()
            running.communicate()
            raise
        gather(running)[0].sure  # noqa: B018


def gather(*running: Running, given: bytes | None = None) -> list[Done]:
    """What several say that run side by side."""
    try:
        return [_done(one, *one.communicate(given)) for one in running]
    except BaseException:
        for one in running:
            one.kill()
            one.communicate()
        raise


def _done(one: Running, output: bytes, said: bytes) -> Done:
    # A directory that it may not read is only told by the way, and the snapshot would be another one without it.
    if one.returncode == 0 and b"could not open directory" not in said:
        return Done(output, None)
    return Done(output, Failed(os.fsdecode(said).strip() or f"git ended with status {one.returncode}"))


def split(output: bytes) -> list[bytes]:
    """Names that end with NUL."""
    return output.split(b"\0")[:-1]


def joined(names: Iterable[bytes]) -> bytes:
    """The same, to be read by git."""
    return b"".join(name + b"\0" for name in names)


def age(least: str = LEAST) -> str:
    """Its version, where that is older than ``least``."""
    words = Git("/").run("version").decode(errors="replace").split()
    version = words[2] if len(words) > 2 else "0"
    numbers = [int(part) if part.isdigit() else 0 for part in version.split(".")[:2]]
    return version if numbers < [int(part) for part in least.split(".")] else ""


def refused(message: str, failed: Failed) -> OrchError:
    """An error in words, for something that git would not do."""
    if version := age():
        return OrchError("refused", f"{message}: git {version} is too old", _INSTALL)
    hint = "df -h" if failed.is_want_of_room else "git status    # what git says of it"
    return OrchError("refused", f"{message}: {failed}", hint)
