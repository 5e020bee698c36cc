"""Whether the memory and processor time that we say a job uses are what the kernel says."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.support.agent import eventually

from .figures import Figure, mb
from .harness import HERE, PYTHON, World, world

CLOSE = 0.10


def figures() -> list[Figure]:
    """With a control group, and without one."""
    found = []
    for name, env in (("cgroup", {}), ("no cgroup", {"ORCH_NO_CGROUP": "1"})):
        with world(**env) as host:
            found.append(_memory(host, f"200 MB shared by 8 children with 10 MB each ({name})", "family", "200", "8", "10"))
            found.append(_peak(host, f"the peak of 200 MB shared, alone, by 1, then by 9 ({name})"))
            found.append(_memory(host, f"200 MB and a storm of short children ({name})", "storm", "200", "8"))
            found.append(_processor(host, name))
    return found


def start(host: World, program: str, *words: str) -> tuple[str, int]:
    """A job that has said ``ready``; its name and its first process."""
    host.agent.submit(program, "exec " + shlex.join([PYTHON, str(HERE / "jobs" / f"{program}.py"), *words]))
    eventually(lambda: b"ready" in host.agent.log(program), f"{program} is ready")
    job_id = host.agent.show(program)["job"]["id"]
    runner = host.agent.runner(job_id)
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    return program, int(children[0])


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
            eventually(lambda: all(map(_stands_still, pids)), "the tree stands still")
        return sum(map(_share, pids))
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True


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


def _said(host: World, name: str, key: str) -> int:
    size: int = host.agent.show(name)["job"][key]
    return size


def _memory(host: World, what: str, program: str, *words: str) -> Figure:
    name, root = start(host, program, *words)
    time.sleep(2)  # what is said may be that old
    pairs = []
    for _ in range(8):
        pairs.append((_said(host, name, "mem_bytes"), exact(root)))
        time.sleep(0.5)
    host.agent.call("cancel", jobs=[name], grace=0)
    return _figure(what, median(said for said, _ in pairs), median(true for _, true in pairs))


def _peak(host: World, what: str) -> Figure:
    """One child for a while, then eight at once: no moment of confusion may stay in the peak for ever."""
    name, root = start(host, "crowd")
    time.sleep(2)
    true = exact(root)
    said = _said(host, name, "mem_peak_bytes")
    host.agent.call("cancel", jobs=[name], grace=0)
    return _figure(what, said, true)


def _processor(host: World, name: str) -> Figure:
    with tempfile.TemporaryDirectory(dir=host.home) as reports:
        job = host.agent.finished("burner", "exec " + shlex.join([PYTHON, str(HERE / "jobs" / "burner.py"), reports]))
        true = sum(float(path.read_text()) for path in Path(reports).iterdir())
        assert len(os.listdir(reports)) == 6, os.listdir(reports)
    ratio = job["cpu_seconds"] / true
    return Figure(
        f"processor time, children waited for and not ({name})",
        f"{job['cpu_seconds']:.2f} s",
        f"getrusage of each: {true:.2f} s",
        f"{ratio:.1%}",
        "within 10 %",
        abs(ratio - 1) <= CLOSE,
    )


def _figure(what: str, said: float, true: float) -> Figure:
    ratio = said / true
    return Figure(what, mb(said), f"kernel: {mb(true)}", f"{ratio:.1%}", "within 10 %", abs(ratio - 1) <= CLOSE)
