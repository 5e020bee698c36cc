"""What a command costs, counted in modules, processes and bytes instead of seconds, so that any machine may judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orch_agent import memory, queue, waiting
from orch_agent.ledger import Ledger, open_ledger
from orch_agent.model import COMPLETED, Ended, JobSpec, Result
from tests.support.agent import PYTHON, Agent
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.machine import Machine

# Runs the client, or with the agent's directory in front a verb of the agent, and tells on standard error
# which modules it imported, which processes it started and how many bytes it read.
PROGRAM = """
import os, sys
os._exit = sys.exit
before = set(sys.modules)
started = []
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"):
        started.append(event)
sys.addaudithook(hook)
if sys.argv[1] == "orch":
    sys.argv[:2] = ["orch"]
    from orch.cli.main import orch as main
else:
    sys.argv[:1] = []
    sys.path.insert(0, sys.argv[0])
    from orch_agent.__main__ import main
try:
    main()
finally:
    modules = sorted(set(sys.modules) - before)
    with open("/proc/self/io") as file:
        read = int(file.readline().split()[1])
    import json
    print(json.dumps({"modules": modules, "started": started, "read": read}), file=sys.stderr)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc counts")
pytestmark = linux


class Cost:
    """What one run imported, started and read."""

    def __init__(self, words: list[str], stdin: bytes = b"", env: Mapping[str, str] | None = None) -> None:
        env = {**os.environ, **(env or {})}
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=60, check=True, env=env)
        told = json.loads(done.stderr.splitlines()[-1])
        self.out: bytes = done.stdout
        self.modules: set[str] = set(told["modules"])
        self.started: list[str] = told["started"]
        self.read: int = told["read"]


def client(*words: str, env: Mapping[str, str] | None = None) -> Cost:
    return Cost([sys.executable, "-c", PROGRAM, "orch", *words], env=env)


def verb(agent: Agent, name: str, **request: object) -> Cost:
    request_line = json.dumps(request).encode() + b"\n"
    return Cost([PYTHON, "-I", "-S", "-c", PROGRAM, str(agent.directory), name], request_line)


def test_status_of_the_client_is_one_process_and_imports_only_itself(orch: Orch, agent: Agent) -> None:
    agent.submit("one", "sleep 60")
    orch("status")  # the first call of all puts the agent there
    cost = client("status")
    assert b"one" in cost.out
    assert cost.started == ["subprocess.Popen"]
    heavy = {
        "_hashlib",  # OpenSSL
        "argparse",
        "asyncio",
        "boto3",
        "dataclasses",
        "inspect",
        "rich",
        "shutil",
        "sqlite3",
        "tarfile",
        "tomllib",
    }
    assert not cost.modules & heavy
    faces = {one for one in cost.modules if one.startswith("orch.cli.")}
    assert faces <= {
        f"orch.cli.{name}" for name in ("args", "main", "options", "output", "status", "status_table", "values")
    }
    rooms = {one for one in cost.modules if one.startswith("orch.ops.")}
    assert rooms <= {f"orch.ops.{name}" for name in ("cache", "hosts", "parallel", "status")}


@pytest.mark.parametrize(
    "words", [("status",), ("run", "second", "true"), ("logs", "first")], ids=lambda words: words[0]
)
def test_over_a_connection_that_is_open_nothing_is_started(
    machine: Machine, laptop: Callable[..., Laptop], words: tuple[str, ...]
) -> None:
    mine = laptop(machine)
    assert mine("run", "first", "true").status == 0
    cost = client(*words, env=mine.env)
    assert cost.started == []
    assert not cost.modules & {"orch.ssh.trouble", "queue", "socket", "subprocess", "tarfile", "threading"}


def test_status_of_the_agent_starts_nothing_and_imports_no_other_verb(agent: Agent) -> None:
    for name in ("one", "two", "three"):
        agent.submit(name, "sleep 60")
        agent.running(name)
    cost = verb(agent, "status")
    assert len(json.loads(cost.out)["jobs"]) == 3
    assert cost.started == []
    verbs = {one for one in cost.modules if one.startswith("orch_agent.verbs.")}
    assert verbs <= {"orch_agent.verbs.common", "orch_agent.verbs.status"}
    assert not cost.modules & {
        "asyncio",
        "argparse",
        "ctypes",
        "pwd",
        "shutil",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
    }
    assert not cost.modules & {"orch_agent.runner", "orch_agent.view", "orch_agent.launch.tmux"}


@pytest.mark.parametrize("request_more", [{"tail": 10}, {"tail": 10, "grep": "line"}, {"offset": (5 << 30) + 1}])
def test_the_end_of_a_log_of_5_gb_costs_a_few_blocks(agent: Agent, request_more: dict[str, object]) -> None:
    log = Path(agent.finished("big", "true")["log_path"])
    small = verb(agent, "logs", job="big", **request_more)
    with log.open("r+b") as file:
        file.truncate(5 << 30)  # a hole: it takes no room on the disk, and as long to read as any other bytes
        file.seek(0, os.SEEK_END)
        file.write(b"".join(b"\nline %d" % number for number in range(1000)))
    big = verb(agent, "logs", job="big", **request_more)
    assert big.out.endswith(b"\nline 998\nline 999")
    assert big.read - small.read < 256 << 10


def test_a_long_history_is_not_read(agent: Agent) -> None:
    agent.submit("now", "sleep 60")
    agent.running("now")
    short = verb(agent, "status")
    week_ago = time.time() - 7 * 86400
    with Ledger(str(agent.root / "ledger.db")) as ledger, ledger.transaction():
        for number in range(5000):
            spec = JobSpec(f"old{number % 50}", "python3 train.py --epochs 100")
            record = ledger.insert(f"old-{number}", number // 50 + 1, spec, week_ago)
            ledger.settle(record, Ended(week_ago + number, Result(COMPLETED, 0)))
    long = verb(agent, "status")
    assert (agent.root / "ledger.db").stat().st_size > 1 << 20
    assert [job["name"] for job in json.loads(long.out)["jobs"]] == ["now"]
    assert long.read - short.read < 128 << 10


def test_no_question_of_the_queue_goes_through_all_the_rows(home: Path) -> None:
    """Neither of who admits nor of who looks, however many have ended: each is answered by an index."""
    asked: set[str] = set()
    with open_ledger() as ledger:
        with ledger.transaction():
            done = ledger.insert("done", 1, JobSpec("done", "true"), 1.0)
            ledger.settle(done, Ended(2.0, Result(COMPLETED, 0)))
            for number in range(20):
                owner = {"array_id": "array", "task": number, "task_limit": 2} if number % 2 else {}
                ledger.insert(f"one{number}", number + 1, JobSpec("one", "true"), 3.0, queued=1, **owner)
            ledger.write("INSERT INTO needs VALUES ('one0', 'done')")
        ledger._db.set_trace_callback(asked.add)
        records = ledger.live_since(time.time() - 86400)
        outlook = waiting.Outlook(ledger)
        assert all(outlook.reason(record) for record in records)
        queue.resolve_needs(ledger)
        plan = queue.plan(ledger, queue.active(ledger), memory.look()).plan
        assert queue.admit(ledger, plan.starts)
        queue.enlist(ledger, 3.0)
        queue.next_due(ledger, time.time())
        assert ledger.is_busy() and ledger.tasks("array") and ledger.live_runs("one") and ledger.last_run("one") == 20
        ledger._db.set_trace_callback(None)
        read = [text for text in asked if text.split()[0] in ("SELECT", "UPDATE", "WITH")]
        plans = {text: ledger.rows("EXPLAIN QUERY PLAN " + text) for text in read}
        scans = {text: [step for *_, step in steps if step == "SCAN jobs"] for text, steps in plans.items()}
    assert len(scans) > 12 and not any(scans.values()), scans
