"""How a script is run on a host: the only thing the rest of orch knows about links.

A transport promises:
- ``run`` and ``open`` give the same text to the host's ``sh``, whatever the link. Scripts are safe to repeat, and hold
  neither single quotes nor backslashes nor newlines, so that any login shell can hand them on.
- A status is the script's own, but for ``LOST``. A link that cannot be had is a ``LinkDown``; one that broke while a
  script ran is a ``LinkLost`` from ``run``, and the status ``LOST`` from ``Stream.finish``. A machine that does not run
  is ``Off``.
- A link that turns out to have died before is made anew, and the script repeated on it, once. Nothing else is retried.
- When a stream is closed, or this process dies, the far side sees the end of its standard input.
- Ctrl-C reaches this process alone, never what runs on the host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple, Protocol

from .errors import OrchError
from .wires import Wire, dial

LOST = 255  # what ssh ends with when its link is gone; no script of ours does


LONGEST = 1 << 28  # bytes of an answer: one of a hundred thousand jobs is a fifth of that
_LOGIN = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMUX_TMPDIR")
_OF_THE_SYSTEM = ("LC_", "XDG_", "DBUS_", "SSH_AUTH_", "SSL_", "LD_LIBRARY_", "NIX_", "CODESPACE", "GITHUB_", "ORCH_")
_REMEMBERED = 4096  # bytes of what start-up files print as errors


class LinkDown(OrchError):
    """The host cannot be reached now; nothing was asked of it. Another time it may be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("host", message, hint)


class LinkLost(LinkDown):
    """The link broke after something was asked: whether it was done is not known."""


class NeverUsed(OrchError):
    """No job of ours can be there: none was ever submitted, or none could be."""


class Off(OrchError):
    """The machine does not run, so nothing was asked of it, and asking again is no use: somebody has to start it.

    ``state``: ``creating``, ``starting``, ``stopped``, ``stopping``, ``terminated`` or ``absent``, where there is no
    machine at all. ``before`` is told before it; ``why`` is what is known of how it came to that.
    """

    def __init__(self, host: str, state: str, before: str = "", why: str = "", hint: str = "") -> None:
        message, usual = _OFF[state]
        said = message.format(host) + (f": {why}" if why else "")
        super().__init__("stopped", before + said, hint or usual.format(host))
        self.host = host
        self.state = state


class Closed(OrchError):
    """The host ``host`` answers, and takes no jobs: somebody is about to stop it, or has begun to."""

    def __init__(self, host: str, message: str, hint: str) -> None:
        super().__init__("stopped", message, hint)
        self.host = host


_OFF = {
    "creating": ("{} is still being set up", "orch up {}    # says how far it has come"),
    "starting": ("{} is just starting", "orch start {}    # waits for it"),
    "stopped": ("{} is stopped", "orch start {}"),
    "stopping": ("{} is stopping", "orch start {}    # once it has stopped"),
    "terminated": (
        "{} is terminated: its disk is gone",
        "orch down {}    # what it left behind; then: orch up",
    ),
    "absent": ("{} does not exist, or not any more", "orch up {}"),
}


def no_answer(patience: float | None) -> LinkLost:
    """What was asked was not answered within ``patience`` seconds."""
    assert patience is not None  # who waits for ever is never let down
    return LinkLost(f"no answer within {patience:.2g} s")


class Completed(NamedTuple):
    """A script that has ended."""

    status: int
    out: bytes
    err: bytes


class Stream(Protocol):
    """A script that runs, with its standard input still open."""

    def readline(self, patience: float | None = None) -> bytes:
        """The next line with its newline; less at the end. A ``LinkLost`` where nothing comes for so many seconds."""

    def read(self) -> bytes:
        """Whatever bytes there are, waiting for the first; none at the end."""

    def send(self, data: bytes) -> bool:
        """Write to its standard input; False where nobody reads any more."""

    def fileno(self) -> int:
        """What to wait for, so as to know that ``readline`` or ``read`` has something."""

    def finish(self, timeout: float | None = None) -> Completed:
        """Close its standard input, wait for its end, so many seconds at most; ``out`` is what nobody has read."""


class Transport(Protocol):
    """A way to a host."""

    here: bool
    """Whether the host is this machine: its directories and its terminal are ours."""

    counts_visits: bool
    """Whether every connection keeps the host awake, and costs money: who only looks does that seldom, and leaves
    nothing there."""

    home_setting: str
    """How a person names another directory for what orch keeps there."""

    def is_open(self) -> bool:
        """Whether there is a connection, so that nothing is made for what is asked next."""

    def is_shut(self) -> bool:
        """Whether it is known already that nobody gets in now: the machine is off."""

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        """Run ``script`` to its end; a ``LinkDown`` after ``timeout`` seconds."""

    def open(self, script: str, stdin: bytes, timeout: float | None = None) -> Stream:
        """Start ``script``, give it ``stdin`` and keep its standard input open; ``timeout`` is for the start."""

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        """What to exec here so that ``argv`` runs there on this terminal."""

    def dial(self, port: int) -> Wire | None:
        """Connect to ``port`` of the host's own 127.0.0.1 or ::1; None where nobody listens there."""

    def login(self, command: str | None, terminal: bool, asks: bool) -> list[str]:
        """What to exec here for the person's own shell there, or ``command`` in it; ``asks``: there is one to ask."""


class LocalTransport:
    """This machine. A session of its own keeps the terminal's Ctrl-C away from the agent."""

    here = True
    counts_visits = False
    home_setting = "ORCH_HOME=DIR"

    def is_open(self) -> bool:
        """Always."""
        return True

    def is_shut(self) -> bool:
        """Never."""
        return False

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        """Run ``script`` by ``sh`` to its end."""
        return run_process(["sh", "-c", script], stdin, timeout, _environment())

    def open(self, script: str, stdin: bytes, timeout: float | None = None) -> Stream:
        """Start ``script`` by ``sh``."""
        return ProcessStream(["sh", "-c", script], stdin, _environment())

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        """Here is there."""
        return list(argv)

    def dial(self, port: int) -> Wire | None:
        """A plain connection."""
        return dial(port)

    def login(self, command: str | None, terminal: bool, asks: bool) -> list[str]:
        """The person's shell."""
        shell = os.environ.get("SHELL") or "sh"
        return [shell, "-l"] if command is None else [shell, "-c", command]


def run_process(
    argv: Sequence[str], stdin: bytes, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> Completed:
    """Run a program to its end, out of the reach of our terminal's signals."""
    import subprocess

    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, start_new_session=True, env=env)
    except subprocess.TimeoutExpired:
        raise no_answer(timeout) from None
    return Completed(done.returncode, done.stdout, done.stderr)


class PipeStream:
    """Our ends of three pipes, unbuffered, as a stream that somebody else ends."""

    CHUNK = 1 << 16  # a pipe holds no more

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._in, self._out, self._err = stdin, stdout, stderr
        self._ahead = b""
        self._said = b""  # the end of what came out of stderr

    def readline(self, patience: float | None = None) -> bytes:
        """The next line; what is longer than any answer ends nowhere, and counts as its end."""
        import select

        chunks = [self._ahead]
        left = LONGEST
        while b"\n" not in chunks[-1] and left > 0:
            if not select.select([self.fileno()], [], [], patience)[0]:
                raise no_answer(patience)
            chunks.append(os.read(self.fileno(), self.CHUNK))
            left -= len(chunks[-1])
            if not chunks[-1]:
                break
        line, newline, self._ahead = b"".join(chunks).partition(b"\n")
        return line + newline

    def read(self) -> bytes:
        """What there is, at least one byte unless it has ended."""
        ahead, self._ahead = self._ahead, b""
        return ahead or os.read(self.fileno(), self.CHUNK)

    def skip_past(self, mark: bytes, patience: float, most: int = 1 << 20) -> bool:
        """Drop all that comes before and with ``mark``; False where it has not come at the end.

        A ``LinkLost`` after ``patience`` seconds in which nothing came, an ``OverflowError`` after ``most`` bytes.
        """
        import select

        ends = [self.fileno(), self._err.fileno()]
        while mark not in self._ahead:
            ready = select.select(ends, [], [], patience)[0]
            if not ready:
                raise no_answer(patience)
            if ready[0] != self.fileno():
                said = os.read(ready[0], self.CHUNK)
                self._said = (self._said + said)[-_REMEMBERED:]
                ends = ends if said else ends[:1]
                continue
            chunk = os.read(self.fileno(), self.CHUNK)
            self._ahead += chunk
            if not chunk:
                return False
            if len(self._ahead) > most:
                raise OverflowError
        self._ahead = self._ahead.partition(mark)[2]
        return True

    def send(self, data: bytes) -> bool:
        """Write all of ``data`` at once."""
        try:
            view = memoryview(data)
            while view:
                view = view[self._in.write(view) :]
        except BrokenPipeError:
            return False
        return True

    def end_input(self) -> None:
        """Close its standard input."""
        self._in.close()

    def fileno(self) -> int:
        """The descriptor of its standard output."""
        return self._out.fileno()


class ProcessStream(PipeStream):
    """A child process as a stream."""

    def __init__(self, argv: Sequence[str], stdin: bytes, env: Mapping[str, str] | None = None) -> None:
        import subprocess

        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=env, bufsize=0
        )
        super().__init__(*map(_opened, (self._process.stdin, self._process.stdout, self._process.stderr)))
        self.send(stdin)

    def finish(self, timeout: float | None = None) -> Completed:
        """Its end, which must come within ``timeout`` seconds; a second call gives the status again."""
        import subprocess

        ahead, self._ahead = self._ahead, b""
        try:
            out, err = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            ProcessStream.kill(self)
            raise no_answer(timeout) from None
        except ValueError:  # already finished
            out, err = b"", b""
        return Completed(self._process.wait(), ahead + out, self._said + err)

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._process.kill()
        self._process.communicate()


def _environment() -> dict[str, str]:
    """What a fresh login here has, with the home and the Python that the scripts rely on: a bare service has no home.

    Whoever submits first starts the supervisor, and all jobs inherit from that one: what this terminal alone has
    exported is not to reach the jobs of another.
    """
    home = os.environ.get("HOME") or os.path.expanduser("~")
    login = {key: value for key, value in os.environ.items() if key in _LOGIN or key.startswith(_OF_THE_SYSTEM)}
    proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    return {**proxies, **login, "HOME": home, "ORCH_PYTHON": sys.executable}


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # each was asked for
    return pipe
