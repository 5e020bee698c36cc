"""Work for a host that may be off, or about to be: it is started for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from orch.errors import OrchError
from orch.model import Host
from orch.transport import Off

from .output import note_of_link

T = TypeVar("T")
_CLOSING = 150.0  # seconds that a host may take to stop, once it takes no more jobs
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
        except OrchError as error:
            if error.kind != "stopped" or time.monotonic() > until:
                raise
            if not is_told:
                note_of_link(f"{error.message}; waiting for that")
                is_told = True
            time.sleep(_PAUSE)


def _start(host: Host, off: Off) -> None:
    from orch.ops import machines

    if not machines.can_start(host, off):
        raise off
    from .progress import Progress

    note_of_link(f"{off.message}; it is started")
    with Progress() as progress:
        machines.start(host, progress.tell)
