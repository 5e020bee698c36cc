"""What a job listens on, and ports here that lead to it.

Invariants
- What is forwarded is forwarded while the job lives, through any number of cut links.
- A host is not started for it.
"""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from orch.answers import Answer, nonsense
from orch.errors import OrchError, usage
from orch.model import is_live, label
from orch.remote import Remote
from orch_agent.model import JobView

from .patience import Tell
from .relay import HERE, Relay
from .wait import wait_on

_NUMBERS = re.compile(r"[0-9]{1,9}|[0-9]{0,9}:[0-9]{1,9}")
_MOST = 65535
_PRIVILEGED = 1024
_TRIED = 50


class Pair(NamedTuple):
    """A port here, and the one there that it leads to; ``here`` 0 is any."""

    here: int
    there: int


class Listener(NamedTuple):
    """A port that a process of a job listens on."""

    port: int
    address: str
    pid: int
    process: str


def pair(text: str) -> Pair:
    """What ``8080``, ``8080:80`` and ``:80`` mean."""
    here, colon, there = text.partition(":")
    if not _NUMBERS.fullmatch(text):
        raise usage(f"{text!r} is no port: 8080, or 8080:80 for another number here than there")
    found = Pair(int(here or 0), int(there if colon else here))
    if max(found) > _MOST or not found.there:
        raise usage(f"{text!r} is no port: they go from 1 to {_MOST}")
    return found


def listening(remote: Remote, ref: str) -> tuple[JobView, list[Listener]]:
    """The run that is meant, and what it listens on."""
    answer = remote.call("ports", {"job": ref})
    job: JobView = answer["job"]
    return job, [_listener(remote, one) for one in _list(remote, answer)]


def _list(remote: Remote, answer: Answer) -> list[object]:
    said = answer["ports"]
    if not isinstance(said, list):
        raise nonsense(remote.host.name, "ports is no list")
    return said


def _listener(remote: Remote, said: object) -> Listener:
    fields: dict[str, Any] = said if isinstance(said, dict) else {}
    values: tuple[Any, ...] = tuple(map(fields.get, Listener._fields))
    found = Listener(*values)
    if tuple(map(type, found)) != (int, str, int, str) or not 0 < found.port <= _MOST:
        raise nonsense(remote.host.name, "it tells of a port that is none")
    return found


class Forwarding:
    """Ports here that lead to those of the host where ``job`` runs. ``pairs`` is what they are, each ``here`` known."""

    def __init__(self, remote: Remote, job: JobView, pairs: Sequence[Pair], tell: Tell) -> None:
        if not is_live(job):
            said = f"{label(job)} has ended ({job['state']}): nothing of it listens"
            raise OrchError("refused", said, f"orch show {label(job)}")
        self._remote, self._job, self._tell = remote, job, tell
        self._lock = threading.Lock()
        self._told: set[tuple[int, str]] = set()
        self._relay = Relay(remote.transport, self._in_vain)
        self.pairs = [Pair(self._listen(one), one.there) for one in pairs]

    def until_the_end(self) -> JobView:
        """Forward until the job has ended; how it has."""
        self._relay.start()
        ended: JobView = wait_on(self._remote, [label(self._job)], tell=self._tell, surely=True)["jobs"][0]
        return ended

    def _listen(self, one: Pair) -> int:
        name = self._job["name"]
        if self._remote.transport.here and one.here == one.there:
            said = f"{label(self._job)} runs on this machine: its port {one.there} is {HERE}:{one.there} already"
            raise OrchError("refused", said, f"orch ports {name} :{one.there}    # another one here")
        try:
            return self._relay.listen(one.here, one.there)
        except PermissionError:
            why, start = f"port {one.here} of this machine may not be used", one.here + 8000
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            why, start = f"port {one.here} of this machine is taken", one.here + 1
        raise OrchError("refused", why, f"orch ports {name} {self._free(start, one.there)}:{one.there}")

    def _free(self, start: int, there: int) -> int:
        """A port that is free now."""
        for here in [*range(max(start, _PRIVILEGED), min(start + _TRIED, _MOST)), 0]:
            try:
                return Relay(self._remote.transport, self._in_vain).listen(here, there)
            except OSError:
                continue
        return 0

    def _in_vain(self, there: int, why: str) -> None:
        """A connection could not be had; the same is told once."""
        with self._lock:
            if (there, why) not in self._told:
                self._told.add((there, why))
                self._tell(f"no connection to port {there} of {self._remote.host.name}: {why}")
