"""Where hosts come from. A provider is one module with a ``PROVIDER`` and one line here."""

from __future__ import annotations

from importlib import import_module

from orch.errors import ConfigError, nearest
from orch.model import Host

from .base import Provider

REGISTRY = {
    "local": "orch.providers.local",
    "ssh": "orch.providers.ssh",
    "ec2": "orch.providers.ec2",
    "codespaces": "orch.providers.codespaces",
}


def provider_of(host: Host) -> Provider:
    """The provider of ``host``; only its own module is imported."""
    if host.provider not in REGISTRY:
        known = ", ".join(REGISTRY)
        guess = nearest(host.provider, REGISTRY)
        hint = f"did you mean {guess}?" if guess else f"this version knows: {known}"
        raise ConfigError(f"{host.source}: [hosts.{host.name}] has an unknown provider {host.provider!r}", hint)
    provider: Provider = import_module(REGISTRY[host.provider]).PROVIDER
    return provider
