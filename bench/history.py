"""Whether a long history costs anything: ten thousand ended jobs against an empty ledger."""

from __future__ import annotations

import time
from itertools import count

from orch_agent.ledger import Ledger, Start
from orch_agent.model import COMPLETED, Ended, JobSpec, Result

from .figures import Figure, ms
from .harness import Used, World, in_turn, middle, world

ROUNDS = 11
JOBS, NAMES = 10_000, 100
DAY = 86400.0
LIMIT = 1.5


def figures() -> list[Figure]:
    """``orch status`` and ``orch run``, in turn on each of the ledgers."""
    with world() as empty, world() as old, world() as fresh:
        fill(old, 30 * DAY, 2 * DAY)
        fill(fresh, DAY - 3600, 60)
        numbers = count()
        status = in_turn(
            ROUNDS,
            empty=lambda: empty.orch("status"),
            old=lambda: old.orch("status"),
            fresh=lambda: fresh.orch("status"),
        )
        # A name with a hundred runs behind it, and the first job of that name.
        run = in_turn(
            ROUNDS,
            empty=lambda: _run(empty, f"job{next(numbers) % NAMES}"),
            old=lambda: _run(old, f"job{next(numbers) % NAMES}"),
        )
        everything = in_turn(3, empty=lambda: empty.orch("status", "--all"), old=lambda: old.orch("status", "--all"))
    return [
        _figure("orch status, 10,000 older jobs", status["old"], status["empty"], True),
        _figure("orch run, 10,000 older jobs", run["old"], run["empty"], True),
        _figure("orch status, 10,000 rows of the last 24 h", status["fresh"], status["empty"], False),
        _figure("orch status --all, 10,000 rows", everything["old"], everything["empty"], False),
    ]


def fill(host: World, oldest: float, newest: float) -> None:
    """Jobs that ended between ``oldest`` and ``newest`` seconds ago, with the files that jobs leave."""
    now = time.time()
    step = (oldest - newest) / JOBS
    with Ledger(str(host.agent.root / "ledger.db")) as ledger, ledger.transaction():
        for number in range(JOBS):
            at = now - oldest + number * step
            spec = JobSpec(f"job{number % NAMES}", f"python3 train.py --seed {number}", str(host.home))
            job_id = f"history{number:08d}"
            record = ledger.insert(job_id, number // NAMES + 1, spec, at - 60)
            ledger.claim(job_id, Start(at - 59, 4000 + number, str(number), "boot", None))
            ledger.settle(ledger.get(job_id) or record, Ended(at, Result(COMPLETED, 0, None, None, 1 << 28, 1.5)))
            directory = host.agent.root / "jobs" / job_id
            directory.mkdir(parents=True)
            for name in ("usage", "times", "result.json"):
                (directory / name).touch()
            log = host.home / "logs" / spec.name / f"{record.run}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()


def _run(host: World, name: str) -> Used:
    used = host.orch("run", name, "true")
    host.agent.wait(name)
    return used


def _figure(what: str, ours: list[Used], bare: list[Used], promised: bool) -> Figure:
    one, other = middle(ours), middle(bare)
    cpu, elapsed = one.cpu / other.cpu, one.elapsed / other.elapsed
    return Figure(
        what,
        f"{ms(one.cpu)} CPU, {ms(one.elapsed)} elapsed",
        f"empty ledger: {ms(other.cpu)}, {ms(other.elapsed)}",
        f"{cpu:.2f} x CPU, {elapsed:.2f} x elapsed",
        f"<= {LIMIT} x" if promised else "",
        max(cpu, elapsed) <= LIMIT if promised else None,
    )
