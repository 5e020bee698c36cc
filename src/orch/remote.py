"""The agent on a host, called as if it were here.

Invariants
- A verb is one script: it runs the agent of exactly our version, or ends with 90 where that is missing; then the
  agent is installed and the same request is sent again. Every verb bears repetition, so this is safe.
- A request is a word of the script; one that is long, or may hold a secret, is read from standard input instead.
  There it begins with ``#``. Should a start-up file on the host put another shell in the place of our script, that
  shell reads the request as a comment, and not as commands.
- Whatever does not read as the agent's answer (``answers``) is an error of kind ``host``, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from orch_agent import wire
from orch_agent.model import Refusal

from . import answers, bundle
from .errors import OrchError
from .model import Host
from .transport import LOST, Closed, Completed, LinkLost, NeverUsed, Stream, Transport

MISSING, NO_PYTHON = 90, 91
ANSWER = 120.0  # seconds that an agent may take, unless it is asked to wait for something
_PLAIN = re.compile(r"[\w ./:=@%+,-]+", re.ASCII)  # the shell here gives these words on as they are
_WORD = re.compile(r"[\w./:=@%+,-]+", re.ASCII)  # and this one as one word
_AGENT = 'a="${ORCH_HOME:-$HOME/.orch}/agent-%s"; '
_RUN = '[ -x "$a/python" ] && [ -f "$a/__main__.py" ] || exit %d; exec "$a/python" -I -S "$a" %s'
_PYTHONS = " ".join(
    [
        *('"$ORCH_PYTHON"', "python3", *(f"python3.{minor}" for minor in range(14, 8, -1))),
        *("/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"),
    ]
)
_INSTALL = (
    "for p in %s; do "
    'p=$(command -v "$p") && "$p" -I -S -c "import sqlite3, sys; sys.exit(sys.version_info < (3, 9))" 2>/dev/null '
    '&& exec "$p" -I -S -c "import sys; exec(sys.stdin.buffer.read(%d))" "$a" %s; done; '
    "id -u; python3 -V 2>&1; for p in %s; do command -v $p; done; exit %d"
)
_PACKAGES = {
    "apt-get": "apt-get install -y python3",
    "dnf": "dnf install -y python3.11",
    "yum": "yum install -y python3.11",
    "apk": "apk add python3",
    "pacman": "pacman -S --noconfirm python",
    "zypper": "zypper install -y python311",
    "brew": "brew install python3",
}
"""How each package manager brings a Python that is new enough; on an old system plain ``python3`` may not be."""

_BRING = ("submit", "push", "receive")
_IS_IN_USE = '[ -e "${ORCH_HOME:-$HOME/.orch}/ledger.db" ]'
_ARGUMENT = 16 << 10  # bytes, twice as many as hex digits: Linux takes 128 KiB in one argument

Answer = answers.Answer


class Remote:
    """The agent of one host."""

    def __init__(self, host: Host, transport: Transport) -> None:
        self.host = host
        self.transport = transport

    def settle(self, settings: Mapping[str, float]) -> None:
        """See to it that the agent is there, and knows what it has to."""
        self._install()
        self.call("status", {"settings": dict(settings)})

    def call(self, verb: str, request: Mapping[str, Any], timeout: float = ANSWER, payload: bytes = b"") -> Answer:
        """Ask and get the answer; ``timeout`` in seconds is for each of the steps it may take.

        ``payload``: what the verb reads from standard input besides.
        """
        script, data = self._script(verb, request)
        data += payload
        done = self.transport.run(script, data, timeout)
        if done.status == MISSING:
            self._arrive(verb, timeout)
            done = self.transport.run(script, data, timeout)
        return self.answer(done)

    def open(self, verb: str, request: Mapping[str, Any], patience: float | None = ANSWER) -> tuple[Answer, Stream]:
        """Ask, wait for the first line of the answer, and keep both directions open for what follows."""
        for attempt in (1, 2):
            stream = self.transport.open(*self._script(verb, request))
            line = stream.readline(patience)
            if line.endswith(b"\n"):
                return self._first_line(line, stream), stream
            done = stream.finish()
            if done.status != MISSING or attempt == 2:
                break
            self._arrive(verb)
        return self.answer(Completed(done.status, line + done.out, done.err)), stream

    def begin(self, verb: str) -> Begun:
        """Start ``verb``, whose request is yet to come: the way there and the agent get ready meanwhile."""
        return Begun(self, verb)

    def ended(self, stream: Stream, timeout: float = ANSWER) -> Answer:
        """The last line of a stream, whose input ends with this."""
        return self.answer(stream.finish(timeout))

    def lost(self, done: Completed) -> OrchError:
        """What to say of an agent that ended without an answer."""
        if done.status == LOST:
            return LinkLost(f"the connection to {self.host.name} broke", "orch status")
        words = (done.err or done.out).decode(errors="replace").strip().splitlines()
        said = f": {words[-1][:300]}" if words else ""
        hint = f"if {self.host.name} works otherwise, this is a bug of orch: please report it"
        return OrchError("host", f"the agent on {self.host.name} gave no answer (status {done.status}){said}", hint)

    def _script(self, verb: str, request: Mapping[str, Any]) -> tuple[str, bytes]:
        """The script that asks, and what it reads. What is read comes a round trip later than the script."""
        data = wire.encode(request)
        if len(data) > _ARGUMENT or _is_secret(verb, request):
            return _called(verb), _line(request)
        return _called(f"{verb} {data.hex()}"), b""

    def _arrive(self, verb: str, timeout: float = ANSWER) -> None:
        """Put the agent there; where visits count, only for what is brought there, or where there have been jobs."""
        brings = verb in _BRING or not self.transport.counts_visits
        if not brings and self.transport.run(_IS_IN_USE, b"", timeout).status:
            raise NeverUsed("not_found", f"no job was ever run on {self.host.name}", "cs run")
        self._install(timeout)

    def _install(self, timeout: float = ANSWER) -> None:
        program = bundle.installer().encode()
        parcel, sha256 = bundle.pack()
        script = _INSTALL % (_PYTHONS, len(program), sha256, " ".join(_PACKAGES), NO_PYTHON)
        done = self.transport.run(_AGENT % bundle.digest() + script, program + parcel, timeout)
        if done.status == NO_PYTHON:
            raise self._no_python(done.out.decode(errors="replace").splitlines())
        if done.status:
            words = done.err.decode(errors="replace").strip().splitlines() or [f"status {done.status}"]
            setting = self.transport.home_setting
            hint = f"orch needs a directory there that it may write: {setting} names another than ~/.orch"
            raise OrchError("host", f"cannot put the agent on {self.host.name}: {words[-1]}", hint)

    def _no_python(self, said: list[str]) -> OrchError:
        """``said``: the user's number, perhaps a version, the package managers' paths."""
        version = next((line for line in said if line.startswith("Python ")), "")
        managers = [line.rpartition("/")[2] for line in said if line.startswith("/")]
        command = next((_PACKAGES[manager] for manager in managers if manager in _PACKAGES), "")
        sudo = "" if said[:1] == ["0"] or command.startswith("brew") else "sudo "
        has = f"; what it has is {version}" if version else ""
        hint = (
            f"orch ssh {self.host.name} -- {sudo}{command}"
            if command
            else "install one there, as `python3` on the PATH"
        )
        return OrchError("host", f"{self.host.name} has no Python 3.9 or later with SQLite{has}", hint)

    def _first_line(self, line: bytes, stream: Stream) -> Answer:
        try:
            return self.answer(Completed(0, line, b""))
        except Refusal:
            stream.finish()
            raise

    def answer(self, done: Completed) -> Answer:
        """The object that the agent said; its error is raised as ours."""
        try:
            answer = wire.decode(done.out)
        except (Refusal, RecursionError):
            raise self.lost(done) from None
        if "error" in answer:
            raise self.error(answer["error"])
        if done.status:
            raise self.lost(done)
        return answers.checked(self.host.name, answer)

    def error(self, error: Any) -> OrchError:
        """What the agent says went wrong, as an error of ours."""
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return OrchError("host", f"the agent on {self.host.name} failed and does not say why")
        hint = str(error.get("hint") or "").replace("ORCH_HOME=DIR", self.transport.home_setting)
        typed = self.typed(hint) if error.get("there") else hint
        message = error["message"]
        if not self.transport.here:
            message = message.replace("this host", self.host.name)
        kind = error.get("kind")
        if kind == "stopped":
            return Closed(self.host.name, message, typed)
        return OrchError(kind if isinstance(kind, str) and kind in answers.KINDS else "host", message, typed)

    def typed(self, command: str) -> str:
        """A command for a shell on the host, as it is typed on this machine."""
        if self.transport.here:
            return command
        import shlex

        return f"orch ssh {self.host.name} -- {command if _PLAIN.fullmatch(command) else shlex.quote(command)}"

    def words(self, answer: Answer, key: str) -> list[str]:
        """A command line that the host said: there, words that no shell changes."""
        words = answer[key]
        right = isinstance(words, list) and bool(words) and all(isinstance(word, str) for word in words)
        if not right or not (self.transport.here or all(map(_WORD.fullmatch, words))):
            raise answers.nonsense(self.host.name, f"{key} is no command line that can be run")
        return list(words)


class Begun:
    """A verb that waits for its request, which is asked once. What stood in its way is met again by who asks."""

    def __init__(self, remote: Remote, verb: str) -> None:
        from threading import Thread

        self.verb = verb
        self._remote = remote
        self._stream: Stream | None = None
        self._start = Thread(target=self._open, daemon=True)
        self._start.start()

    def _open(self) -> None:
        with suppress(Exception):
            self._stream = self._remote.transport.open(_called(self.verb), b"")

    def call(self, request: Mapping[str, Any], payload: bytes = b"") -> Answer:
        """As ``Remote.call``."""
        self._start.join()
        if self._stream is not None:
            self._stream.send(_line(request) + payload)
            done = self._stream.finish(ANSWER)
            if done.status != MISSING:
                return self._remote.answer(done)
        return self._remote.call(self.verb, request, payload=payload)


def _called(words: str) -> str:
    """The script that calls the agent."""
    return _AGENT % bundle.digest() + _RUN % (MISSING, words)


def _line(request: Mapping[str, Any]) -> bytes:
    """A request as it is read from standard input."""
    return b"#" + wire.encode(request)


def _is_secret(verb: str, request: Mapping[str, Any]) -> bool:
    """Whether the request may hold what no other user there is to see, as anybody sees command lines.

    Somebody may have typed a secret in place of its name, too.
    """
    return verb == "send" or "secrets" in request or not {"env", "secrets"}.isdisjoint(request.get("spec", ()))
