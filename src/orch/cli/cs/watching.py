"""``cs status --watch``: GitHub is asked for its list now and then, a codespace once a minute at most.

In between, what other commands on this laptop have heard is shown as soon as they have.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from orch.errors import OrchError
from orch.model import HostStatus
from orch.ops import cache, codespaces, machines
from orch.ops.hosts import REST

from ..args import Arguments
from ..watch import Sight, watch
from .cost import left
from .status import NONE, Seen, look, overdue, remarks, table_of

_LIST = 10.0  # seconds between two questions to GitHub


class Watched:
    """What is shown again and again."""

    def __init__(self, args: Arguments) -> None:
        self._args = args
        self._seen = Seen([], [], None)
        self._states: Sequence[tuple[str, str]] = []
        self._listed_until = self._asked_until = 0.0

    def watch(self) -> int:
        """Never returns by itself."""
        return watch(self._ask, self._args["json"], self._sight)

    def _ask(self) -> list[HostStatus]:
        now = time.monotonic()
        if now >= self._listed_until:
            everything = codespaces.refresh(0.0)
            self._listed_until = now + _LIST
            states = [(one.name, one.state) for one in everything]
            if now >= self._asked_until or states != self._states:
                self._states, self._asked_until = states, now + REST
                self._seen = look(self._args, everything)
                self._stop_overdue()
        self._hear()
        return self._seen.called

    def _hear(self) -> None:
        """What is known by now of those that were asked, in answer to the plain question."""
        if self._args.words or self._args["all"]:
            return
        known = [cache.load(one.host) for one in self._seen.told]
        told = [
            one._replace(jobs=new.jobs, facts=new.facts, as_of=new.as_of, kept=True) if new and not one.error else one
            for one, new in zip(self._seen.told, known, strict=True)
        ]
        self._seen = self._seen._replace(told=told)

    def _stop_overdue(self) -> None:
        for one in overdue(self._seen):
            with suppress(OrchError):
                machines.stop_overdue(one, lambda *_: None)

    def _sight(self, told: Sequence[HostStatus]) -> Sight:
        seen = self._seen
        if self._args.words:
            return Sight([], remarks(seen), "", seen.document)
        above = [*table_of(seen), *([""] if any(one.jobs for one in told) else [])] if seen.spaces else [NONE]
        below = [*remarks(seen), *(["", f"{left(seen.costs)}    # more: cs cost"] if seen.costs else [])]
        return Sight(above, below, "\n".join(f"{one.name} {one.state}" for one in seen.spaces), seen.document)
