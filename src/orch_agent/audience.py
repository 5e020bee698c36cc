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
from typing import Optional

from . import files, layout, request, terminal, views
from .joblog import JobLog

_BEHIND = 0.02
"""Seconds after which a view that is behind is shown more."""
_PLAIN_FILE = 0.1
"""Seconds between two looks at a log that the job writes itself, while somebody watches."""
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
        poll.register(self._listener.fileno(), select.POLLIN)

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
            return  # it went away, or we are out of descriptors: it will ask again
        self._views[view.fileno()] = view
        self._poll.register(view.fileno(), select.POLLIN)

    def _hear(self, view: views.View) -> Optional[float]:
        grace = None
        for kind, payload in view.receive():
            if kind == b"i" and self._master is not None:
                self._typed += payload
            elif kind == b"w" and len(payload) == views.SIZE.size:
                self._greet(view, *views.SIZE.unpack(payload))
            elif kind == b"c":
                grace = request.unpack(payload)
        if view.closing:
            self._deafen(view)
        return grace

    def _deafen(self, view: views.View) -> None:
        """Listen no more: the end of a connection is news once, but poll would tell it for ever."""
        try:
            self._poll.unregister(view.fileno())
        except KeyError:
            pass  # done before

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
        for view in list(self._views.values()):
            view.feed(self._log)
            if view.closing and (view.watches or not self._typed):
                self._deafen(view)
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
        if any(view.is_behind(self._log) for view in watching):
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
