"""Having a supervisor, and telling it that something has changed. For everybody but the supervisor itself."""

from __future__ import annotations

import os
import socket
import time

from . import layout, locks
from .launch import detach

_AGAIN = 1.0
"""Seconds after which the same process looks again."""
_next = 0.0


def ensure() -> None:
    """See to it that a supervisor lives; call it after the commit that gives it something to do."""
    global _next
    now = time.monotonic()
    if now >= _next:
        _next = now + _AGAIN
        if not locks.is_held(layout.supervisor_lock()):
            detach.companion("supervisor")


def poke() -> None:
    """Have the supervisor look now, where there is one; it looks by itself before long."""
    knock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here = os.open(".", os.O_RDONLY)
    try:
        knock.setblocking(False)
        # Reached relative to its directory: the path of a socket may not be long.
        os.chdir(layout.root())
        knock.sendto(b"!", layout.SUPERVISOR_SOCKET)
    except OSError:
        pass  # nobody there, or it has been told often enough
    finally:
        os.fchdir(here)
        os.close(here)
        knock.close()
