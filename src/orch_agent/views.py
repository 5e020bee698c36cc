"""One connection of somebody who looks at a job or types into it.

Invariants
- A view is fed from the log, never from memory: what is shown was on disk first, and a slow view
  costs the job nothing. A view that falls behind skips ahead at the start of a line.
- Frames from a view: one byte for the kind, four for the length (big endian), then the payload.
  ``w`` rows and columns: I am a terminal, show me the job. ``i`` bytes that were typed.
  ``c`` the grace in seconds: end the job.
  To a view: terminal bytes, nothing else. Closing the connection says that the job has ended;
  a connection that sent no ``w`` is closed once everything it sent has been typed.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from typing import Optional

from .joblog import JobLog

HEADER = struct.Struct(">cI")
SIZE = struct.Struct(">HH")
RATE = 1 << 19
"""Bytes a second that one view is shown at most."""
_BURST = 1 << 18
_PIECE = 1 << 15
_REPLAY = 1 << 16
_SCAN = 1 << 20
_FRAME_LIMIT = 1 << 20
_FULL_SCREEN = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")


def frame(kind: bytes, payload: bytes) -> bytes:
    """One message to the runner."""
    return HEADER.pack(kind, len(payload)) + payload


class View:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.offset: Optional[int] = None
        self.greeting = b""
        self.closing = False
        self.types = False
        self.is_full = False
        self._inbox = b""
        self._tokens = float(_BURST)
        self._filled_at = time.monotonic()

    def fileno(self) -> int:
        """For poll."""
        return self.socket.fileno()

    @property
    def watches(self) -> bool:
        """Whether it wants to be shown the job."""
        return self.offset is not None

    def receive(self) -> list[tuple[bytes, bytes]]:
        """The complete frames that have come; sets ``closing`` at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.closing = self.closing or not data
        self._inbox += data
        frames = []
        while len(self._inbox) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._inbox)
            if length > _FRAME_LIMIT:
                self.closing = True
                break
            if len(self._inbox) < HEADER.size + length:
                break
            frames.append((kind, self._inbox[HEADER.size : HEADER.size + length]))
            self._inbox = self._inbox[HEADER.size + length :]
        return frames

    def watch(self, log: JobLog) -> bool:
        """Begin to show the job; whether a full-screen program is on and must be asked to draw itself."""
        start = max(log.cap.floor, log.size - _SCAN)
        tail = os.pread(log.fd, log.size - start, start)
        full_screen = False
        for match in _FULL_SCREEN.finditer(tail):
            full_screen = match[1] == b"h"
        if full_screen:
            self.greeting = b"\x1b[?1049h\x1b[2J\x1b[H"
            self.offset = log.size
        else:
            self.offset = _line_start(log, max(log.cap.floor, log.size - _REPLAY))
        return full_screen

    def is_behind(self, log: JobLog) -> bool:
        """Whether there is more to show it."""
        return bool(self.greeting) or (self.offset is not None and self.offset < log.size)

    def _next(self, log: JobLog) -> bytes:
        """What the rate allows of what it has not seen."""
        assert self.offset is not None
        amount = min(log.size - self.offset, _PIECE)
        if amount <= 0 or amount > self._tokens:
            return b""  # until there is enough for a large piece: each one wakes the view and its terminal
        data = os.pread(log.fd, amount, self.offset)
        if not data:
            self.offset = log.size  # somebody cut the log short
        return data

    def feed(self, log: JobLog) -> bool:
        """Send what the socket and the rate allow; whether more is left."""
        if self.offset is None:
            return False
        if self.offset > log.size:
            self.offset = 0  # somebody emptied the log
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._filled_at) * RATE)
        self._filled_at = now
        if log.size - self.offset > _BURST:
            self.offset = _line_start(log, log.size - _REPLAY)
        self.offset = max(self.offset, log.cap.floor)
        data = self.greeting or self._next(log)
        try:
            sent = self.socket.send(data) if data else 0
            self.is_full = False
        except BlockingIOError:
            sent, self.is_full = 0, True
        except OSError:
            self.closing = True
            return False
        if self.greeting:
            self.greeting = self.greeting[sent:]
        else:
            self.offset += sent
            self._tokens -= sent
        return self.is_behind(log)


def _line_start(log: JobLog, offset: int) -> int:
    """The start of the first line after ``offset``, or ``offset`` where none is near."""
    if offset == 0:
        return 0
    newline = os.pread(log.fd, 4096, offset).find(b"\n")
    return offset + newline + 1 if newline >= 0 else offset
