"""How a client speaks to the host: the agent's own verbs, or the command as a person types it.

Invariants
- A call's output goes to files: whoever kills a call waits for nobody who has inherited a pipe.
- What a call was told comes out the same for every way: an answer with jobs in it, or a refusal with its kind.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

from tests.support.agent import Agent
from tests.support.laptop import Laptop


class Answer(NamedTuple):
    """``document`` is None where nothing that can be read was said; ``kind`` is "" where nothing was refused."""

    document: Mapping[str, Any] | None
    kind: str
    said: str


class Call:
    """A command that runs. With the end of its ``with`` it has ended."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], line: bytes = b"") -> None:
        self._files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._said: tuple[bytes, bytes] | None = None
        self.process = subprocess.Popen(
            argv, env=dict(env), stdin=-1, stdout=self._files[0], stderr=self._files[1], cwd="/", bufsize=0
        )
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.write(line)  # and stays open: an agent whose client is gone goes away

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(0)

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def sleep(self, seconds: float) -> None:
        """Let it run for so long, or to its end."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()

    def end(self, patience: float) -> bool:
        """Wait for its end; whether it came in time. It ends in any case."""
        self.sleep(patience)
        in_time = not self.runs()
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()
        if self._said is None:
            out, err = map(_all, self._files)
            self._said = out, err
        return in_time

    def out(self) -> bytes:
        """Everything on standard output of one that has ended."""
        assert self._said is not None
        return self._said[0]

    def answer(self) -> Answer:
        """What one that has ended was told."""
        assert self._said is not None
        for text in (self._said[0], *self._said[1].splitlines()):
            document = _object(text)
            if document is not None and "error" in document:
                return Answer(None, document["error"]["kind"], document["error"]["message"])
            if document is not None:
                return Answer(document, "", "")
        return Answer(None, "nothing", self._said[1].decode(errors="replace").strip()[-300:])


def _all(file: BinaryIO) -> bytes:
    with file:
        file.seek(0)
        return file.read()


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Verbs:
    """The agent, called here and now."""

    def __init__(self, agent: Agent, env: Mapping[str, str]) -> None:
        self._agent = agent
        self._env = {**os.environ, **env, "HOME": str(agent.home)}

    def _call(self, verb: str, **request: Any) -> Call:
        return Call(self._agent.argv(verb), self._env, json.dumps(request).encode() + b"\n")

    def submit(self, key: str, spec: Mapping[str, Any]) -> Call:
        """Begin a submission."""
        return self._call("submit", id=key, spec=spec)

    def status(self) -> Call:
        """Begin to ask for everything."""
        return self._call("status", all=True)

    def wait(self, refs: Sequence[str]) -> Call:
        """Begin to wait for the end of all."""
        return self._call("wait", jobs=list(refs))

    def cancel(self, ref: str, grace: float) -> Call:
        """Begin to cancel."""
        return self._call("cancel", jobs=[ref], grace=grace)

    def log(self, ref: str, follow: bool) -> Call:
        """Begin to read the log."""
        return self._call("logs", job=ref, follow=follow)

    def bytes_of(self, call: Call) -> bytes:
        """The log in what ``log`` has said."""
        return call.out().partition(b"\n")[2]


_WORDS = {"mem": "--mem", "cpus": "--cpus", "timeout": "--timeout", "retries": "--retries", "nice": "--nice"}
_WORDS.update(retry_delay="--retry-delay", array="--array", mem_max="--mem-max")
_SECONDS = ("timeout", "retry_delay")


class Command:
    """``orch``, on a laptop."""

    def __init__(self, laptop: Laptop) -> None:
        self._laptop = laptop
        self._env = {**os.environ, **laptop.env}

    def _call(self, *words: str) -> Call:
        return Call([str(word) for word in self._laptop.argv(*words)], self._env)

    def submit(self, key: str, spec: Mapping[str, Any]) -> Call:
        """Begin a submission."""
        words = ["run", spec["name"], "--id", key, "--json"]
        words += [] if spec.get("tty", True) else ["--no-tty"]
        for ref in spec.get("after", ()):
            words += ["--after", ref]
        for option, word in _WORDS.items():
            if option in spec:
                value = f"{spec[option]:g}s" if option in _SECONDS else f"{spec[option]}"
                words.append(f"{word}={value}")
        return self._call(*words, spec["command"])

    def status(self) -> Call:
        """Begin to ask for everything."""
        return self._call("status", "--all", "--json")

    def wait(self, refs: Sequence[str]) -> Call:
        """Begin to wait for the end of all."""
        return self._call("wait", "--json", *refs)

    def cancel(self, ref: str, grace: float) -> Call:
        """Begin to cancel."""
        return self._call("cancel", "--json", "--grace", f"{grace:g}s", ref)

    def log(self, ref: str, follow: bool) -> Call:
        """Begin to read the log."""
        return self._call("logs", "--raw", *(["--follow"] if follow else []), ref)

    def bytes_of(self, call: Call) -> bytes:
        """The log in what ``log`` has said."""
        return call.out()


Way = Verbs | Command
"""One client's way to one host. ``spec`` is the specification as the wire has it."""
