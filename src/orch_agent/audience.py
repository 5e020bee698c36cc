"""Everybody who looks at one job or types into it: the socket in its directory and those connected to it.

Invariants
- Nobody here can hold up the job: sockets do not block, typing waits in memory, showing reads the log.
- What was typed goes to the terminal in the order in which it came, each connection's in one piece or more.
- The window has the size of the view that spoke last.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Optional, Union

from . import files, layout, request, terminal, views
from .joblog import JobLog

_BEHIND = 0.02
"""Seconds after which a view that is behind is shown more."""
_PLAIN_FILE = 0.1
"""Seconds between two looks at a log that the job writes itself, while somebody watches."""
_SHUT = 0.5
"""Seconds for which nobody is let in when there are no descriptors left."""
_TYPED_LIMIT = 1 << 20
"""Bytes that may wait to be typed; beyond, whoever types has to wait."""
_REDRAW = 0.05
"""Seconds for which a full-screen program sees another size, so that it draws itself."""


class Audience:
    """Bound to the working directory, which is the job's. ``master`` is None where the job has no terminal."""

    def __init__(self, poll: select.poll, log: JobLog, master: Optional[int]) -> None:
        self._poll = poll
        self._log = log
        self._master = master
        self._views: dict[int, views.View] = {}
        self._typed = b""
        self._resize: Optional[tuple[float, int, int]] = None
        files.remove(layout.SOCKET)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(layout.SOCKET)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._heard: dict[int, int] = {}
        self._opens_at: Optional[float] = None
        self._hear_from(self._listener, select.POLLIN)

    def attend(self, fd: int) -> Optional[float]:
        """Take in what has come at ``fd``, if it is ours; the grace of whoever asks for the job's end."""
        if fd == self._listener.fileno():
            self._admit()
        elif fd in self._views:
            return self._hear(self._views[fd])
        return None

    def _admit(self) -> None:
        try:
            view = views.View(self._listener.accept()[0])
        except OSError:
            # It went away, or we are out of descriptors: then the door stays shut for a moment.
            self._hear_from(self._listener, 0)
            self._opens_at = time.monotonic() + _SHUT
            return
        self._views[view.fileno()] = view
        self._hear_from(view, select.POLLIN)

    def _hear_from(self, who: Union[views.View, socket.socket], events: int) -> None:
        """Have poll tell these of ``who``'s events, or none: what nobody attends to, it would tell for ever."""
        fd = who.fileno()
        if events == self._heard.get(fd, 0):
            return
        if events:
            self._poll.register(fd, events)
            self._heard[fd] = events
        else:
            self._poll.unregister(fd)
            del self._heard[fd]

    def _hear(self, view: views.View) -> Optional[float]:
        grace = None
        for kind, payload in view.receive():
            if kind == b"i" and self._master is not None:
                self._typed += payload
                view.types = True
            elif kind == b"w" and len(payload) == views.SIZE.size:
                self._greet(view, *views.SIZE.unpack(payload))
            elif kind == b"c":
                grace = request.unpack(payload)
        return grace

    def _greet(self, view: views.View, rows: int, columns: int) -> None:
        redraw = not view.watches and view.watch(self._log)
        if self._master is None or not rows or not columns:
            return
        if redraw:
            terminal.set_size(self._master, rows, max(1, columns - 1))
            self._resize = (time.monotonic() + _REDRAW, rows, columns)
        else:
            terminal.set_size(self._master, rows, columns)

    def serve(self) -> None:
        """Type, resize and show, as far as it goes without waiting; let those go who are done."""
        self._type()
        if self._resize is not None and time.monotonic() >= self._resize[0]:
            assert self._master is not None
            terminal.set_size(self._master, *self._resize[1:])
            self._resize = None
        if self._opens_at is not None and time.monotonic() >= self._opens_at:
            self._opens_at = None
            self._hear_from(self._listener, select.POLLIN)
        crowded = len(self._typed) > _TYPED_LIMIT
        for view in list(self._views.values()):
            view.feed(self._log)
            deaf = view.closing or (crowded and view.types)
            self._hear_from(view, (0 if deaf else select.POLLIN) | (select.POLLOUT if view.is_full else 0))
            if view.closing and (view.watches or not view.types or not self._typed):
                self._hear_from(view, 0)
                del self._views[view.fileno()]
                view.socket.close()

    def _type(self) -> None:
        if self._master is None:
            return
        waited = bool(self._typed)
        try:
            while self._typed:
                self._typed = self._typed[os.write(self._master, self._typed[:1024]) :]
        except OSError:
            pass  # its buffer is full: poll says when there is room
        if waited:
            self._poll.modify(self._master, select.POLLIN | (select.POLLOUT if self._typed else 0))

    def patience(self) -> float:
        """Seconds until ``serve`` has something to do that no descriptor announces."""
        watching = [view for view in self._views.values() if view.watches]
        waits = [float("inf")]
        if self._resize is not None:
            waits.append(self._resize[0] - time.monotonic())
        if self._opens_at is not None:
            waits.append(self._opens_at - time.monotonic())
        if any(view.is_behind(self._log) and not view.is_full for view in watching):
            waits.append(_BEHIND)
        if watching and self._master is None:
            waits.append(_PLAIN_FILE)
        return min(waits)

    def farewell(self, patience: float) -> None:
        """Show everybody the last lines, for at most so many seconds, and close the door."""
        until = time.monotonic() + patience
        behind = list(self._views.values())
        while behind and time.monotonic() < until:
            behind = [view for view in behind if view.feed(self._log)]
            time.sleep(0.01 if behind else 0)
        files.remove(layout.SOCKET)
