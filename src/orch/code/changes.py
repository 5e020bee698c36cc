"""What is to be entered into our index: looked at on disk first, then hashed by git.

Invariants
- A file is looked at before and after it is hashed, and hashed again if it has changed meanwhile.
- What goes into a snapshot are files and links; whatever else is there is left out, and said where git would track it.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable

from orch.errors import OrchError

from .doubts import Doubts, look
from .git import Failed, age, joined
from .listing import Listing
from .own import Own

_TRIES = 3
_TOLD = 3
_MANY, _MUCH = 2000, 50 << 20  # files and bytes that take a second or so
_PACKS = "2.37"  # the first git that packs what one update-index reads together
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Changes:
    """The changes of a working tree since the last snapshot. ``notes``: what the person should know of them."""

    def __init__(self, own: Own, doubts: Doubts, most: int, tell: Callable[[str, str], None]) -> None:
        self.notes: list[str] = []
        self._own = own
        self._doubts = doubts
        self._top = os.fsencode(own.top)
        self._most = most
        self._tell = tell
        self._gone: list[bytes] = []
        self._come: dict[bytes, os.stat_result | None] = {}
        self._real: dict[bytes, bool] = {b"": True}
        self._how: tuple[str, ...] = ()

    def find(self, listing: Listing, known: set[bytes], dirty: set[bytes]) -> bool:
        """Whether there are any: what is listed and not ``known`` to our index, or ``dirty``, and what is gone."""
        self._gone = list(known - listing.paths)
        large: list[tuple[bytes, int]] = []
        for path in (listing.paths - known) | (listing.paths & (dirty | self._doubts.paths)):
            found = self._fit(path)
            if found is not None and stat.S_ISREG(found.st_mode) and found.st_size > self._most:
                large.append((path, found.st_size))
            elif found is not None:
                self._come[path] = found
            elif path in known:
                self._gone.append(path)
        if len(self._come.keys() & listing.untracked) > _MANY and not age(_PACKS):
            self._how = ("-c", "core.bigFileThreshold=1")  # into one pack, and not as many files again
        if large:
            raise self._too_large(sorted(large))
        return bool(self._gone or self._come)

    def _fit(self, path: bytes) -> os.stat_result | None:
        """What is there; None where it is nothing that a snapshot can have."""
        if b".git" in path.lower() and b".git" in path.lower().split(b"/"):
            self._note(path, "git keeps its own under that name")
            return None
        if not self._is_real(os.path.dirname(path)):
            return None
        found = self._look(path)
        if found is None or stat.S_ISDIR(found.st_mode):
            return None
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            self._note(path, f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}")
            return None
        return found

    def _look(self, path: bytes) -> os.stat_result | None:
        try:
            return os.lstat(os.path.join(self._top, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from None

    def _is_real(self, directory: bytes) -> bool:
        """Whether it is one, and no link on the way there."""
        if directory not in self._real:
            found = self._look(directory) if self._is_real(os.path.dirname(directory)) else None
            self._real[directory] = found is not None and stat.S_ISDIR(found.st_mode)
        return self._real[directory]

    # Into the index

    def enter(self) -> None:
        """Have git read what has come. What of that it may take for what it has, it has to forget first."""
        size = sum(found.st_size for found in self._come.values() if found is not None)
        if len(self._come) > _MANY or size > _MUCH:
            self._tell("snapshot", f"reading {len(self._come):,} files, {size / (1 << 20):,.0f} MB")
        self._doubts.begin(self._come)
        stale = [*self._gone, *(self._come.keys() & self._doubts.paths)]
        waiting: Iterable[bytes] = self._come
        for _ in range(_TRIES):
            if stale:
                self._own.git.run("update-index", "-z", "--force-remove", "--stdin", given=joined(stale))
            self._read(waiting)
            waiting = stale = [path for path in waiting if self._has_changed(path)]
            if not waiting:
                break
        for path in waiting:
            self.notes.append(f"{_text(path)} changed while it was read: the snapshot may have some of both")
        self._doubts.end({**self._come, **dict.fromkeys(waiting)})

    def _read(self, waiting: Iterable[bytes]) -> None:
        words = (*self._how, "update-index", "-z", "--add", "--remove", "--replace", "--stdin")
        for tries in range(_TRIES):
            try:
                self._own.git.run(*words, given=joined(waiting))
                return
            except Failed:
                self._refuse_unreadable(waiting)  # else something vanished, or became another thing, meanwhile
                self._real = {b"": True}
                waiting = [path for path in waiting if self._fit(path) is not None]
                if tries == _TRIES - 1:
                    raise

    def _has_changed(self, path: bytes) -> bool:
        """Whether it is another than when it was last looked at; it is looked at for the next time."""
        before, self._come[path] = self._come[path], self._look(path)
        return look(before) != look(self._come[path])

    def _refuse_unreadable(self, waiting: Iterable[bytes]) -> None:
        for path in waiting:
            found = self._look(path)
            if found is None or not stat.S_ISREG(found.st_mode):
                continue
            try:
                os.close(os.open(os.path.join(self._top, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unreadable(path, error) from None

    # Words

    def _note(self, path: bytes, why: str) -> None:
        self.notes.append(f"{_text(path)} was left out: {why}")

    def _unreadable(self, path: bytes, error: OSError) -> OrchError:
        place = os.path.join(self._own.top, os.fsdecode(path))
        hint = f"ls -ld {shlex.quote(place)}    # or name it in .gitignore or .orchignore"
        return OrchError("refused", f"{place} cannot be read ({error.strerror}), so no snapshot can be taken", hint)

    def _too_large(self, large: list[tuple[bytes, int]]) -> OrchError:
        told = ", ".join(f"{_text(path)} ({_megabytes(size)})" for path, size in large[:_TOLD])
        more = f" and {len(large) - _TOLD} more" if len(large) > _TOLD else ""
        message = f"{told}{more}: more than the {_megabytes(self._most)} that one file of a snapshot may have"
        hint = (
            "data: [sync] share = [DIR] in orch.toml, then orch sync says how to orch push it there, once; "
            "what is not needed there: .orchignore; or [sync] max_file = SIZE"
        )
        return OrchError("refused", message, hint)


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f}MB" if size >= 1 << 20 else f"{size:,} bytes"


def _text(path: bytes) -> str:
    return path.decode(errors="backslashreplace")
