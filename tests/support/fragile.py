"""A way to a machine that fails at a chosen piece of what goes through it: run by ssh as its ProxyCommand.

A piece is what is passed on at once, at most PIECE bytes. What was passed on before has arrived. Imports nothing of
ours, for it is also the program: it is given a directory, in which it finds its orders, and an address.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tests.support.machine import Machine

PIECE = 4096
Way = Literal["up", "down"]  # to the machine, from it


class Fault(NamedTuple):
    """Before the ``piece``-th piece on its ``way``: the connection breaks, or is ``silent`` from then on."""

    way: Way
    piece: int
    silent: bool = False


class Fragile:
    """The way to ``machine``, sound unless told otherwise; ``directory`` is its own."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        self._directory = directory
        program = f"{sys.executable} -I -S {__file__} {directory} {machine.ip} {machine.port}"
        self.options = {"ProxyCommand": program}

    def fails(self, *faults: Fault) -> None:
        """The next connections fail like this, one after the other; those after them are sound."""
        (self._directory / "failures").write_text("")
        for place, fault in enumerate(faults):
            (self._directory / f"fault{place}").write_text(f"{fault.way} {fault.piece} {fault.silent:d}")

    def failures(self) -> int:
        """How many of the faults that were asked for have happened."""
        return len((self._directory / "failures").read_text())

    def sound(self) -> None:
        """Faults that have not happened yet will not."""
        for file in self._directory.glob("fault*"):
            file.unlink(missing_ok=True)

    def pieces(self) -> Mapping[str, int]:
        """How many went each way through the last connection that was sound."""
        up, down = (self._directory / "pieces").read_text().split()
        return {"up": int(up), "down": int(down)}


def _orders(directory: str) -> tuple[str, int, bool]:
    for name in sorted(os.listdir(directory)):
        if name.startswith("fault"):
            path = os.path.join(directory, name)
            with open(path) as file:
                way, piece, silent = file.read().split()
            os.unlink(path)
            return way, int(piece), silent == "1"
    return "", 0, False


def _pass_on(directory: str, address: tuple[str, int]) -> None:
    way, fatal, silent = _orders(directory)
    link = socket.create_connection(address)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    passed = {"up": 0, "down": 0}
    while True:
        for ready in select.select([0, link], [], [])[0]:
            direction = "down" if ready is link else "up"
            data = link.recv(PIECE) if ready is link else os.read(0, PIECE)
            if not data:
                return
            passed[direction] += 1
            if (direction, passed[direction]) == (way, fatal):
                with open(os.path.join(directory, "failures"), "a") as file:
                    file.write("x")
                while silent:
                    signal.pause()
                return
            if not way:
                aside = os.path.join(directory, "pieces.new")
                with open(aside, "w") as file:
                    file.write("{up} {down}".format(**passed))
                os.replace(aside, os.path.join(directory, "pieces"))
            if ready is link:
                os.write(1, data)
            else:
                link.sendall(data)


if __name__ == "__main__":
    _pass_on(sys.argv[1], (sys.argv[2], int(sys.argv[3])))
