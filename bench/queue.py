"""What a queue costs: draining thousands of tiny jobs, thousands that wait, and looking after jobs that do nothing."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from orch_agent.ledger import Ledger
from orch_agent.model import JobSpec
from tests.support.agent import LONG, eventually

from . import history, slurm, throughput
from .figures import Figure, mb, ms
from .harness import Used, World, in_turn, middle, world

JOBS = 2000
"""Of ``true``, submitted at once."""
TWICE = 2.0
ROUNDS = 9
WAITING = 1000
LIMIT = 1.5
QUIET, SECONDS, SHARE = 50, 60, 0.01
_LOOK = 0.2
_PATIENCE = 300.0


def figures() -> list[Figure]:
    """All of them."""
    return [*drained(), *waiting(), *quiet()]


# Draining


def drained() -> list[Figure]:
    """Jobs a second from the submission of an array to its last end, in turn with Slurm."""
    with ExitStack() as stack:
        # Nothing is removed before all is done: an inode that was freed a moment ago makes the next one dear (ext4).
        host = stack.enter_context(world())
        ways: dict[str, Callable[[], float]] = {"orch": partial(_drain, host), "bash": throughput.bash}
        missing = slurm.missing()
        if not missing:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp")))
            cluster = stack.enter_context(slurm.cluster(home))
            ways["slurm"] = partial(cluster.drain, JOBS, "bash -lc true")
        if throughput.has_task_spooler():
            ways["tsp"] = throughput.task_spooler
        speeds = {name: median(found) for name, found in in_turn(1, **ways).items()}
    limits = f"tsp (no terminal, no record) {_speed(speeds, 'tsp')}, bare bash -lc true {_speed(speeds, 'bash')}"
    what = f"{JOBS:,} jobs of true, each with its terminal, its log and its record"
    ours = _speed(speeds, "orch")
    if "slurm" not in speeds:
        return [Figure(what, ours, f"Slurm: – ({missing}); {limits}")]
    ratio = speeds["orch"] / speeds["slurm"]
    beside = f"Slurm: {_speed(speeds, 'slurm')}; {limits}"
    return [Figure(what, ours, beside, f"{ratio:.2f} x", f">= {TWICE:g} x Slurm", ratio >= TWICE)]


def _speed(speeds: dict[str, float], name: str) -> str:
    return f"{speeds[name]:.0f}/s" if name in speeds else "–"


def _drain(host: World) -> float:
    name = f"drain{time.monotonic_ns()}"
    began = time.time()
    host.agent.submit(name, "true", array=f"0-{JOBS - 1}")
    with sqlite3.connect(f"file:{host.agent.root}/ledger.db?mode=ro", uri=True) as ledger:
        left = "SELECT count(*) FROM jobs WHERE name = ? AND ended_at IS NULL"
        until = time.monotonic() + _PATIENCE
        while ledger.execute(left, [name]).fetchone()[0]:
            assert time.monotonic() < until, "the queue stands still"
            time.sleep(_LOOK)  # a look costs what a twentieth of a job does
        ended = "SELECT max(ended_at), sum(result LIKE '{%\"COMPLETED\"%') FROM jobs WHERE name = ?"
        last, completed = ledger.execute(ended, [name]).fetchone()
    assert completed == JOBS, f"{completed} of {JOBS} have completed"
    logs = sum(1 for log in (host.home / "logs" / name).iterdir() if log.name != "run.log")
    assert logs == JOBS, f"{logs} of {JOBS} have a log"
    return JOBS / (last - began)


# Waiting


def waiting() -> list[Figure]:
    """``orch status`` and ``orch run`` where ten thousand jobs have ended and a thousand wait, and where none has."""
    with world() as empty, world() as array, world() as single:
        for host in (array, single):
            history.fill(host, 30 * history.DAY, 2 * history.DAY)
            host.agent.submit("all", "exec sleep 3600", cpus=_cpus(host))
            host.agent.running("all")
        array.agent.submit("task", "python3 train.py", array=f"0-{WAITING - 1}", cpus=1)
        _enqueue(single)
        hosts = {"empty": empty, "array": array, "single": single}
        status = in_turn(ROUNDS, **{name: partial(host.orch, "status") for name, host in hosts.items()})
        numbers = count()
        run = in_turn(ROUNDS, **{name: partial(_run, host, numbers) for name, host in hosts.items()})
    found = {
        f"{what}, {kind}": (times[name], times["empty"])
        for what, times in (("status", status), ("run", run))
        for name, kind in (("array", "tasks of an array"), ("single", "each by itself"))
    }
    return [_times(f"orch {what}", *pair) for what, pair in found.items()]


def _cpus(host: World) -> int:
    cpus: int = host.agent.call("status")["host"]["cpus"]
    return cpus


def _enqueue(host: World) -> None:
    """Jobs that wait, each with a name of its own."""
    with Ledger(str(host.agent.root / "ledger.db")) as ledger, ledger.transaction():
        for number in range(WAITING):
            spec = JobSpec(f"one{number}", f"python3 train.py --seed {number}", str(host.home), cpus=1)
            ledger.insert(f"waits{number:08d}", 1, spec, time.time(), queued=1, cpus=1)


def _run(host: World, numbers: Iterator[int]) -> Used:
    """The first of its name; before the others, for who is far behind them has to wait as well."""
    name = f"new{next(numbers)}"
    used = host.orch("run", "--nice", "-10", name, "true")
    host.agent.wait(name)
    return used


def _times(what: str, ours: list[Used], bare: list[Used]) -> Figure:
    one, other = middle(ours), middle(bare)
    cpu, elapsed = one.cpu / other.cpu, one.elapsed / other.elapsed
    return Figure(
        f"{what}: 10,000 jobs have ended, {WAITING:,} wait",
        f"{ms(one.cpu)} CPU, {ms(one.elapsed)} elapsed",
        f"empty ledger: {ms(other.cpu)}, {ms(other.elapsed)}",
        f"{cpu:.2f} x CPU, {elapsed:.2f} x elapsed",
        f"<= {LIMIT} x",
        max(cpu, elapsed) <= LIMIT,
    )


# Doing nothing


def quiet() -> list[Figure]:
    """What the supervisor takes of a core while jobs run that do nothing, far from any limit; what a runner takes."""
    with world() as host, _asleep(host) as pids:
        supervisor = int((host.agent.root / "live" / "supervisor.lock").read_text().split()[0])
        before = {pid: _cpu(pid) for pid in (supervisor, *pids)}
        time.sleep(SECONDS)
        shares = {pid: (_cpu(pid) - before[pid]) / SECONDS for pid in before}
        memory = _private(supervisor)
    runner = median(shares[pid] for pid in pids)
    return [
        Figure(
            f"the supervisor of {QUIET} quiet jobs over {SECONDS} s",
            f"{shares[supervisor]:.2%} of a core, {mb(memory)} its own",
            f"a runner: {runner:.2%}",
            "",
            f"< {SHARE:.0%}",
            shares[supervisor] < SHARE,
        )
    ]


@contextmanager
def _asleep(host: World) -> Iterator[list[int]]:
    """The runners of jobs that do nothing, once their beginning is over."""
    job = host.agent.submit("quiet", "exec sleep 3600", array=f"0-{QUIET - 1}")
    ids = [f"{job['id'].rpartition('-')[0]}-{task}" for task in range(QUIET)]
    pids = [eventually(partial(host.agent.runner, one), f"{one} runs", LONG) for one in ids]
    time.sleep(20)  # until the pauses between two samples have grown
    yield pids


def _cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _private(pid: int) -> int:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(words[1]) << 10 for words in lines if words[0].startswith("Private_"))
