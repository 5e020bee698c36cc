"""Hosts that answer as a test tells them to; no process, no disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from orch.config import Config
from orch.errors import OrchError
from orch.model import Host
from orch.ops.hosts import Hosts
from orch.remote import MISSING, Remote
from orch.transport import Completed
from orch_agent import wire

Verb = Callable[[dict[str, Any]], Any]

KEYS = (
    *("host", "reason", "command", "cwd", "submitted_at", "started_at", "ended_at", "exit_code", "signal", "attempt"),
    *("retries", "due_at", "timeout_seconds", "nice", "cpus"),
    *("mem_request_bytes", "mem_request_learned", "mem_max_bytes", "mem_bytes", "mem_peak_bytes", "cpu_seconds"),
    *("log_path", "code", "after", "array_id", "array_task", "frozen", "waiting_for_input"),
    *("prompt", "stalled_seconds", "cost_usd"),
)


def job(name: str = "train", run: int = 1, state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A job as an agent shows it."""
    return {**dict.fromkeys(KEYS), "id": f"{name}{run}", "name": name, "run": run, "state": state, **more}


class FakeStream:
    """Bytes that were written before anybody read them."""

    def __init__(self, data: bytes, status: int = 0, chunk: int = 7, err: bytes = b"") -> None:
        self.data, self.status, self.chunk, self.err = data, status, chunk, err
        self.sent = b""
        self.finished = 0

    def readline(self, patience: float | None = None) -> bytes:
        line, newline, self.data = self.data.partition(b"\n")
        return line + newline

    def read(self) -> bytes:
        chunk, self.data = self.data[: self.chunk], self.data[self.chunk :]
        return chunk

    def send(self, data: bytes) -> bool:
        self.sent += data
        return True

    def fileno(self) -> int:
        raise AssertionError("nobody waits for a fake")

    def finish(self) -> Completed:
        self.finished += 1
        return Completed(self.status, self.data, self.err)


_ASKED = re.compile(r'-I -S "\$a" (\w+)(?: ([0-9a-f]+))?$')


class FakeTransport:
    """``verbs`` maps a verb to its answer: an object, an ``OrchError`` the agent sends, or a stream."""

    here = True
    counts_visits = False
    home_setting = "ORCH_HOME=DIR"

    def __init__(self, verbs: dict[str, Verb] | None = None, installed: bool = True) -> None:
        self.verbs = verbs or {}
        self.installed = installed
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        if self._verb(script) is None:
            self.installed = True
            return Completed(0, b"", b"")
        if not self.installed:
            return Completed(MISSING, b"", b"")
        answer = self._answer(script, stdin)
        return answer if isinstance(answer, Completed) else Completed(*_said(answer), b"")

    def open(self, script: str, stdin: bytes, timeout: float | None = None) -> FakeStream:
        if not self.installed:
            return FakeStream(b"", MISSING)
        answer = self._answer(script, stdin)
        if isinstance(answer, FakeStream):
            return answer
        status, out = _said(answer)
        return FakeStream(out, status)

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        return ["there", *argv]

    def login(self, command: str | None, terminal: bool, asks: bool) -> list[str]:
        return ["there", command or "shell"]

    @staticmethod
    def _verb(script: str) -> str | None:
        found = _ASKED.search(script)
        return found and found[1]

    def _answer(self, script: str, stdin: bytes) -> Any:
        found = _ASKED.search(script)
        assert found and bool(found[2]) != bool(stdin), script
        verb, request = found[1], wire.decode(bytes.fromhex(found[2] or "") or stdin)
        self.asked.append((verb, request))
        try:
            return self.verbs[verb](request)
        except OrchError as error:
            return {"error": {"kind": error.kind, "message": error.message, "hint": error.hint}}


def _said(answer: dict[str, Any]) -> tuple[int, bytes]:
    return int("error" in answer), json.dumps(answer).encode() + b"\n"


def remote(transport: FakeTransport, name: str = "box") -> Remote:
    return Remote(Host(name, "ssh"), transport)  # type: ignore[arg-type]


class FakeHosts(Hosts):
    """Hosts whose transports are given."""

    def all(self) -> list[Remote]:
        return [remote(transport, name) for name, transport in self.transports.items()]

    def one(self, name: str | None) -> Remote:
        host = self.config.host(name)
        return remote(self.transports[host.name], host.name)

    transports: dict[str, FakeTransport]


def hosts(**transports: FakeTransport) -> FakeHosts:
    known = {name: Host(name, "ssh") for name in transports}
    fake = FakeHosts(Config(known, next(iter(known))))
    fake.transports = transports
    return fake


def silent(_: Any) -> Any:
    raise OrchError("host", "no answer within 10 s")
