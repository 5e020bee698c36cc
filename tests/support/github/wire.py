"""HTTP as gh speaks it: to a Unix socket, in the clear."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Call(NamedTuple):
    """What is asked; ``pid`` and ``words`` are the process and the command line of the program that asks."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    token: str
    pid: int
    words: list[str]


class Answer(NamedTuple):
    """What is said; ``document`` is JSON, or None for nothing."""

    status: int = 200
    document: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012


class Wire:
    """A server at ``path`` that answers with what ``answer`` says."""

    def __init__(self, path: Path, answer: Callable[[Call], Answer]) -> None:
        class Handler(_Handler):
            pass

        Handler.answer = staticmethod(answer)
        self._server = _Server(str(path), Handler)
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        return connection, (connection, 0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gh that is killed while it asks leaves nothing to be told."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[Call], Answer]

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        """All of it, also in chunks: so gh sends what it reads from a pipe."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _handle(self) -> None:
        address = urlsplit(self.path)
        raw = self._body()
        call = Call(
            self.command,
            address.path.rstrip("/") or "/",
            {key: values[-1] for key, values in parse_qs(address.query, keep_blank_values=True).items()},
            json.loads(raw) if raw.strip() else {},
            (self.headers.get("Authorization") or "").rpartition(" ")[2],
            *_asker(self.connection),
        )
        said = self.answer(call)
        body = b"" if said.document is None else json.dumps(said.document).encode()
        self.send_response(said.status)
        for key, value in {"Content-Type": "application/json; charset=utf-8", **said.headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815


def _asker(connection: socket.socket) -> tuple[int, list[str]]:
    """The program at the other end, wherever it lives on this machine."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = struct.unpack("3i", said)[0]
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return pid, []
    return pid, [os.fsdecode(word) for word in said.split(b"\0")[:-1]]
