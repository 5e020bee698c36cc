"""Writing a job's log.

Invariants
- Bytes go to the file as they come, before anybody is shown them; nothing is reformatted.
- A full disk stops neither the job nor the runner: up to ``_HOLD`` bytes wait in memory, what exceeds that
  is counted, and the log says at that very place how much is missing.
- A log that outgrows its limit loses its middle (``logcap``).
- Beside the log lies an index of (time, offset), at most one entry a second, for ``--since``.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterator
from typing import Optional

from .logcap import Cap

ENTRY = struct.Struct("<dQ")
_HOLD = 1 << 20
_PACE = 0.05
"""Seconds over which it is measured how fast a log grows that the job writes itself."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)


def create(path: str, link: str) -> None:
    """An empty log, so that a follower finds one before the job begins."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    point(link, path)


class JobLog:
    """The open log of a job: appended to by its runner, read back for the views."""

    def __init__(self, path: str, times_path: str, cap: Cap) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._times_path = times_path
        self._times: Optional[int] = None
        self.size = os.fstat(self.fd).st_size
        self.cap = cap
        self.lost = 0
        self._lost_here = 0
        self._held = b""
        self._stamp = 0
        self._measured = (time.monotonic(), self.size)
        self._rate = 0.0

    def write(self, data: bytes) -> None:
        """Append ``data``, now or when there is room again."""
        if self.cap.shut_at is not None:
            self.lost += len(data)
            return
        self.stamp(self.size)
        if self._held or self._lost_here:
            self._hold(data)
            self.retry()
        else:
            self._append(data)
            self._limit()

    def stamp(self, offset: int) -> None:
        """Note that the byte at ``offset`` comes now, unless this second has its note."""
        now = time.time()
        if int(now) != self._stamp:
            self._stamp = int(now)
            try:
                if self._times is None:
                    self._times = os.open(self._times_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.write(self._times, ENTRY.pack(now, offset))
            except OSError:
                pass  # --since becomes coarser, no more

    def retry(self) -> None:
        """Write what had to wait, then say what is missing behind it."""
        self.measure()
        held, self._held = self._held, b""
        if self._append(held) and self._lost_here:
            note = b"\r\n[orch: %d bytes are missing here: the disk was full]\r\n" % self._lost_here
            self._lost_here = 0
            self._append(note)

    def measure(self) -> None:
        """Learn the size, which is not ours alone: the job may write the file itself, anybody may cut it short."""
        size = os.fstat(self.fd).st_size
        self.lost += max(0, self.size - size)
        self.size = size
        self._limit()

    def _limit(self) -> None:
        """Hold the log to its limit."""
        self.cap.look()
        if self.cap.shut_at is not None:
            self.size = self.cap.shut_at

    def patience(self) -> float:
        """Seconds after which a log that the job writes itself may be near its limit, if it goes on growing so."""
        now, (then, before) = time.monotonic(), self._measured
        if now - then >= _PACE:
            self._rate = max(0.0, (self.size - before) / (now - then))
            self._measured = (now, self.size)
        return max(_PACE, self.cap.room(self.size) / self._rate / 2) if self._rate else float("inf")

    def finish(self) -> int:
        """Bring everything to the disk; how many bytes could not be kept."""
        self.retry()
        self.lost += len(self._held)
        try:
            if self.size:
                os.fsync(self.fd)
        except OSError:
            pass  # the bytes are with the kernel; there is nobody left to tell but the result, which follows
        return self.lost + self.cap.lost

    def _append(self, data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                written = os.write(self.fd, view)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._held = bytes(view)
                return False
            self.size += written
            view = view[written:]
        return True

    def _hold(self, data: bytes) -> None:
        # Once something is missing, all that follows is too: a log has one gap, not many.
        room = 0 if self._lost_here else max(0, _HOLD - len(self._held))
        self._held += data[:room]
        dropped = max(0, len(data) - room)
        self._lost_here += dropped
        self.lost += dropped


def point(link: str, log: str) -> None:
    """Let ``link`` name the log, which is in the same directory; a file in its place is left alone."""
    aside, target = "%s.%d" % (link, os.getpid()), os.path.basename(log)
    try:
        if os.path.lexists(link) and (not os.path.islink(link) or os.readlink(link) == target):
            return
        os.symlink(target, aside)
        os.rename(aside, link)
    except OSError:
        pass  # a convenience; the log itself is what counts


def times(path: str) -> Iterator[tuple[float, int]]:
    """The index: when which offset was reached."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return iter(())
    return ENTRY.iter_unpack(data[: len(data) // ENTRY.size * ENTRY.size])
