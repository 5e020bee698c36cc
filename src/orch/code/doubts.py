"""Which files may be others than what was hashed though they look the same: git's index compares seconds.

Invariants
- A file whose times lay less than ``_REST`` before it was hashed is in doubt, for an edit behind that may leave the
  same times. It is hashed once more by the next snapshot.
- Times are believed where our own files are on the same disk, and so have the same clock; elsewhere, once a file has
  looked the same for that long.
- A file is noted before it comes into the index. Without notes there are no certainties, and all is hashed anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from orch.files import remove, write_whole

from .own import LAST, Own

_REST = 2_000_000_000
"""Nanoseconds in which every file system comes to another second, also one that counts by twos."""

Seen = Mapping[bytes, "os.stat_result | None"]


def look(found: os.stat_result | None) -> bytes:
    """What tells a file from what it was; of nothing, nothing."""
    if found is None:
        return b""
    fields = found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode
    return b"%d %d %d %d %d" % fields


class Doubts:
    """The files that are in doubt since the last snapshot, when that began, and how they looked."""

    def __init__(self, own: Own) -> None:
        self._file = os.path.join(own.directory, "doubts")
        self._now, self._disk = own.clock()
        self._when = 0
        self._looks: dict[bytes, bytes] = {}
        if not self._read():
            remove(os.path.join(own.directory, "index"))
            own.set_ref(LAST, None)

    @property
    def paths(self) -> set[bytes]:
        """Which they are."""
        return set(self._looks)

    def _read(self) -> bool:
        try:
            with open(self._file, "rb") as file:
                first, *entries = file.read().split(b"\0")
            when, count = map(int, first.split(b" "))
        except (OSError, ValueError):
            return False
        self._when = when
        self._looks = {path: how for how, _, path in (entry.partition(b"\t") for entry in entries)}
        return len(self._looks) == count

    def begin(self, come: Seen) -> None:
        """These are going to be hashed: until that is known to have come to its end, they are in doubt."""
        self._write({**self._looks, **dict.fromkeys(come, b"")})

    def end(self, come: Seen) -> None:
        """They were hashed, all that were in doubt among them, and looked so before and after it."""
        self._write({path: look(found) for path, found in come.items() if not self._is_sure(path, found)})

    def _write(self, looks: Mapping[bytes, bytes]) -> None:
        first = b"%d %d" % (self._now, len(looks))
        write_whole(self._file, b"\0".join([first, *(how + b"\t" + path for path, how in looks.items())]))

    def _is_sure(self, path: bytes, found: os.stat_result | None) -> bool:
        """Whether it has been at rest since long enough before it was hashed."""
        if found is None:
            return False
        since = max(found.st_mtime_ns, found.st_ctime_ns) if found.st_dev == self._disk else self._now
        if self._looks.get(path) == look(found):
            since = min(since, self._when)
        return since + _REST <= self._now
