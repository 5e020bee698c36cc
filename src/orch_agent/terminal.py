"""The pseudo-terminal of a job, and the process that begins on it.

Invariants
- The process starts with default signals, the person's umask, no inherited descriptor but 0, 1 and 2,
  and the terminal as its controlling terminal.
- It waits until it is let go: whoever starts it can write down who it is first. If its starter dies
  before that, it ends without having run anything.
- The runner keeps the slave side open as well, of a pipe the writing end: a job that closes its terminal ends
  nothing, and at the end of the job every byte can still be read.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from typing import Callable, Optional

ROWS, COLUMNS = 30, 120
"""The size of a terminal that nobody has looked at yet."""

PATH_PREFIX = '[[ ":$PATH:" == *":$HOME/bin:"* ]] || export PATH="$HOME/bin:$PATH"; '
_ARGUMENT_LIMIT = 100_000
"""Bytes; Linux takes 131,072 in one argument."""


def shell_words(command: str, file: str) -> list[str]:
    """The words that run ``command`` in a login shell; a very long one is read from ``file``."""
    text = PATH_PREFIX + command
    if len(os.fsencode(text)) > _ARGUMENT_LIMIT:
        with open(file, "wb") as out:
            out.write(os.fsencode(command))
        # It must not see the difference: no other $0, no $1, no file that `return` could leave.
        return ["bash", "-lc", PATH_PREFIX + 'eval "shift; $(<"$1")"', "bash", file]
    return ["bash", "-lc", text]


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set the window size; the kernel tells the foreground processes where it changed."""
    try:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    except OSError:
        pass


def get_size(fd: int) -> tuple[int, int]:
    """Rows and columns; the default where ``fd`` is no terminal or has no size."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        rows = columns = 0
    return rows or ROWS, columns or COLUMNS


class Child:
    """A process that waits to be let go. ``master`` is None without a terminal.

    ``output`` is where what it writes is to be read, None where it writes to the log itself.
    """

    def __init__(self, pid: int, gate: int, output: Optional[int], slave: Optional[int]) -> None:
        self.pid = pid
        self._gate = gate
        self.output = output
        self.slave = slave
        is_terminal = slave is not None and os.isatty(slave)
        self.master = output if is_terminal else None
        self.terminal = os.ttyname(slave) if slave is not None and is_terminal else ""

    def let_go(self) -> None:
        """Let it begin."""
        os.write(self._gate, b".")
        os.close(self._gate)


TERMINAL, PIPE = -1, -2
"""Where a process can write to, besides a descriptor."""


def prepare(begin: Callable[[], None], target: int, hears_hangup: bool = True) -> Child:
    """Fork a process that will call ``begin`` (which must exec) once let go.

    It gets a new terminal, or writes to a new pipe or the descriptor ``target``, and its input is empty.
    One that does not hear the hang-up leaves children that outlive its terminal.
    """
    output, slave = os.openpty() if target == TERMINAL else os.pipe() if target == PIPE else (None, None)
    if output is not None:
        os.set_blocking(output, False)
    if output is not None and target == TERMINAL:
        set_size(output, ROWS, COLUMNS)
    waiting, gate = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(gate)
            _settle_in(target if slave is None else slave, target == TERMINAL)
            if not hears_hangup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            if os.read(waiting, 1):
                begin()
        except Exception as error:
            os.write(2, ascii("orch: the job could not begin: %s" % error)[1:-1].encode() + b"\r\n")
        finally:
            os._exit(126)
    os.close(waiting)
    return Child(pid, gate, output, slave)


def _settle_in(output: int, is_terminal: bool) -> None:
    os.setsid()
    if is_terminal:
        fcntl.ioctl(output, termios.TIOCSCTTY, 0)
    streams = (output if is_terminal else os.open(os.devnull, os.O_RDONLY), output, output)
    for target, source in enumerate(streams):
        os.dup2(source, target)
    signal.set_wakeup_fd(-1)
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # KILL, STOP, and what is reserved by the C library
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
