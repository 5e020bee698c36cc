"""Work for a host that may be off, or about to be: it is started for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from orch.errors import OrchError
from orch.model import Host
from orch.transport import Closed, Off

from .output import note_of_link

T = TypeVar("T")
_CLOSING = 630.0  # seconds: no host takes longer to stop, or to open again where it is not stopped
_PAUSE = 2.0


def awake(hosts: Mapping[str, Host], work: Callable[[], T]) -> T:
    """What ``work`` brings, once the host that it is for runs; it may be done several times."""
    until, is_told = time.monotonic() + _CLOSING, False
    while True:
        try:
            return work()
        except Off as off:
            _start(hosts[off.host], off)
            return work()
        except Closed as closed:
            # Its agent lives to the very end of a stop; whether it is stopping its provider knows.
            host = hosts[closed.host]
            state = _off(host)
            if state is not None:
                _start(host, state)
                return work()
            if time.monotonic() > until:
                raise
            if not is_told:
                note_of_link(f"{closed.message}; waiting for that")
                is_told = True
            time.sleep(_PAUSE)


def _off(host: Host) -> Off | None:
    """What ``host`` is instead of running; None where nobody can tell."""
    from orch.ops import machines

    try:
        machines.must_run(host)
    except Off as off:
        return off
    except OrchError:
        return None  # the host itself is asked again
    return None


def _start(host: Host, off: Off) -> None:
    from orch.ops import machines

    if not machines.can_start(host, off):
        raise off
    from .progress import Progress

    note_of_link(f"{off.message}; it is started")
    with Progress() as progress:
        machines.start(host, progress.tell)
