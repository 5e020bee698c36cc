"""Trying again after a link was cut, for as long as it makes sense.

Invariants
- What a link may bring back is tried without an end, unless ``tries`` sets one; a host that fails otherwise, a few
  times; what only a person can mend (a changed host key, a lost right) not at all.
- The person is told once that the link is lost, and once that it is back; of what mends itself at once, nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orch.errors import OrchError
from orch.transport import LinkDown, LinkLost

T = TypeVar("T")
Tell = Callable[[str], None]
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before each further attempt; the last one again and again
_SOUND = 10.0  # seconds: a link that held so long was a good one


def unheard(_: str) -> None:
    """Nobody listens."""


class Patience:
    """One conversation with ``host`` that goes on after cuts. ``until``: of the monotonic clock, then no more.

    ``told``: the person knows already that the link is lost.
    """

    def __init__(
        self,
        host: str,
        tell: Tell = unheard,
        tries: int | None = None,
        until: float | None = None,
        told: bool = False,
    ) -> None:
        self._host = host
        self._tell = tell
        self._tries = tries
        self._until = until
        self._failures = 0
        self._told = told
        self._back_at = 0.0

    def go(self, attempt: Callable[[], T], surely: bool = False) -> T:
        """What ``attempt`` brings. A host that was never reached is not waited for, unless ``surely`` it will be."""
        try:
            return attempt()
        except LinkDown as error:
            if not surely and not isinstance(error, LinkLost):
                raise
            return self.again(attempt, error)

    def again(self, attempt: Callable[[], T], error: OrchError, progress: bool = False) -> T:
        """What ``attempt`` brings once it succeeds, after ``error`` ended the last one, which got on or did not."""
        if progress or time.monotonic() - self._back_at > _SOUND:
            self._failures = 0
        while True:
            self._pause(error)
            try:
                result = attempt()
            except OrchError as failure:
                error = failure
                continue
            self._back_at = time.monotonic()
            if self._told:
                self._told = False
                self._tell(f"{self._host} is back")
            return result

    def _pause(self, error: OrchError) -> None:
        most = self._tries if isinstance(error, LinkDown) else len(PAUSES)
        late = self._until is not None and time.monotonic() >= self._until
        if error.kind != "host" or late or (most is not None and self._failures >= most):
            raise error
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        if self._failures == 2 and not self._told:
            self._told = True
            self._tell(f"the link to {self._host} is lost, trying until it is back: {error.message}")
        time.sleep(pause if self._until is None else max(0.0, min(pause, self._until - time.monotonic())))
