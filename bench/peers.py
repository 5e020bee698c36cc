"""Other tools that run something on another machine, beside orch: help, submit, status, and the memory of the largest.

Each is measured where it is installed, on PATH or in the directory that ORCH_BENCH_PEERS names; nothing is promised.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from statistics import median
from typing import NamedTuple

from tests.support.agent import eventually
from tests.support.root import Held

from .figures import Figure, mb
from .harness import SCRATCH, Failed, Used, in_turn
from .site import Site

ROUNDS = 5
PATIENCE = 180.0
ENV = {
    "PATH": os.pathsep.join(filter(None, (os.environ.get("ORCH_BENCH_PEERS"), os.environ["PATH"]))),
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_PIPELINING": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
}

Words = Sequence[str]
Ways = Mapping[str, Words]
Found = Mapping[str, list[Used]]
COMMANDS = ("help", "submit", "status")


class Peer(NamedTuple):
    """``ways`` sets up what it needs, and gives the command line of each of the ``COMMANDS`` that it has."""

    name: str
    program: str
    ways: Callable[[Site], AbstractContextManager[Ways]]


def figures(where: Site, peers: Sequence[Peer]) -> list[Figure]:
    """A line each."""
    return [_figure(where, peer) for peer in peers]


def _figure(where: Site, peer: Peer) -> Figure:
    what = f"{peer.name}, {where.name}: {' / '.join(COMMANDS)}"
    if not shutil.which(peer.program, path=ENV["PATH"]):
        return Figure(what, "", f"skipped: no {peer.program} here")
    try:
        with peer.ways(where) as ways:
            theirs, ours = _beside(where, ways)
    except (Failed, AssertionError, subprocess.SubprocessError) as error:
        return Figure(what, "", f"does not work here: {str(error)[:200]}")
    ratios = (f"{_elapsed(ours, name) / _elapsed(theirs, name):.2g}" if name in ways else "–" for name in COMMANDS)
    return Figure(what, _said(ours), _said(theirs), f"{' / '.join(ratios)} x")


def _beside(where: Site, ways: Ways) -> tuple[Found, Found]:
    ours = {"help": lambda: where.orch("--help"), "submit": where.submit, "status": lambda: where.orch("status")}
    turns: dict[str, Callable[[], Used]] = {"our " + name: way for name, way in ours.items()}
    for name, words in ways.items():
        turns[name] = partial(where.measure, words, **ENV)
    found = in_turn(ROUNDS, **turns)
    return {name: found[name] for name in ways}, {name: found["our " + name] for name in COMMANDS}


def _elapsed(found: Found, name: str) -> float:
    return median(used.elapsed for used in found[name])


def _said(found: Found) -> str:
    times = (f"{_elapsed(found, name) * 1000:.0f}" if name in found else "–" for name in COMMANDS)
    return f"{' / '.join(times)} ms, {mb(max(used.resident for list_ in found.values() for used in list_))}"


# Over ssh


@contextmanager
def _tmux(where: Site) -> Iterator[Ways]:
    yield {
        "help": ["tmux", "-V"],
        "submit": where.bare("tmux", "new-session", "-d", "true"),
        "status": where.bare("tmux", "ls"),
    }


@contextmanager
def _task_spooler(where: Site) -> Iterator[Ways]:
    yield {"help": ["tsp", "-h"], "submit": where.bare("tsp", "true"), "status": where.bare("tsp")}


@contextmanager
def _nq(where: Site) -> Iterator[Ways]:
    # It has no help; its status is that of the queue's files.
    yield {"submit": where.bare("nq", "true"), "status": where.bare("nq", "-w")}


@contextmanager
def _parallel(where: Site) -> Iterator[Ways]:
    # A number of slots, or it asks the machine for its processors first.
    login = f"1/ssh -F {where.config} far"
    yield {
        "help": ["parallel", "--help"],
        "submit": ["parallel", "--will-cite", "--sshlogin", login, "tmux", "new-session", "-d", ":::", "true"],
    }


@contextmanager
def _fabric(where: Site) -> Iterator[Ways]:
    run = ["fab", "-S", str(where.config), "-H", "far", "--"]
    yield {"help": ["fab", "--help"], "submit": [*run, "tmux new-session -d true"], "status": [*run, "tmux ls"]}


@contextmanager
def _ansible(where: Site) -> Iterator[Ways]:
    args = f"-F {where.config}"
    run = ["ansible", "far", "-i", "far,", "--ssh-common-args", args, "-e", "ansible_python_interpreter=python3"]
    submit = [*run, "-B", "3600", "-P", "0", "-m", "command", "-a", "true"]
    said = subprocess.run(
        [*where.before, *submit], env={**where.env, **ENV}, capture_output=True, text=True, timeout=60
    ).stdout
    job = re.search(r'"ansible_job_id": "(.+?)"', said)
    assert job, said.strip() or "it does not answer"
    status = [*run, "-m", "async_status", "-a", f"jid={job[1]}"]
    yield {"help": ["ansible", "--help"], "submit": submit, "status": status}


OVER_SSH = (
    Peer("tmux over ssh", "tmux", _tmux),
    Peer("task-spooler over ssh", "tsp", _task_spooler),
    Peer("nq over ssh", "nq", _nq),
    Peer("GNU parallel", "parallel", _parallel),
    Peer("fabric", "fab", _fabric),
    Peer("ansible", "ansible", _ansible),
)

# With servers of their own


_SERVE = """\
read -r pid _ </proc/self/stat
mount -t proc proc /proc
echo "$pid"
"$@" </dev/null >server.log 2>&1 &
exec cat
"""
"""In namespaces of its own, so that whatever a server starts ends with it."""


@contextmanager
def _served(where: Site, before: Words, server: Words, ready: Words) -> Iterator[None]:
    """A server that runs; it is up when ``ready`` succeeds."""
    own = ("unshare", "--fork", "--pid", "--mount", "--kill-child", "env", f"--chdir={where.home}")
    env = [f"{key}={value}" for key, value in {**where.env, **ENV}.items()]
    held = Held(*before, *own, *env, "sh", "-c", _SERVE, "sh", *server)
    try:
        eventually(lambda: _succeeds(where, ready), f"{server[0]} answers", PATIENCE)
        yield
    finally:
        held.kill()


def _succeeds(where: Site, words: Words) -> bool:
    env = {**where.env, **ENV}
    done = subprocess.run([*where.before, *words], env=env, capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode == 0


@contextmanager
def _ray(where: Site) -> Iterator[Ways]:
    assert where.link
    server = ["ray", "start", "--head", "--block", "--num-cpus=1", f"--node-ip-address={where.machine.ip}"]
    server += [f"--dashboard-host={where.machine.ip}", f"--temp-dir={SCRATCH}/ray"]
    address = f"--address=http://{where.machine.ip}:8265"
    ways = {
        "help": ["ray", "--help"],
        "submit": ["ray", "job", "submit", address, "--no-wait", "--", "true"],
        "status": ["ray", "job", "list", address],
    }
    with _served(where, where.link.there([]), server, ways["submit"]):
        yield ways


@contextmanager
def _skypilot(where: Site) -> Iterator[Ways]:
    # Asked before it is up, its status starts a server of its own.
    listens = ["bash", "-c", ": </dev/tcp/127.0.0.1/46580"]
    with _served(where, where.before, ["sky", "api", "start", "--foreground"], listens):
        yield {"help": ["sky", "--help"], "status": ["sky", "status"]}


@contextmanager
def _dstack(where: Site) -> Iterator[Ways]:
    with _served(where, where.before, ["dstack", "server", "--yes"], ["dstack", "ps"]):
        yield {"help": ["dstack", "--help"], "status": ["dstack", "ps"]}


SERVERS = (
    Peer("Ray job submit", "ray", _ray),
    Peer("SkyPilot, its server here", "sky", _skypilot),
    Peer("dstack, its server here", "dstack", _dstack),
)
