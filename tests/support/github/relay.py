"""The relay of dev tunnels: SSH in a WebSocket, by which gh reaches the ports of a codespace.

gh sends a sign of presence when it connects, and then one a minute where there is a reason: a command that it runs
there is one all the time, bytes are one in the minute in which they flow. Its minutes are real. Where ours are
shorter, the signs that it would have sent by then are reckoned from its command line and from what flows here.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import paramiko
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.support.github.ghwords import kind_of
from tests.support.github.wire import Call

if TYPE_CHECKING:
    from tests.support.github import GitHub

SERVICE_PORT, SSH_PORT = 16634, 2222
_PROTOCOLS = ["tunnel-relay-client", "tunnel-relay-client-v2-dev"]


class _Grant(NamedTuple):
    """What a token is good for, and whose it is."""

    name: str
    kind: str
    pid: int


class Relay:
    """All connections to codespaces go through it."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._key = paramiko.ECDSAKey.generate()
        self._tokens: dict[str, _Grant] = {}
        self._ports: dict[str, set[int]] = {}
        self._connections: set[Connection] = set()
        options: dict[str, Any] = {"max_size": None, "compression": None, "close_timeout": 1}
        self._server = serve(self._serve, "127.0.0.1", 0, subprotocols=_PROTOCOLS, **options)  # type: ignore[arg-type]
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def new_token(self, name: str, call: Call) -> str:
        """What lets the gh that asks for it connect to a codespace."""
        token = secrets.token_hex(16)
        self._tokens[token] = _Grant(name, kind_of(call.words), call.pid)
        return token

    def known(self, token: str) -> str | None:
        """The codespace that a token is for."""
        grant = self._tokens.get(token)
        return grant and grant.name

    def ports(self, name: str) -> set[int]:
        """The ports of a codespace that somebody wants."""
        return self._ports.setdefault(name, set())

    def connections(self, name: str) -> list[str]:
        """What kind of gh is connected to a codespace just now: ``stdio``, ``command``, ``shell``, ``config``."""
        return sorted(one.kind for one in list(self._connections) if one.name == name)

    def _serve(self, socket_: ServerConnection) -> None:
        request = socket_.request
        token = (request.headers.get("Authorization") or "").rpartition(" ")[2] if request else ""
        if token not in self._tokens:
            return
        one = Connection(self._github, socket_, self._tokens[token])
        self._connections.add(one)
        self._github.events.tell("connection", name=one.name, kind=one.kind)
        try:
            one.serve(self._key)
        finally:
            self._connections.discard(one)

    def beat(self) -> None:
        """Send the signs of presence that are due, where a minute is shorter than gh's."""
        for one in list(self._connections):
            one.beat()

    def drop(self, name: str) -> None:
        """A codespace is off: its connections end."""
        self._ports.pop(name, None)
        for token, grant in list(self._tokens.items()):
            if grant.name == name:
                del self._tokens[token]
        for one in list(self._connections):
            if one.name == name:
                one.close()

    def close(self) -> None:
        """Nobody is connected any more."""
        self._server.shutdown()
        self._thread.join()
        for one in list(self._connections):
            one.close()


class Connection(paramiko.ServerInterface):
    """One gh, connected to the codespace ``name``."""

    def __init__(self, github: GitHub, socket_: ServerConnection, grant: _Grant) -> None:
        self.name, self.kind, self._pid = grant
        self._github = github
        self._transport = paramiko.Transport(_Stream(socket_))  # type: ignore[arg-type]
        self._reason = ""
        self._next = time.monotonic() + github.knobs.minute

    def serve(self, key: paramiko.PKey) -> None:
        """Until either side closes it."""
        self._transport.add_server_key(key)
        self._transport._tcp_handler = self._opened  # what a server is not asked otherwise
        with suppress(paramiko.SSHException, EOFError):
            self._transport.start_server(event=threading.Event(), server=self)
        self._transport.join()

    def close(self) -> None:
        """End it."""
        self._transport.close()

    # What gh asks

    def check_auth_none(self, username: str) -> int:
        """Whoever came this far had a token."""
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        """No other."""
        return "none"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Any."""
        return paramiko.OPEN_SUCCEEDED

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        """That its ports be told."""
        if kind == "RefreshPorts":
            threading.Thread(target=self._announce, daemon=True).start()
        return kind == "RefreshPorts"

    def _announce(self) -> None:
        for port in sorted(self._github.relay.ports(self.name)):
            with suppress(paramiko.SSHException, EOFError, OSError):
                self._transport.global_request("tcpip-forward", ("127.0.0.1", port), wait=True)

    def _opened(self, channel: paramiko.Channel, origin: Any, server: tuple[str, int]) -> None:
        threading.Thread(target=self._forward, args=[channel, server[1]], daemon=True).start()

    def _forward(self, channel: paramiko.Channel, port: int) -> None:
        counted = port != SERVICE_PORT
        try:
            end = socket.create_connection(self._github.services.address(self.name, port))
        except (OSError, KeyError):
            channel.close()
            return
        self._reason = "keepAlive" if self.kind == "command" else "input" if counted else ""
        with end:
            there = threading.Thread(target=self._pump, args=[channel, end, counted], daemon=True)
            there.start()
            self._pump(end, channel, counted)
            there.join()
        channel.close()

    def _pump(self, source: Any, target: Any, counted: bool) -> None:
        with suppress(OSError, EOFError):
            while said := source.recv(65536):
                target.sendall(said)
                if counted and self.kind != "command":
                    self._reason = "output" if isinstance(source, socket.socket) else "input"
        with suppress(OSError, EOFError):
            target.shutdown(socket.SHUT_WR)

    # Whether somebody is there

    def beat(self) -> None:
        """What gh would say in this minute, if anything."""
        minute, now = self._github.knobs.minute, time.monotonic()
        if minute >= 60 or now < self._next or _is_asleep(self._pid):
            return
        self._next = now + minute
        space = self._github.fleet.get(self.name)
        if space and self._reason:
            reason = self._reason
            self._reason = reason if self.kind == "command" else ""
            self._github.fleet.present(space, [reason], scaled=True)


def _is_asleep(pid: int) -> bool:
    """Whether a process is stopped, as on a laptop whose lid is closed, or is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "TtZX"
    except (OSError, IndexError):
        return True


class _Stream:
    """A WebSocket as paramiko reads and writes a socket."""

    def __init__(self, socket_: ServerConnection) -> None:
        self._socket = socket_
        self._read = b""
        self._timeout: float | None = None
        self._closed = False

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        if not self._read:
            try:
                said = self._socket.recv(self._timeout)
            except ConnectionClosed:
                return b""
            self._read = said if isinstance(said, bytes) else said.encode()
        said, self._read = self._read[:size], self._read[size:]
        return said

    def send(self, data: bytes) -> int:
        try:
            self._socket.send(bytes(data))
        except ConnectionClosed:
            raise OSError("closed") from None
        return len(data)

    def close(self) -> None:
        self._closed = True
        self._socket.close()
