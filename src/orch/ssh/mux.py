"""A session in a lane, asked of the ssh that holds the lane, through its control socket.

The program ssh would ask for it in the same words (OpenSSH's PROTOCOL.mux, version 4), and take 10 ms to begin.

Invariants
- When the control socket is closed, or this process dies, the session is closed, and its standard input ends.
- The end is that of the program ssh: the script's own status, or ``LOST`` where none came. What ssh has against a
  session is in ``err``. Where no ssh listens, the session has ended before it began.
"""

from __future__ import annotations

import _socket  # without what the module socket adds, which takes longer to import than all of this takes
import fcntl
import os
import select
import sys
import time

from orch.errors import OrchError
from orch.transport import LONGEST, LOST, Completed, PipeStream, no_answer

_HELLO, _NEW_SESSION, _NEW_FORWARD, _OPENED = 1, 0x10000002, 0x10000008, 0x80000006
_DENIED, _FAILURE, _EXIT_MESSAGE = 0x80000002, 0x80000003, 0x80000004
_VERSION = 4
_SET_SIZE, _WIDE = 1031, 1 << 20  # what Linux calls F_SETPIPE_SZ; bytes, as much as it lets anybody have
_NO_ESCAPE = 0xFFFFFFFF
_LISTENS = 5.0  # seconds that the ssh here may take to say that it listens


class MuxStream(PipeStream):
    """``command``, run by the login shell of the host that the ssh at ``path`` is connected to."""

    def __init__(self, path: str, command: str, stdin: bytes) -> None:
        self._control, pipes = _begun(3)
        (in_there, in_here), (out_here, out_there), (err_here, err_there) = pipes
        _widen(in_here)
        _widen(out_here)
        super().__init__(open(in_here, "wb", 0), open(out_here, "rb", 0), open(err_here, "rb", 0))
        self._status: int | None = None
        given = in_there, out_there, err_there
        try:
            self._ask(path, command, given)
        except BaseException:
            self.kill()
            raise
        finally:
            for fd in given:
                os.close(fd)
        self.send(stdin)

    def _ask(self, path: str, command: str, given: tuple[int, ...]) -> None:
        flags = 4 * _number(0)  # no terminal, no X11, no agent, no subsystem
        options = _text(b"") + flags + _number(_NO_ESCAPE) + _text(b"")
        try:
            self._control.ask(path, _NEW_SESSION, options + _text(os.fsencode(command)), given, _LISTENS)
        except TimeoutError:
            raise no_answer(_LISTENS) from None
        except OSError:
            pass  # nobody listens: the pipes end here, and no status will come

    def finish(self, timeout: float | None = None) -> Completed:
        """Its end, which must come within ``timeout`` seconds; a second call gives the status again."""
        if self._status is not None:
            return Completed(self._status, b"", b"")
        self._status = LOST  # unless more is known
        until = None if timeout is None else time.monotonic() + timeout
        try:
            self._in.close()
            out, err = self._rest(until)
            self._status, said = self._last_words(until)
        except TimeoutError:
            raise no_answer(timeout) from None
        finally:
            self.kill()
        ahead, self._ahead = self._ahead, b""
        return Completed(self._status, ahead + out, self._said + err + said)

    def kill(self) -> None:
        """Close the session, whatever it does."""
        for end in (self._in, self._out, self._err, self._control):
            end.close()

    def _rest(self, until: float | None) -> tuple[bytes, bytes]:
        """All that comes until both pipes end."""
        out, err = self._out.fileno(), self._err.fileno()
        came: dict[int, list[bytes]] = {out: [], err: []}
        poll = select.poll()
        for fd in came:
            poll.register(fd, select.POLLIN)
        left, count = len(came), 0
        while left:
            if count > LONGEST:
                raise OrchError("host", "an answer without an end", "orch doctor")
            ready = poll.poll(None if until is None else _left(until) * 1000)
            if not ready:
                raise TimeoutError
            for fd, _ in ready:
                chunk = os.read(fd, self.CHUNK)
                came[fd].append(chunk)
                count += len(chunk)
                if not chunk:
                    poll.unregister(fd)
                    left -= 1
        return b"".join(came[out]), b"".join(came[err])

    def _last_words(self, until: float | None) -> tuple[int, bytes]:
        """The status, and what ssh said, when it has closed the session."""
        status, said = LOST, b""
        timeout = None if until is None else max(0.01, _left(until))
        while message := self._control.message(timeout):
            kind = int.from_bytes(message[:4], "big")
            if kind == _EXIT_MESSAGE:
                status = int.from_bytes(message[8:12], "big")
            elif kind in (_DENIED, _FAILURE):
                said = message[12:]
        return status, said


class Control:
    """What is said to the ssh that holds a lane, and what it answers."""

    def __init__(self) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def ask(self, path: str, kind: int, words: bytes, given: tuple[int, ...], timeout: float) -> None:
        """Ask for something, and hand over descriptors for it. An ``OSError`` where nobody listens."""
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._socket.sendall(_text(_number(_HELLO) + _number(_VERSION)))
        self._message()
        self._socket.sendall(_text(_number(kind) + _number(0) + words))
        for fd in given:
            passed = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))
            self._socket.sendmsg([b"\0"], [passed])

    def message(self, timeout: float | None) -> bytes:
        """The next one; nothing at the end. A ``TimeoutError`` where it does not come within so many seconds."""
        self._socket.settimeout(timeout)
        return self._message()

    def shut(self) -> None:
        """So ends what was asked for."""
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

    def close(self) -> None:
        """The same, and nothing is heard of it any more."""
        self._socket.close()

    def _message(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(4), "big"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                chunk = self._socket.recv(count - len(data))
            except TimeoutError:
                raise
            except OSError:
                chunk = b""
            if not chunk:
                return b""
            data += chunk
        return data


class Forward:
    """A connection to ``port`` of ``address``, as the host sees it, through the ssh at ``path``: a ``Wire``.

    It takes no session, of which an sshd allows few. An ``OSError`` where nobody listens at ``path``, or not any more.
    """

    def __init__(self, path: str, address: str, port: int, timeout: float) -> None:
        self._path = path
        self._control, pipes = _begun(2)
        (in_there, self.write), (self.read, out_there) = pipes
        where = _text(b"") + _text(address.encode()) + _number(port)
        try:
            self._control.ask(path, _NEW_FORWARD, where, (in_there, out_there), timeout)
            said = self._control.message(timeout)
            if not said:
                raise ConnectionResetError
        except BaseException:
            self.close()
            raise
        finally:
            os.close(in_there)
            os.close(out_there)
        self.is_open = int.from_bytes(said[:4], "big") == _OPENED

    def end(self) -> None:
        """Nothing more is written."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def is_broken(self) -> bool:
        """Whether the lane is no more."""
        probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            probe.connect(self._path)
        except OSError:
            return True
        finally:
            probe.close()
        return False

    def wait(self) -> None:
        """Until both directions have ended."""
        self._control.message(None)

    def cut(self) -> None:
        """End both directions, whatever is still on its way."""
        self._control.shut()

    def close(self) -> None:
        """Give back what it holds."""
        self._control.close()
        self.end()
        os.close(self.read)


def _begun(count: int) -> tuple[Control, list[tuple[int, int]]]:
    """Something to ask with, and so many pipes; or nothing, where descriptors run out in between."""
    control = Control()
    pipes: list[tuple[int, int]] = []
    try:
        for _ in range(count):
            pipes.append(os.pipe())
    except BaseException:
        control.close()
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        raise
    return control, pipes


def _widen(pipe: int) -> None:
    """Let a pipe hold more: who reads and who writes take turns less often."""
    try:
        fcntl.fcntl(pipe, _SET_SIZE, _WIDE)
    except OSError:
        pass  # this system, or this person's share of it, has no more


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _text(data: bytes) -> bytes:
    return _number(len(data)) + data


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())
