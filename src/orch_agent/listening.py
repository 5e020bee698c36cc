"""The ports that processes listen on.

Invariants
- What vanishes while one looks, or may not be looked at, is simply not there.
- Linux reads /proc; everything else asks ``lsof``.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from typing import NamedTuple

_LISTEN = "0A"
_TABLES = ((socket.AF_INET, "/proc/net/tcp"), (socket.AF_INET6, "/proc/net/tcp6"))
_PATIENCE = 20.0
_NAME = re.compile(r"\[?(.*?)\]?:(\d+)")


class Listener(NamedTuple):
    """``address`` is ``0.0.0.0`` or ``::`` where every one is meant; ``process`` is the name of the program."""

    port: int
    address: str
    pid: int
    process: str


def on(pids: Collection[int]) -> list[Listener]:
    """What these processes listen on, by port; of one that several share, the first that has it."""
    found: dict[tuple[int, str], Listener] = {}
    for one in sorted(_linux(pids) if sys.platform == "linux" else _lsof(pids)):
        found.setdefault((one.port, one.address), one)
    return list(found.values())


def _linux(pids: Collection[int]) -> Iterator[Listener]:
    sockets = {inode: place for family, path in _TABLES for inode, place in _listeners(family, path)}
    for pid in pids:
        for inode in _sockets(pid) & sockets.keys():
            port, address = sockets[inode]
            yield Listener(port, address, pid, _name(pid))


def _listeners(family: int, path: str) -> Iterator[tuple[str, tuple[int, str]]]:
    try:
        with open(path) as file:
            rows = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return
    for row in rows:
        if row[3] == _LISTEN:
            address, _, port = row[1].partition(":")
            yield row[9], (int(port, 16), _address(family, address))


def _address(family: int, digits: str) -> str:
    """The kernel writes words of four bytes, each as this machine has numbers."""
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    return socket.inet_ntop(family, b"".join(one[::-1] if sys.byteorder == "little" else one for one in words))


def _sockets(pid: int) -> set[str]:
    place = "/proc/%d/fd/" % pid
    found = set()
    try:
        for fd in os.listdir(place):
            kind, _, inode = os.readlink(place + fd).partition(":")
            if kind == "socket":
                found.add(inode.strip("[]"))
    except OSError:
        pass
    return found


def _name(pid: int) -> str:
    """Of its file: what a program calls itself may be anything, also a secret."""
    try:
        return os.path.basename(os.readlink("/proc/%d/exe" % pid).removesuffix(" (deleted)"))
    except OSError:
        return "?"


def _lsof(pids: Collection[int]) -> Iterator[Listener]:
    words = ["lsof", "-nP", "-a", "-iTCP", "-sTCP:LISTEN", "-F", "pcn", "-p", ",".join(map(str, pids))]
    try:
        said = subprocess.run(words, capture_output=True, timeout=_PATIENCE).stdout if pids else b""
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from read(said.decode(errors="replace"))


def read(said: str) -> Iterator[Listener]:
    """What ``lsof -F pcn`` has said: a line each for a process, its name and, for each socket, where that listens."""
    pid, name = 0, "?"
    for line in said.splitlines():
        kind, value = line[:1], line[1:]
        if kind == "p":
            pid = int(value)
        elif kind == "c":
            name = value
        elif kind == "n" and (found := _NAME.fullmatch(value)):
            yield Listener(int(found[2]), found[1].replace("*", "0.0.0.0"), pid, name)  # noqa: S104
