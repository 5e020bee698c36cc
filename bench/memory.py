"""Whether the memory and processor time that we say a job uses are what the kernel says."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from tests.support.agent import Agent, eventually

from .figures import Figure, mb
from .harness import HERE, PYTHON, world

CLOSE = 0.10


def figures() -> list[Figure]:
    """With a control group, and without one."""
    found = []
    for name, env in (("cgroup", {}), ("no cgroup", {"ORCH_NO_CGROUP": "1"})):
        with world(**env) as host:
            family, storm = steady(host.agent, "family", "200", "8", "10"), steady(host.agent, "storm", "200", "12")
            found += [
                _memory(f"200 MB shared by 8 children with 10 MB each ({name})", family),
                _memory(f"200 MB and a storm of short children ({name})", storm),
                _memory(f"the peak of 200 MB shared by none, 1, then 9 children ({name})", crowd_peak(host.agent)),
                _processor(f"processor time, children waited for and not ({name})", processor(host.agent)),
            ]
    return found


def steady(agent: Agent, program: str, *words: str) -> tuple[float, float]:
    """What is said of a job's memory and what the kernel says, in bytes: medians of some looks."""
    root = start(agent, program, *words)
    time.sleep(2)  # what is said may be that old
    said, true = [], []
    for _ in range(8):
        said.append(agent.show(program)["job"]["mem_bytes"])
        true.append(exact(root))
        time.sleep(0.3)
    agent.call("cancel", jobs=[program], grace=0)
    return median(said), median(true)


def crowd_peak(agent: Agent) -> tuple[float, float]:
    """The peak that is said and the true one: a moment of confusion would stay in it for ever."""
    root = start(agent, "crowd")
    true = exact(root)
    said = agent.show("crowd")["job"]["mem_peak_bytes"]
    agent.call("cancel", jobs=["crowd"], grace=0)
    return said, true


def processor(agent: Agent) -> tuple[float, float]:
    """Seconds that are said, and those that the processes themselves learned from the kernel."""
    reports = agent.home / "reports"
    reports.mkdir()
    job = agent.finished("burner", _command("burner", str(reports)))
    times = [float(path.read_text()) for path in reports.iterdir()]
    assert len(times) == 6, times
    return job["cpu_seconds"], sum(times)


def _command(program: str, *words: str) -> str:
    return "exec " + shlex.join([PYTHON, str(HERE / "jobs" / f"{program}.py"), *words])


def start(agent: Agent, program: str, *words: str) -> int:
    """A job that has said ``ready``; its first process."""
    job = agent.submit(program, _command(program, *words))
    eventually(lambda: b"ready" in agent.log(program), f"{program} is ready")
    runner = agent.runner(job["id"])
    return int(Path(f"/proc/{runner}/task/{runner}/children").read_text().split()[0])


def exact(root: int) -> int:
    """Anonymous and shared memory of a tree in bytes, each page once: the kernel's proportional shares, summed.

    The tree is stopped for the moment, for what comes or goes between two looks would make the sum wrong.
    """
    pids: list[int] = []
    try:
        # Until nobody new turns up: a fork may have been under way.
        while fresh := [pid for pid in _tree(root) if pid not in pids]:
            pids += fresh
            for pid in fresh:
                _signal(pid, signal.SIGSTOP)
            eventually(partial(_stand_still, pids), "the tree stands still")
        return sum(map(_share, pids))
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _stand_still(pids: list[int]) -> bool:
    return all(_state(pid) in "TtZX" for pid in pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _share(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0  # it had ended before it could be stopped
    sizes = {words[0]: int(words[1]) << 10 for line in lines if (words := line.split())}
    return sizes["Pss_Anon:"] + sizes["Pss_Shmem:"]


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _tree(root: int) -> Iterator[int]:
    yield root
    for path in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _memory(what: str, figures: tuple[float, float]) -> Figure:
    said, true = figures
    return Figure(what, mb(said), f"kernel: {mb(true)}", *_verdict(said / true))


def _processor(what: str, figures: tuple[float, float]) -> Figure:
    said, true = figures
    return Figure(what, f"{said:.2f} s", f"getrusage: {true:.2f} s", *_verdict(said / true))


def _verdict(ratio: float) -> tuple[str, str, bool]:
    return f"{ratio:.1%}", "within 10 %", abs(ratio - 1) <= CLOSE
