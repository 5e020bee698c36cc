"""The agent on a host, called as if it were here.

Invariants
- A verb is one script: it runs the agent of exactly our version, or ends with 90 where that is missing; then the
  agent is installed and the same request is sent again. Every verb bears repetition, so this is safe.
- Whatever does not read as the agent's answer is an error of kind ``host``, never a guess.
- Only here do jobs learn the name that their host has on this laptop.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from orch_agent import wire
from orch_agent.model import Refusal

from . import bundle
from .errors import OrchError
from .model import Host
from .transport import Completed, Stream, Transport

MISSING = 90
_AGENT = 'a="${ORCH_HOME:-$HOME/.orch}/agent-%s"; '

Answer = dict[str, Any]


class Remote:
    """The agent of one host."""

    def __init__(self, host: Host, transport: Transport) -> None:
        self.host = host
        self.transport = transport

    def call(self, verb: str, request: Mapping[str, Any], timeout: float | None = None) -> Answer:
        """Ask and get the answer; ``timeout`` in seconds is for each of the steps it may take."""
        data = wire.encode(request)
        done = self.transport.run(self._script(verb), data, timeout)
        if done.status == MISSING:
            self._install(timeout)
            done = self.transport.run(self._script(verb), data, timeout)
        return self._answer(done)

    def open(self, verb: str, request: Mapping[str, Any]) -> tuple[Answer, Stream]:
        """Ask, wait for the first line of the answer, and keep both directions open for what follows."""
        for attempt in (1, 2):
            stream = self.transport.open(self._script(verb), wire.encode(request))
            line = stream.readline()
            if line.endswith(b"\n"):
                return self._first_line(line, stream), stream
            done = stream.finish()
            if done.status != MISSING or attempt == 2:
                break
            self._install()
        return self._answer(Completed(done.status, line + done.out, done.err)), stream

    def lost(self, done: Completed) -> OrchError:
        """What to say of an agent that ended without an answer."""
        words = (done.err or done.out).decode(errors="replace").strip().splitlines()
        said = f": {words[-1][:300]}" if words else ""
        if done.status == 127:
            return OrchError("host", f"{self.host.name} has no Python at {self.transport.python}{said}")
        hint = f"if {self.host.name} works otherwise, this is a bug of orch: please report it"
        return OrchError("host", f"the agent on {self.host.name} gave no answer (status {done.status}){said}", hint)

    def _script(self, verb: str) -> str:
        run = f'exec {shlex.quote(self.transport.python)} -I -S "$a" {verb}'
        return f'{_AGENT % bundle.digest()}[ -f "$a/__main__.py" ] || exit {MISSING}; {run}'

    def _install(self, timeout: float | None = None) -> None:
        python, program = shlex.quote(self.transport.python), shlex.quote(bundle.installer())
        parcel, sha256 = bundle.pack()
        script = f'{_AGENT % bundle.digest()}exec {python} -I -S -c {program} "$a" {sha256}'
        done = self.transport.run(script, parcel, timeout)
        if done.status:
            words = done.err.decode(errors="replace").strip().splitlines() or [f"status {done.status}"]
            hint = "orch needs a directory there that it may write: ORCH_HOME=DIR names another than ~/.orch"
            raise OrchError("host", f"cannot put the agent on {self.host.name}: {words[-1]}", hint)

    def _first_line(self, line: bytes, stream: Stream) -> Answer:
        try:
            return self._answer(Completed(0, line, b""))
        except Refusal:
            stream.finish()
            raise

    def _answer(self, done: Completed) -> Answer:
        """The object that the agent said; its error is raised as ours."""
        try:
            answer = wire.decode(done.out)
        except (Refusal, RecursionError):
            raise self.lost(done) from None
        if "error" in answer:
            raise self._error(answer["error"])
        if done.status:
            raise self.lost(done)
        return self._named(answer)

    def _error(self, error: Any) -> OrchError:
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return OrchError("host", f"the agent on {self.host.name} failed and does not say why")
        return OrchError(str(error.get("kind") or "host"), error["message"], str(error.get("hint") or ""))

    def _named(self, answer: Answer) -> Answer:
        for job in [answer.get("job"), *(answer.get("jobs") or ())]:
            if isinstance(job, dict):
                job["host"] = self.host.name
        return answer
