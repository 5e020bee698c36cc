"""What all hosts say of their jobs, asked side by side. A host that is silent is shown as it last was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from orch.model import HostStatus, is_meant
from orch.remote import Remote
from orch.transport import Off
from orch_agent.model import JobRef, Refusal

from . import cache
from .hosts import Hosts, recent, status_of
from .parallel import Asked

_PATIENT = {"not_authorised": 60.0, "stopped": 30.0}
"""Seconds between two questions, by what was said: many logins that fail, and some servers shut the door; a host that
does not run is asked of at its provider.
"""
_LATE = 5.0  # seconds after which an answer is old news
_LATE_ANSWER = Refusal("host", "no answer yet")


class Board:
    """What each host last said; a slow one is neither waited for longer than the caller likes, nor asked twice."""

    def __init__(self, remotes: Sequence[Remote], names: Sequence[str] = (), show_all: bool = False) -> None:
        self._remotes = remotes
        self._refs = [JobRef.parse(name) for name in names]
        self._told: dict[int, HostStatus] = {}
        self._asked_again: dict[int, float] = {}
        self._asked = Asked([partial(_ask, remote, names, show_all) for remote in remotes])

    def __len__(self) -> int:
        """How many hosts there are to ask."""
        return len(self._remotes)

    def ask(self) -> None:
        """Ask every host that is not being asked yet; one that needs a person, or rests, only now and then."""
        patient = {place for place, at in self._asked_again.items() if time.monotonic() < at}
        self._asked.start(patient)

    def hear(self, patience: float | None = None) -> list[int]:
        """The places of those that answered, or that failed to, within ``patience`` seconds; until all have."""
        fresh = []
        for place, outcome in self._asked.outcomes(patience):
            self._told[place] = told = self._judged(place, outcome)
            self._asked_again[place] = time.monotonic() + _PATIENT.get(told.kind, 0.0)
            fresh.append(place)
        return fresh

    def told(self) -> list[HostStatus]:
        """Every host's last word, in the order of the configuration."""
        return [self._now(place) for place in range(len(self._remotes))]

    def _now(self, place: int) -> HostStatus:
        told = self._told.get(place)
        late = told is None or (self._asked.is_open(place) and time.time() - (told.as_of or 0) > _LATE)
        return self._kept(place, _LATE_ANSWER) if told is None or (late and not told.error) else told

    def _judged(self, place: int, outcome: HostStatus | Exception) -> HostStatus:
        if isinstance(outcome, HostStatus):
            return outcome
        if not isinstance(outcome, Refusal):
            raise outcome  # orch is wrong: no host to blame
        return self._kept(place, outcome)

    def _kept(self, place: int, error: Refusal) -> HostStatus:
        """The host as it last was, by this board's memory or the laptop's."""
        remote = self._remotes[place]
        last = self._told.get(place) or cache.load(remote.host) or HostStatus(remote.host, [], {}, None)
        jobs = [job for job in last.jobs if not self._refs or any(is_meant(job, ref) for ref in self._refs)]
        off = error.state if isinstance(error, Off) else ""
        return last._replace(jobs=jobs, error=error.message, hint=error.hint, kind=error.kind, off=off)


def status(
    hosts: Hosts, names: Sequence[str] = (), show_all: bool = False, host: str | None = None
) -> list[HostStatus]:
    """Each host's jobs, once all have answered or failed to."""
    board = Board(hosts.some(host), names, show_all)
    board.ask()
    board.hear()
    return board.told()


def note_status(remote: Remote) -> HostStatus:
    """What one host says now, remembered."""
    return _told(remote, (), False)


def _ask(remote: Remote, names: Sequence[str], show_all: bool) -> HostStatus:
    kept = None if show_all else recent(remote)
    if kept is not None:
        refs = [JobRef.parse(name) for name in names]
        return kept._replace(jobs=[one for one in kept.jobs if not refs or any(is_meant(one, ref) for ref in refs)])
    return _told(remote, names, show_all)


def _told(remote: Remote, names: Sequence[str], show_all: bool) -> HostStatus:
    """Cached are only answers to the plain question."""
    answer = status_of(remote, names, show_all)
    told = HostStatus(remote.host, answer["jobs"], answer["host"], time.time())
    if told.facts and not names and not show_all:
        cache.keep(told.host, answer.said, told.as_of)
    return told
