"""What has to be done before ssh can connect: a key to make, a tunnel to open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from orch.errors import OrchError

SECONDS = 30  # in which a connection must be made, whatever it is that takes long


class Way(NamedTuple):
    """What a door opened: further words of ssh's command line, and of its environment."""

    words: Sequence[str] = ()
    env: Mapping[str, str] = {}


class Door(Protocol):
    """``name`` tells apart what must not share a connection; ``seconds``: what connecting through it may take."""

    name: str
    seconds: int

    def opened(self, until: float | None) -> AbstractContextManager[Way]:
        """Stands open while ssh connects, by ``until`` of the monotonic clock; an ``OrchError`` says why it cannot."""

    def is_shut(self) -> bool:
        """Whether it is known already that the machine is off; asks nobody."""

    def meaning(self, said: str) -> OrchError | None:
        """What it means here that ssh ``said`` so in place of connecting; None where it means what it always does."""


class Open:
    """Of a host that ssh reaches by itself."""

    name = ""
    seconds = SECONDS

    @contextmanager
    def opened(self, until: float | None) -> Iterator[Way]:
        """Nothing to do."""
        yield Way()

    def is_shut(self) -> bool:
        """Nobody knows."""
        return False

    def meaning(self, said: str) -> OrchError | None:
        """As always."""
        return None
