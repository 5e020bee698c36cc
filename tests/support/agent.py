"""The agent as a client sees it: a verb, a request, an answer."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orch_agent import locks

T = TypeVar("T")

SOURCES = Path(__file__).parents[2] / "src" / "orch_agent"
PYTHON = os.environ.get("ORCH_TEST_PYTHON39") or sys.executable
LONG = 30.0


class Refused(Exception):
    """The agent's error document."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"])
        self.kind = error["kind"]
        self.hint = error["hint"]


def eventually(look: Callable[[], T], what: str, patience: float = LONG) -> T:
    """The first true thing that ``look`` returns; fails after ``patience`` seconds."""
    until = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"still not so after {patience:g} s: {what}"
        time.sleep(0.02)


def is_unsupervised(root: Path) -> bool:
    """Whether the host whose ``~/.orch`` this is has no supervisor: nobody but who is called touches its ledger."""
    return not locks.is_held(str(root / "live" / "supervisor.lock"))


_compiled_home = tempfile.TemporaryDirectory(prefix="orch-agents-", dir="/tmp")


@functools.cache
def _compiled(python: str) -> Path:
    """The agent as it arrives on a host: compiled. One for the whole run."""
    directory = Path(_compiled_home.name) / f"agent{python.replace(os.sep, '-')}"
    shutil.copytree(SOURCES, directory / "orch_agent", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "__main__.py").write_text("from orch_agent.__main__ import main\nmain()\n")
    subprocess.run([python, "-m", "compileall", "-q", str(directory)], check=True)
    return directory


class Agent:
    """One host's agent, installed under ``home``."""

    def __init__(self, home: Path, python: str = PYTHON, env: dict[str, str] | None = None) -> None:
        self.home = home
        self.python = python
        self.env = env or {}
        self.root = home / ".orch"
        self.directory = self.root / "agent-test"
        if not self.directory.exists():
            self.root.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(_compiled(python), self.directory)

    def argv(self, verb: str, *words: str) -> list[str]:
        """The command line of a verb."""
        return [self.python, "-I", "-S", str(self.directory), verb, *words]

    def popen(self, verb: str, request: dict[str, Any], **more: Any) -> subprocess.Popen[bytes]:
        """A verb that runs, its standard input still open behind the request."""
        pipe = subprocess.PIPE
        env = {**os.environ, "HOME": str(self.home), **self.env}
        process = subprocess.Popen(self.argv(verb), stdin=pipe, stdout=pipe, stderr=pipe, env=env, **more)
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        return process

    def raw(self, verb: str, request: dict[str, Any], timeout: float = LONG) -> tuple[int, bytes, bytes]:
        """Status, output and errors of a verb; its input stays open until it ends."""
        process = self.popen(verb, request)
        assert process.stdin and process.stdout and process.stderr
        with process.stdin, process.stdout, process.stderr:
            out, err = process.stdout.read(), process.stderr.read()
            return process.wait(timeout), out, err

    def call(self, verb: str, **request: Any) -> dict[str, Any]:
        """A verb's answer; its refusal is raised, and anything on standard error is a failure."""
        status, out, err = self.raw(verb, request)
        assert not err, err.decode(errors="replace")
        answer: dict[str, Any] = json.loads(out)
        if status:
            raise Refused(answer["error"])
        return answer

    def submit(self, name: str, command: str, key: str | None = None, **spec: Any) -> dict[str, Any]:
        """Submit a job; its view."""
        job_id = key or os.urandom(8).hex()
        job: dict[str, Any] = self.call("submit", id=job_id, spec={"name": name, "command": command, **spec})["job"]
        return job

    def wait(self, *refs: str, timeout: float = LONG) -> dict[str, Any]:
        """Wait for jobs; the first one's view."""
        answer = self.call("wait", jobs=list(refs), timeout=timeout)
        assert not answer["timed_out"], f"{refs} still run: {answer['jobs']}"
        job: dict[str, Any] = answer["jobs"][0]
        return job

    def finished(self, name: str, command: str, **spec: Any) -> dict[str, Any]:
        """Run a job to its end; its view."""
        self.submit(name, command, **spec)
        return self.wait(name)

    def show(self, ref: str) -> dict[str, Any]:
        """Everything about one run."""
        return self.call("show", job=ref)

    def running(self, ref: str) -> dict[str, Any]:
        """The job's view, once it runs."""
        return eventually(lambda: self._if_running(ref), f"{ref} runs")

    def _if_running(self, ref: str) -> dict[str, Any] | None:
        job: dict[str, Any] = self.show(ref)["job"]
        assert job["state"] in ("PENDING", "RUNNING"), job
        return job if job["state"] == "RUNNING" else None

    def log(self, ref: str, **request: Any) -> bytes:
        """The bytes of a log."""
        status, out, err = self.raw("logs", {"job": ref, **request})
        assert status == 0 and not err, (out, err)
        return out.partition(b"\n")[2]

    def runner(self, job_id: str) -> int:
        """The pid of the job's runner."""
        return eventually(lambda: self._holder(job_id), "a runner lives")

    def supervisor(self) -> int:
        """The pid of the host's supervisor."""
        return eventually(self._supervisor, "a supervisor lives")

    def _supervisor(self) -> int | None:
        try:
            pid = int((self.root / "live" / "supervisor.lock").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if Path(f"/proc/{pid}").exists() else None

    def _holder(self, job_id: str) -> int | None:
        try:
            pid: int = json.loads((self.root / "live" / f"{job_id}.lock").read_text())["runner"]
        except (OSError, ValueError):
            return None
        return pid if Path(f"/proc/{pid}").exists() else None

    def _find(self, words: str) -> int | None:
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and words in Path(f"/proc/{entry}/cmdline").read_text(errors="replace"):
                    return int(entry)
            except OSError:
                continue
        return None

    def tmux(self, *words: str) -> str:
        """The host's tmux server."""
        env = {**os.environ, "TMUX_TMPDIR": os.environ["TMUX_TMPDIR"]}
        return subprocess.run(["tmux", *words], env=env, capture_output=True, text=True, check=False).stdout

    def close(self) -> None:
        """End every job and the tmux server."""
        if (self.root / "ledger.db").exists():
            try:
                jobs = self.call("status", names=[])["jobs"]
                live = [f"{job['name']}.{job['run']}" for job in jobs if job["state"] in ("PENDING", "RUNNING")]
                if live:
                    self.call("cancel", jobs=live, grace=0)
            except (AssertionError, Refused, ValueError):
                self._kill_leftovers()
        self.tmux("kill-server")

    def _kill_leftovers(self) -> None:
        """By the marker of this agent's directory on their command lines: for tests that broke the ledger."""
        while pid := self._find(f"{self.directory}\0"):
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
