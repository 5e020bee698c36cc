"""orch moves heavy jobs off a laptop: this package asks, the host remembers."""

__version__ = "0.6.0"
