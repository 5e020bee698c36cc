"""The job of a campaign: writes lines that are known beforehand, and tells beside orch what it does.

work.py EFFECTS LINES SECONDS BEHAVIOUR [FLAG...]. BEHAVIOUR: ``ok``; ``exit:3``; ``kill:9`` (itself); ``hang`` until it
is ended; ``flaky:2:5`` exits with 5 in its first two attempts; ``bad:3,5:7`` exits with 7 as one of these tasks.
FLAG: ``deaf`` to TERM and HUP; ``family``: a child in a session of its own stays behind.

A line of EFFECTS is TIME ID ATTEMPT PID WHAT, written at once: ``start``, ``end 0``, ``kill 9``, ``term``.
Imports nothing of ours and runs on Python 3.9, for it runs on the host.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

BEGIN = "@"
"""What the output of an attempt begins with, and what is nowhere else in it."""
WIDTH = 100


def output(job_id: str, attempt: int, lines: int) -> bytes:
    """What an attempt writes, all of it."""
    return b"".join(_line(job_id, attempt, number) for number in range(lines))


def _line(job_id: str, attempt: int, number: int) -> bytes:
    text = "%s%d:%d %s " % ("" if number else BEGIN, attempt, number, job_id)
    return text.ljust(WIDTH - 1, "x").encode() + b"\n"


class _Job:
    def __init__(self, effects: str) -> None:
        self.id, self.attempt = os.environ["ORCH_JOB_ID"], int(os.environ["ORCH_JOB_ATTEMPT"])
        self.task = os.environ.get("ORCH_ARRAY_TASK", "")
        self.effects = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def tell(self, what: str) -> None:
        line = "%.6f %s %d %d %s\n" % (time.time(), self.id, self.attempt, os.getpid(), what)
        os.write(self.effects, line.encode())

    def write(self, lines: int, seconds: float) -> None:
        for number in range(lines):
            if not _put(_line(self.id, self.attempt, number)):
                break
            if number % 10 == 0:
                time.sleep(10 * seconds / lines)

    def leave(self, behaviour: str) -> None:
        what, _, more = behaviour.partition(":")
        if what == "kill":
            self.tell("kill " + more)
            os.kill(os.getpid(), int(more))
        code = 0
        if what == "exit":
            code = int(more)
        elif what == "flaky":
            failing, _, code_then = more.partition(":")
            code = int(code_then) if self.attempt <= int(failing) else 0
        elif what == "bad":
            tasks, _, code_then = more.partition(":")
            code = int(code_then) if self.task in tasks.split(",") else 0
        self.tell("end %d" % code)
        os._exit(code)

    def heed_term(self) -> None:
        def ended(*_: object) -> None:
            self.tell("term")
            os._exit(77)

        signal.signal(signal.SIGTERM, ended)


def _put(data: bytes) -> bool:
    """Write all of it, on a full disk once there is room; False where the terminal is gone."""
    while data:
        try:
            data = data[os.write(1, data) :]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                return False
            time.sleep(0.05)
    return True


def main() -> None:
    """Do what the command line says."""
    effects, lines, seconds, behaviour, *flags = sys.argv[1:]
    job = _Job(effects)
    job.tell("start")
    if "family" in flags and os.fork() == 0:
        os.setsid()
        while True:
            time.sleep(60)
    if "deaf" in flags:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        job.heed_term()
    job.write(int(lines), float(seconds))
    while behaviour == "hang":
        time.sleep(60)
    job.leave(behaviour)


if __name__ == "__main__":
    main()
