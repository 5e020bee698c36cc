"""Connections to programs that listen on a port: what they promise, and the plain ones on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket  # late: it takes long to import, and most commands need none

LOOPBACK = ("127.0.0.1", "::1")
_DIALS = 20.0  # seconds


class Wire(Protocol):
    """A connection to a program on a host: what is written to ``write`` goes there, ``read`` is what comes."""

    read: int
    write: int

    def end(self) -> None:
        """Nothing more is written."""

    def is_broken(self) -> bool:
        """Whether ``read`` has ended because all of it did, and not because nothing more is said."""

    def wait(self) -> None:
        """Until both directions have ended."""

    def cut(self) -> None:
        """End both directions, whatever is still on its way."""

    def close(self) -> None:
        """Give back what it holds."""


class _Socket:
    """A socket that is read and written as descriptors are."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.read = self.write = connected.fileno()

    def end(self) -> None:
        """Nothing more is written."""
        self._shut(1)

    def is_broken(self) -> bool:
        """Of a socket, that is an error of its own."""
        return False

    def wait(self) -> None:
        """Until both directions have ended."""
        import select

        poll = select.poll()
        poll.register(self.read, 0)  # the end of both, and errors, are told unasked
        poll.poll()

    def cut(self) -> None:
        """End both directions, whatever is still on its way."""
        self._shut(2)

    def close(self) -> None:
        """Give back what it holds."""
        self._socket.close()

    def _shut(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            pass  # it has ended


def dial(port: int) -> Wire | None:
    """Connect; None where nobody listens."""
    import socket

    for address in LOOPBACK:
        try:
            connected = socket.create_connection((address, port), _DIALS)
        except OSError:
            continue
        connected.settimeout(None)
        return _Socket(connected)
    return None
