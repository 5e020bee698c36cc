"""A program in front of the person's terminal, in our place until it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping


def run(argv: list[str], env: Mapping[str, str] | None = None, silently: bool = False) -> int:
    """Run it to its end and give its exit status, 128+n for signal n; signals, and what the keys mean, are its affair.

    ``silently``: what it says on standard error is dropped. An ``OSError`` where it cannot be started.
    """
    dropped = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)] if silently else []
    defaults = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE)
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        environment = os.environ if env is None else env
        pid = os.posix_spawnp(argv[0], argv, environment, file_actions=dropped, setsigdef=defaults)
        for number in (signal.SIGTERM, signal.SIGHUP):
            kept[number] = signal.signal(number, lambda number, _: os.kill(pid, number))
        while os.WIFSTOPPED(status := os.waitpid(pid, os.WUNTRACED)[1]):
            os.kill(os.getpid(), signal.SIGSTOP)  # suspended by its own keys: the shell waits for us, not for it
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
