"""An agent whose processes kill themselves at a step that the test chooses.

A step is a call into the system: the file, lock, database and process calls that leave a trace. The agent's own
entry is replaced by one that counts them through the interpreter's profiler and sends itself SIGKILL before the n-th,
so every state that a crash can leave behind is visited once, without a race.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import NamedTuple

from tests.support.agent import Agent, eventually

_ENTRY = """
import os, signal, sys
from orch_agent.__main__ import main

VERB, AT, PLACE, WHO, TRACE = (os.environ.get("DIE_" + key, "") for key in ("VERB", "AT", "IN", "WHO", "TRACE"))
HOW = int(os.environ.get("DIE_HOW") or signal.SIGKILL)
MAIN = os.getpid()
SYSTEM = {
    "mkdir", "open", "close", "write", "pwrite", "rename", "replace", "unlink", "symlink", "fork", "waitpid", "setsid",
    "dup2", "execve", "fsync", "flock", "lockf", "openpty", "pipe", "chdir", "kill", "closerange", "bind", "listen",
    "connect", "execute", "commit", "ftruncate", "fork_exec", "rmdir", "ioctl", "wait4", "read", "send", "accept",
}
seen = 0

def count(frame, event, function):
    global seen
    if event == "call" and PLACE and frame.f_code.co_name == PLACE and (os.getpid() == MAIN):
        os.kill(os.getpid(), HOW)
    if event != "c_call" or function.__name__ not in SYSTEM or frame.f_code is count.__code__:
        return
    if "orch_agent" not in frame.f_code.co_filename and function.__name__ not in ("fork_exec", "execve"):
        return
    seen += 1
    role = "main" if os.getpid() == MAIN else "child"
    if TRACE:
        sys.setprofile(None)
        with open(TRACE, "a") as out:
            out.write("%s %d %s:%s\\n" % (role, seen, frame.f_code.co_name, function.__name__))
        sys.setprofile(count)
    if seen == int(AT or 0) and role == WHO:
        os.kill(os.getpid(), HOW)

if len(sys.argv) > 1 and sys.argv[1] == VERB:
    with open(os.environ["DIE_PID"], "w") as out:
        out.write(str(MAIN))
    sys.setprofile(count)
main()
"""


class Step(NamedTuple):
    """The n-th call of the main process or of one it forked, and where it is made."""

    who: str
    at: int
    where: str


class Dying:
    """``agent``, made mortal."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._trace, self._pid = agent.home / "steps", agent.home / "dying-pid"
        (agent.directory / "__main__.py").write_text(_ENTRY)

    def steps(self, verb: str, name: str, command: str, **spec: object) -> list[Step]:
        """The steps of ``verb``, from a run that is let live."""
        self._set(verb, trace=str(self._trace))
        self.agent.finished(name, command, **spec)
        self.agent.env = {}
        lines = (line.split() for line in self._trace.read_text().splitlines())
        return [Step(who, int(at), where) for who, at, where in lines]

    def die(self, verb: str, who: str = "main", at: int = 0, place: str = "") -> None:
        """From now on ``verb`` dies there."""
        self._pid.unlink(missing_ok=True)
        self._set(verb, at=at, who=who, place=place)

    def halt(self, verb: str, place: str) -> None:
        """From now on ``verb`` stops there, until it is continued."""
        self.die(verb, place=place)
        self.agent.env["DIE_HOW"] = str(int(signal.SIGSTOP))

    def halted(self) -> int:
        """The pid of the process that has stopped; waits for it."""

        def look() -> int:
            pid = self._pid.read_text() if self._pid.exists() else ""
            stopped = pid and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
            return int(pid) if stopped else 0

        return eventually(look, "it has stopped")

    def live(self) -> None:
        """From now on nothing dies."""
        self.agent.env = {}

    def is_gone(self) -> bool:
        """Whether the process that was to die has begun, and is no more."""
        try:
            return not Path(f"/proc/{self._pid.read_text()}/cmdline").read_bytes()
        except FileNotFoundError:
            return self._pid.exists() and bool(self._pid.read_text())
        except (ProcessLookupError, ValueError):
            return True

    def gone(self) -> None:
        """Wait for that."""
        eventually(self.is_gone, "it has died, or ended before it should")

    def _set(self, verb: str, at: int = 0, who: str = "", place: str = "", trace: str = "") -> None:
        self.agent.env = {
            "DIE_VERB": verb,
            "DIE_AT": str(at),
            "DIE_WHO": who,
            "DIE_IN": place,
            "DIE_TRACE": trace,
            "DIE_PID": str(self._pid),
        }
