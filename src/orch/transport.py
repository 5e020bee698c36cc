"""How a script is run on a host: the only thing the rest of orch knows about links.

A transport promises:
- ``run`` and ``open`` give the same text to the host's ``sh``, whatever the link. Scripts are safe to repeat.
- A transport never retries and never interprets: a status is the script's own. That a link is down is an
  ``OrchError`` of kind ``host`` from ``run``, and a status other than 0 from ``Stream.finish``.
- When a stream is closed, or this process dies, the far side sees the end of its standard input.
- Ctrl-C reaches this process alone, never what runs on the host.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, NamedTuple, Protocol

from .errors import OrchError


class Completed(NamedTuple):
    """A script that has ended."""

    status: int
    out: bytes
    err: bytes


class Stream(Protocol):
    """A script that runs, with its standard input still open."""

    def readline(self) -> bytes:
        """The next line with its newline; less at the end."""

    def read(self) -> bytes:
        """Whatever bytes there are, waiting for the first; none at the end."""

    def send(self, data: bytes) -> bool:
        """Write to its standard input; False where nobody reads any more."""

    def fileno(self) -> int:
        """What to wait for, so as to know that ``readline`` or ``read`` has something."""

    def finish(self) -> Completed:
        """Close its standard input, wait for its end; ``out`` is what nobody has read."""


class Transport(Protocol):
    """A way to a host."""

    python: str
    """The interpreter there, 3.9 or later."""

    here: bool
    """Whether the host is this machine: its directories and its terminal are ours."""

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        """Run ``script`` to its end; an ``OrchError`` after ``timeout`` seconds."""

    def open(self, script: str, stdin: bytes) -> Stream:
        """Start ``script``, give it ``stdin`` and keep its standard input open."""

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        """What to exec here so that ``argv`` runs there on this terminal."""


class LocalTransport:
    """This machine. A session of its own keeps the terminal's Ctrl-C away from the agent."""

    here = True

    def __init__(self) -> None:
        self.python = sys.executable

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        """Run ``script`` by ``sh`` to its end."""
        try:
            done = subprocess.run(
                ["sh", "-c", script],
                input=stdin,
                capture_output=True,
                timeout=timeout,
                start_new_session=True,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            raise OrchError("host", f"no answer within {timeout:g} s") from None
        return Completed(done.returncode, done.stdout, done.stderr)

    def open(self, script: str, stdin: bytes) -> Stream:
        """Start ``script`` by ``sh``."""
        stream = ProcessStream(["sh", "-c", script])
        stream.send(stdin)
        return stream

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        """Here is there."""
        return list(argv)


class ProcessStream:
    """A child process as a stream."""

    CHUNK = 1 << 16  # a pipe holds no more

    def __init__(self, argv: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=_environment()
        )
        self._in, self._out, self._err = map(_opened, (self._process.stdin, self._process.stdout, self._process.stderr))

    def readline(self) -> bytes:
        """The next line."""
        return self._out.readline()

    def read(self) -> bytes:
        """What there is, at least one byte unless it has ended."""
        return self._out.read1(self.CHUNK)  # type: ignore[attr-defined, no-any-return]

    def send(self, data: bytes) -> bool:
        """Write all of ``data`` at once."""
        try:
            self._in.write(data)
            self._in.flush()
        except BrokenPipeError:
            return False
        return True

    def fileno(self) -> int:
        """The descriptor of its standard output."""
        return self._out.fileno()

    def finish(self) -> Completed:
        """Its end; a second call gives the status again."""
        try:
            out, err = self._process.communicate()
        except ValueError:  # already finished
            out, err = b"", b""
        return Completed(self._process.wait(), out, err)


def _environment() -> dict[str, str]:
    """Ours, with the home that the scripts rely on: a bare service has none."""
    return {**os.environ, "HOME": os.environ.get("HOME") or os.path.expanduser("~")}


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # each was asked for
    return pipe
