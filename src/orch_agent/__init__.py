"""The program on the host: standard library only, Python 3.9 and later, never imports ``orch``."""
