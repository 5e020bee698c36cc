"""The program on the host: standard library only, Python 3.9 and later, never imports ``orch``."""

RELEASE = (0, 6, 0)
"""Of two supervisors the newer one takes over."""
