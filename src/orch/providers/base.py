"""What a provider promises.

A provider says how a host comes to be, is started, stopped, priced and reached; it knows nothing of jobs.

- Every call may be repeated: asking for what already is, is no error and changes nothing.
- A provider does not retry and does not print. What may succeed on another day (the network, a service that is
  down) is an ``OrchError`` of kind ``host``; what never will is a ``ConfigError``.
- ``transport`` costs nothing: it contacts nobody, so that hosts which are not asked for are never woken.
- Providers do not import one another, and heavy libraries only inside the calls that need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from orch.model import Check, Host
from orch.transport import Transport


class Provider(Protocol):
    """Where a host is."""

    options: Mapping[str, type]
    """The keys it takes in ``[hosts.NAME]`` besides ``provider``, with the type of each."""

    def transport(self, host: Host) -> Transport:
        """The way to ``host``, whose options have been checked against ``options``."""

    def checks(self, host: Host) -> list[Check]:
        """For ``orch doctor``: what can be said of the way to ``host``. One that failed says that there is none."""
