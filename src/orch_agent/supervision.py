"""Having a supervisor, and telling it that something has changed. For everybody but the supervisor itself.

In a codespace, having the one who watches over that, too.
"""

from __future__ import annotations

import os
import time

from . import codespace, files, layout, locks, succession
from .launch import detach

_AGAIN = 1.0
"""Seconds for which a process that has looked takes the supervisor to live."""
_PATIENCE, _MOMENT = 5.0, 0.02
_next = 0.0


def ensure() -> None:
    """See to it that a supervisor lives, and none that is older; call it after the commit that gives it work to do."""
    global _next
    now = time.monotonic()
    if now < _next:
        return
    _next = now + _AGAIN
    if not locks.is_held(layout.supervisor_lock()):
        detach.companion("supervisor")
        return
    request = succession.request()
    if request is not None:
        poke(request)


def renew() -> None:
    """Wait, within reason, until no older supervisor lives: it does not know what a job needs that it has not heard of.

    Call it before the commit that gives such a job to whoever supervises.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and locks.is_held(layout.supervisor_lock()):
        request = succession.request()
        if request is None:
            return
        poke(request)
        time.sleep(_MOMENT)


def ensure_vigil() -> None:
    """See to it that a codespace is watched, and by no older agent. Cheap: call it whenever somebody is there."""
    if not codespace.is_here():
        return
    if not locks.is_held(layout.awake_lock()):
        detach.companion("vigil")
    elif succession.is_older(layout.awake_lock()):
        try:
            files.write_whole(layout.heir_file(), detach.AGENT + "\n", durable=False)
        except OSError:
            pass  # a full disk: at the next contact


def poke(message: bytes = b"!") -> bool:
    """Have the supervisor look now; whether there is one to hear it. It looks by itself before long."""
    import socket  # who only looks needs none

    knock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here = os.open(".", os.O_RDONLY)
    try:
        knock.setblocking(False)
        # Reached relative to its directory: the path of a socket may not be long.
        os.chdir(layout.root())
        knock.sendto(message, layout.SUPERVISOR_SOCKET)
        return True
    except BlockingIOError:
        return True  # it has been told often enough
    except OSError:
        return False
    finally:
        os.fchdir(here)
        os.close(here)
        knock.close()
