"""This machine, through the same verbs as any other."""

from __future__ import annotations

from collections.abc import Mapping

from orch.keychain import Keychain
from orch.model import Check, Host
from orch.transport import LocalTransport, Transport

from .base import SecretStore


class Local:
    """Nothing to create, nothing to pay."""

    options: Mapping[str, type] = {}

    def transport(self, host: Host) -> Transport:
        """A child process."""
        return LocalTransport()

    def secrets(self, host: Host) -> SecretStore:
        """With the person's other passwords."""
        return Keychain(host.name)

    def checks(self, host: Host) -> list[Check]:
        """It is here."""
        return []


PROVIDER = Local()
