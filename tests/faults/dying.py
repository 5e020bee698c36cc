"""An agent whose processes kill themselves at a step that the test chooses.

A step is a call into the system: the file, lock, database and process calls that leave a trace. The agent's own
entry is replaced by one that counts them through the interpreter's profiler and sends itself SIGKILL before the n-th,
so every state that a crash can leave behind is visited once, without a race.

What dies is told in a file beside the agent, read by each process when it begins: the supervisor lives on from one test
to the next, and a runner is a fork of it.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import NamedTuple

from orch_agent import locks
from tests.support.agent import Agent, eventually

_ENTRY = """
import json, os, signal, sys
from orch_agent.__main__ import main

ORDERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "orders.json")
SYSTEM = {
    "mkdir", "open", "close", "write", "pwrite", "rename", "replace", "unlink", "symlink", "fork", "waitpid", "setsid",
    "dup2", "execve", "execv", "fsync", "flock", "lockf", "openpty", "pipe", "chdir", "kill", "closerange", "bind",
    "listen", "connect", "execute", "commit", "ftruncate", "fork_exec", "rmdir", "ioctl", "wait4", "read", "send",
    "accept", "sendto", "recv", "select",
}

class Count:
    def __init__(self, orders):
        self.verb, self.who, self.at = orders["verb"], orders["who"], orders["at"]
        self.place, self.trace, self.how = orders["place"], orders["trace"], orders["how"]
        self.main, self.seen = os.getpid(), 0
        with open(orders["pid"], "w") as out:
            out.write(str(self.main))

    def __call__(self, frame, event, function):
        is_main = os.getpid() == self.main
        if event == "call" and self.place and frame.f_code.co_name == self.place and is_main:
            os.kill(os.getpid(), self.how)
        if event != "c_call" or function.__name__ not in SYSTEM or frame.f_code is Count.__call__.__code__:
            return
        if "orch_agent" not in frame.f_code.co_filename and function.__name__ not in ("fork_exec", "execve"):
            return
        self.seen += 1
        role = "main" if is_main else "child"
        if self.trace:
            sys.setprofile(None)
            with open(self.trace, "a") as out:
                out.write("%s %d %s:%s\\n" % (role, self.seen, frame.f_code.co_name, function.__name__))
            sys.setprofile(self)
        if self.seen == self.at and role == self.who:
            os.kill(os.getpid(), self.how)

def watch(verb):
    try:
        with open(ORDERS) as file:
            orders = json.load(file)
    except FileNotFoundError:
        return
    sys.setprofile(Count(orders) if orders["verb"] == verb else None)

verb = sys.argv[1] if len(sys.argv) > 1 else ""
if verb == "supervisor":
    from orch_agent import runner
    run = runner.main
    def watched(job_id):
        watch("runner")
        run(job_id)
    runner.main = watched
watch(verb)
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
        self._orders = agent.directory / "orders.json"
        (agent.directory / "__main__.py").write_text(_ENTRY)
        self.rest()

    def rest(self) -> None:
        """Wait until no supervisor is left: the next one is a new process, which reads what it is told."""
        lock = str(self.agent.root / "live" / "supervisor.lock")
        eventually(lambda: not locks.is_held(lock), "the supervisor has found nothing to do")

    def steps(self, verb: str, name: str, command: str, **spec: object) -> list[Step]:
        """The steps of ``verb``, from a run that is let live."""
        self._order(verb, trace=str(self._trace))
        self.agent.finished(name, command, **spec)
        self.rest()
        return self.traced()

    def trace(self, verb: str) -> None:
        """From now on ``verb`` notes its steps."""
        self._trace.unlink(missing_ok=True)
        self._order(verb, trace=str(self._trace))

    def traced(self) -> list[Step]:
        """The steps that were noted; none are any more."""
        self.live()
        lines = (line.split() for line in self._trace.read_text().splitlines())
        return [Step(who, int(at), where) for who, at, where in lines]

    def die(self, verb: str, who: str = "main", at: int = 0, place: str = "") -> None:
        """From now on ``verb`` dies there."""
        self._pid.unlink(missing_ok=True)
        self._order(verb, at=at, who=who, place=place)

    def halt(self, verb: str, place: str) -> None:
        """From now on ``verb`` stops there, until it is continued."""
        self._pid.unlink(missing_ok=True)
        self._order(verb, place=place, how=signal.SIGSTOP)

    def halted(self) -> int:
        """The pid of the process that has stopped; waits for it."""

        def look() -> int:
            pid = self._pid.read_text() if self._pid.exists() else ""
            stopped = pid and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
            return int(pid) if stopped else 0

        return eventually(look, "it has stopped")

    def live(self) -> None:
        """From now on nothing that begins dies."""
        self._orders.unlink(missing_ok=True)

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

    def _order(
        self, verb: str, at: int = 0, who: str = "", place: str = "", trace: str = "", how: int = signal.SIGKILL
    ) -> None:
        orders = {"verb": verb, "at": at, "who": who, "place": place, "trace": trace, "how": int(how)}
        aside = self._orders.with_suffix(".new")
        aside.write_text(json.dumps({**orders, "pid": str(self._pid)}))
        aside.rename(self._orders)
