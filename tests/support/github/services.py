"""What answers in a codespace before ssh does: the host's service, in gRPC, on a port of its own."""

from __future__ import annotations

import os
from concurrent import futures
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # nothing forks here that goes on with it

import grpc

from tests.support.github.relay import SERVICE_PORT, SSH_PORT
from tests.support.github.space import USER, Codespace

if TYPE_CHECKING:
    from tests.support.github import GitHub

_NO_SSHD = """
Please check if an SSH server is installed in the container.
If the docker image being used for the codespace does not have an SSH server,
install it in your Dockerfile or, for codespaces that use Debian-based images,
you can add the following to your devcontainer.json:

"features": {
    "ghcr.io/devcontainers/features/sshd:1": {
        "version": "latest"
    }
}"""
_NOTIFY, _START_SSHD, _REBUILD = "NotifyCodespaceOfClientActivity", "StartRemoteServerAsync", "RebuildContainerAsync"


class Services:
    """One for each codespace that is on."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._open: dict[str, tuple[grpc.Server, int]] = {}

    def open(self, space: Codespace) -> None:
        """It is on."""
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((_Service(self._github, space),))
        self._open[space.name] = server, server.add_insecure_port("127.0.0.1:0")
        server.start()

    def address(self, name: str, port: int) -> tuple[str, int]:
        """Where what listens on one of its ports is reached from here; a ``KeyError`` if it is off."""
        if port == SERVICE_PORT:
            return "127.0.0.1", self._open[name][1]
        space = self._github.fleet.get(name)
        if port == SSH_PORT and space:
            return space.ip, space.port
        return "127.0.0.1", port

    def close(self, space: Codespace) -> None:
        """It is off, and nothing reaches it."""
        self._github.relay.drop(space.name)
        server, _ = self._open.pop(space.name, (None, 0))
        if server:
            server.stop(None).wait()


class _Service(grpc.GenericRpcHandler):
    def __init__(self, github: GitHub, space: Codespace) -> None:
        self._github = github
        self._space = space

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(lambda said, _: self._answer(method, _read(said)))

    def _answer(self, method: str, said: dict[int, list[Any]]) -> bytes:
        space = self._space
        if method == _NOTIFY:
            self._github.fleet.present(space, [one.decode() for one in said.get(2, [])])
        elif method == _REBUILD:
            self._github.fleet.rebuild(space)
        elif method == _START_SSHD:
            if "sshd" not in space.image:
                return _text(4, _NO_SSHD)
            for key in said.get(1, []):
                space.lets_in(key.decode())
            return _YES + _text(2, str(SSH_PORT)) + _text(3, USER)
        return _YES


# Protocol buffers, as much of them as this takes

_YES = b"\x08\x01"


def _text(field: int, text: str) -> bytes:
    data = text.encode()
    size = len(data)
    head = [size] if size < 128 else [size & 127 | 128, size >> 7]
    return bytes([field << 3 | 2, *head]) + data


def _read(data: bytes) -> dict[int, list[Any]]:
    """Fields by number: numbers, and bytes."""
    found: dict[int, list[Any]] = {}
    rest = iter(data)

    def number() -> int:
        value = shift = 0
        for byte in rest:
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return value

    for tag in rest:
        value: Any = number()
        if tag & 7 == 2:
            value = bytes(next(rest) for _ in range(value))
        found.setdefault(tag >> 3, []).append(value)
    return found
