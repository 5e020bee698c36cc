"""One multiplexed connection a host, shared by every command on this laptop.

A connection is a *lane*: an ssh in the background (``ssh -M -N -f``) that ends ten minutes after its last use, and a
socket through which it is handed sessions (``mux``).

Invariants
- A lane carries at most as many sessions as every sshd allows (MaxSessions, 10 unless said); with more commands at
  once there are more lanes. Who uses a lane holds one of its slots, a lock that ends with the process.
- Connections to one host are made one after the other, so nobody trips MaxStartups. The lock for it is the standard
  input of the ssh that connects: it is free again when that ssh goes into the background, or dies, however it dies.
- Whoever waited while a connection failed takes that failure for his own, and does not knock again. What ssh said
  is in a file that is there, and not empty, only after a failure.
- Through a lane, or not at all: a session that finds no lane ends with ``LOST`` and connects nowhere by itself.
- What a door has to do (a key to make, a tunnel to open) is done when a lane is connected, and at no other time.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from orch import bundle, paths
from orch.errors import OrchError
from orch.transport import LinkDown

from .door import Door, Open, Way

LANES, WIDTH = 64, 8  # at most so many connections of so many sessions; two are left for the person's own
_POLL = 0.02

_FORCED = (
    *("RemoteCommand=none", "RequestTTY=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "EscapeChar=none"),
    "ForwardX11=no",
)
_DEFAULTS = (
    "ConnectTimeout=10",
    *("ServerAliveInterval=4", "ServerAliveCountMax=2"),  # a dead link is noticed within 12 s
)
_STARTER = "import os, signal, sys; signal.alarm(int(sys.argv[1])); os.execvp('ssh', sys.argv[2:])"
"""The alarm outlives exec, but not the fork with which ssh goes into the background."""


class Session:
    """A place in a lane, held until it is released or this process ends."""

    def __init__(self, socket: str, slot: int | None = None) -> None:
        self.socket = socket
        self._slot = slot

    def words(self, *options: str) -> list[str]:
        """The command line of an ssh that goes through this lane, up to the name, which then means nothing."""
        through = ("-F", "none", "-S", self.socket, "-o", "ProxyCommand=false", "-o", "LogLevel=ERROR")
        return ["ssh", *through, "-o", "EscapeChar=none", *options]

    def release(self) -> None:
        """Give the place back; a second time does nothing."""
        if self._slot is not None:
            os.close(self._slot)
            self._slot = None


class Connection:
    """The lanes to one host. ``options`` are words of ssh's command line, ``persist`` is a lane's life without use."""

    def __init__(self, address: str, options: Sequence[str], persist: str = "10m", door: Door | None = None) -> None:
        self.address = address
        self.options = options
        self.login = [*options, *_as_options(_DEFAULTS)]
        """For a session of the person's own, with the person's own configuration."""
        self.base = ["ssh", *_as_options(_FORCED), *self.login]
        self._persist = persist
        self.door = door or Open()
        key = "\0".join([*self.base, address, self.door.name])
        self._name = bundle.sha256(key.encode("utf-8", "surrogateescape"))[:16]

    def take(self, until: float | None = None, crowded: Sequence[str] = (), asks: bool = False) -> Session:
        """A place in a lane that is connected; not in one of the ``crowded``. ``until``: of the monotonic clock."""
        session = self._free(crowded)
        try:
            if not os.path.exists(session.socket):
                self.connect(session.socket, until, asks)
        except BaseException:
            session.release()
            raise
        return session

    def _free(self, crowded: Sequence[str]) -> Session:
        start = os.path.join(directory(), self._name)
        for lane in range(LANES):
            socket = f"{start}.{lane}"
            if socket in crowded:
                continue
            for slot in range(WIDTH):
                lock = _opened(f"{socket}.{slot}")
                if _locked(lock):
                    return Session(socket, lock)
                os.close(lock)
        raise OrchError("refused", f"{LANES * WIDTH} commands talk to {self.address} already", "orch status")

    def beside(self) -> str:
        """The socket of a connection that is to be this process's own, and no lane."""
        return os.path.join(directory(), f"{self._name[:8]}.p{os.getpid()}")

    def is_open(self) -> bool:
        """Whether there is a lane."""
        return _listens(os.path.join(directory(), f"{self._name}.0"))

    def close(self) -> None:
        """End every lane: what it led to is no more."""
        lanes = (os.path.join(directory(), f"{self._name}.{lane}") for lane in range(LANES))
        for socket in filter(os.path.exists, lanes):
            disconnect(socket)

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Every lane ended, and none made before this ends: whoever loses one is not to come back meanwhile."""
        lock = _opened(os.path.join(directory(), self._name) + ".lock")
        try:
            with suppress(Late):  # somebody else connects, and hangs
                _await(lock, None, self.door.seconds)
            self.close()
            yield
        finally:
            os.close(lock)

    def connect(self, socket: str, until: float | None = None, asks: bool = False) -> bool:
        """See to it that an ssh listens at ``socket``; whether none did. ``asks``: it may ask the person for things.

        A ``ConnectionFailed`` says what ssh said; a ``Late`` that ``until`` has come, while ssh tries on.
        """
        start = os.path.join(directory(), self._name)
        began = time.time()
        lock = _opened(start + ".lock")
        try:
            _await(lock, until, self.door.seconds)
            if _listens(socket):
                return False
            if not asks and (said := _failed_since(start + ".err", began)):
                raise ConnectionFailed(said)
            _unlink(socket)  # of an ssh that was killed
            with self.door.opened(until) as way:
                self._start(socket, lock, start + ".err", until, asks, way)
            _unlink(start + ".err")
            return True
        finally:
            os.close(lock)

    def _start(self, socket: str, lock: int, errors: str, until: float | None, asks: bool, way: Way) -> None:
        import subprocess  # late, here and below: where there is a lane, nothing is started

        patient, quiet = ("no", "INFO") if asks else ("yes", "ERROR")
        words = [*self.base, *way.words, "-o", f"BatchMode={patient}", "-o", f"LogLevel={quiet}"]
        words += ["-o", f"ControlPersist={self._persist}", "-M", "-N", "-f", "-S", socket, "--", self.address]
        said = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            process = subprocess.Popen(
                words if asks else [sys.executable, "-I", "-S", "-c", _STARTER, str(self.door.seconds), *words],
                stdin=lock,
                stdout=subprocess.DEVNULL,
                stderr=None if asks else said,
                start_new_session=not asks,
                cwd="/",
                env={**os.environ, **way.env},
            )
        except FileNotFoundError:
            raise OrchError("host", "there is no ssh on this machine", "install OpenSSH's client") from None
        finally:
            os.close(said)
        try:
            status = process.wait(None if until is None else max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.returncode = 0  # it goes on alone: whoever comes next may find the connection made
            raise Late("has not answered yet") from None
        if status and not asks and not _read(errors):
            _write(errors, f"timed out: no connection within {self.door.seconds} s")  # the alarm says nothing by itself
        if status:
            raise ConnectionFailed("" if asks else _read(errors))


class Late(LinkDown):
    """The time is over, while ssh tries on."""


class ConnectionFailed(Exception):
    """No connection; ``said`` is what ssh had to say, nothing where it did not come to an end."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


def disconnect(socket: str) -> None:
    """End the ssh that listens there; one that does not answer ends by itself, when its link counts as dead."""
    if _told(socket, "exit") is None:
        _unlink(socket)


def _as_options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("-o", setting)]


def directory() -> str:
    """Where the sockets are: ours, and nobody else may look in."""
    place = paths.sockets()
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        found = os.lstat(place)
    except OSError as error:
        raise OrchError("refused", f"cannot make {place}: {error.strerror}", "XDG_RUNTIME_DIR=DIR") from None
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not os.path.isdir(place):
        raise OrchError("refused", f"{place} is somebody else's, or open to others", f"ls -ld {place}")
    return place


def _opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await(lock: int, until: float | None, seconds: float) -> None:
    latest = time.monotonic() + seconds if until is None else until
    while not _locked(lock):
        if time.monotonic() >= latest:
            raise Late("has not answered another command yet, or ssh asks somebody something")
        time.sleep(_POLL)


def _listens(socket: str) -> bool:
    return os.path.exists(socket) and _told(socket, "check") == 0


def _told(socket: str, command: str) -> int | None:
    """The status of telling the ssh that listens there what to do; None where it does not answer."""
    import subprocess

    words = ["ssh", "-F", "none", "-S", socket, "-O", command, "x"]
    try:
        return subprocess.run(words, stdin=-3, stdout=-3, stderr=-3, timeout=3).returncode
    except subprocess.TimeoutExpired:
        return None


def _failed_since(errors: str, began: float) -> str:
    """What was said when a connection failed after ``began``; nothing where none did."""
    try:
        return _read(errors) if began <= os.stat(errors).st_mtime <= time.time() + 1 else ""
    except OSError:
        return ""


def _read(errors: str) -> str:
    with open(errors, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 16)


def _write(errors: str, text: str) -> None:
    with open(errors, "w", encoding="utf-8") as file:
        file.write(text)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
