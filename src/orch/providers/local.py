"""This machine, through the same verbs as any other."""

from __future__ import annotations

from collections.abc import Mapping

from orch.model import Host
from orch.transport import LocalTransport, Transport


class Local:
    """Nothing to create, nothing to pay."""

    options: Mapping[str, type] = {}

    def transport(self, host: Host) -> Transport:
        """A child process."""
        return LocalTransport()


PROVIDER = Local()
