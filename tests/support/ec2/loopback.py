"""Addresses for machines: all of 127.0.0.0/8 is this machine's own."""

from __future__ import annotations

import random
import socket


def address() -> str:
    """A loopback address on which nobody answers at ssh's port."""
    while True:
        one = f"127.{random.randrange(64, 192)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with socket.socket() as probe:
            if probe.connect_ex((one, 22)):
                return one
