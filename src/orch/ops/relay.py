"""Ports of this machine that lead to ports of a host.

Invariants
- Only this machine itself gets in: what listens is at 127.0.0.1.
- Each direction of a connection ends when who speaks in it has said his last, and not before all of that has arrived.
  Who reads slowly slows who writes, and nobody else.
- A connection that cannot be had, or breaks, is reset here; a later one is another attempt.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from orch.transport import Transport
from orch.wires import Wire

HERE = "127.0.0.1"
_CHUNK = 1 << 16
_WAITING = 128
_AT_ONCE = 4  # connections that are being made, each in a session's place meanwhile
_PAUSE = 0.1
_MANY = 1024  # descriptors: what waits by select.select takes no more
_RESET = struct.pack("ii", 1, 0)


class Relay:
    """``tell`` hears of a port of the host why no connection to it could be had."""

    def __init__(self, transport: Transport, tell: Callable[[int, str], None]) -> None:
        self._transport, self._tell = transport, tell
        self._dialling = threading.Semaphore(_AT_ONCE)
        self._listening: list[tuple[socket.socket, int]] = []

    def listen(self, here: int, there: int) -> int:
        """Listen on a port, any one if it is 0, which leads ``there``; which one that is. ``start`` lets others in."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HERE, here))
            listening.listen(_WAITING)
        except OSError:
            listening.close()
            raise
        self._listening.append((listening, there))
        port: int = listening.getsockname()[1]
        return port

    def start(self) -> None:
        """Let others in, until this process ends."""
        _raise_limit()
        for listening, there in self._listening:
            _thread(partial(self._accept, listening, there))

    def _accept(self, listening: socket.socket, there: int) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                    raise
                time.sleep(_PAUSE)
                continue
            try:
                _thread(partial(self._serve, client, there))
            except RuntimeError as error:  # there are too many
                self._tell(there, str(error))
                _refuse(client)

    def _serve(self, client: socket.socket, there: int) -> None:
        why = "nobody listens there, or connections to it are forbidden"
        try:
            with self._dialling:
                wire = self._transport.dial(there)
        except Exception as error:  # without a descriptor left, also of any import
            wire, why = None, str(error)
        if wire is None:
            self._tell(there, why)
            _refuse(client)
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay(client, wire)


def _raise_limit() -> None:
    """Each connection takes five descriptors, and some systems give a process 256 unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _refuse(client: socket.socket) -> None:
    _to_be_reset(client)
    client.close()


def relay(client: socket.socket, wire: Wire) -> None:
    """Hand on what each of them says, until both have ended; then both are closed."""
    up = _thread(partial(_up, client, wire))
    try:
        while data := os.read(wire.read, _CHUNK):
            client.sendall(data)
        if wire.is_broken():
            raise ConnectionResetError
        client.shutdown(socket.SHUT_WR)
        wire.wait()
    except OSError:  # one of them has gone in the middle
        wire.cut()
        _to_be_reset(client)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)
    up.join()
    client.close()
    wire.close()


def _up(client: socket.socket, wire: Wire) -> None:
    with suppress(OSError):  # one of them has gone, which the other direction sees too
        while data := client.recv(_CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(wire.write, view) :]
    wire.end()


def _to_be_reset(client: socket.socket) -> None:
    """So that its end counts as a failure, and not as the end of an answer."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
