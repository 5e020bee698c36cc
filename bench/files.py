"""Large files between a laptop and a machine, beside ssh and cat, which look at nothing and check nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from statistics import median

from .figures import Figure
from .harness import Used, in_turn
from .site import Site, site

ROUNDS = 3
SHARE = 0.9
SIZE, SIZE_AWAY = 1_000_000_000, 200_000_000  # bytes


def figures() -> list[Figure]:
    """On loopback, where both ends share the processors, and at a round trip of 50 ms; over open connections."""
    if os.getuid() or not shutil.which("sshd", path="/usr/sbin:/usr/bin"):
        return [Figure("files between machines", "skipped: needs root, Linux and sshd")]
    with site("loopback") as near:
        found = transfers(near, SIZE)
    with site("50 ms", 0.050) as away:
        return [*found, *transfers(away, SIZE_AWAY)]


def transfers(where: Site, size: int) -> list[Figure]:
    """MB/s, 10^6 bytes, of bytes that nothing can make smaller; what came the last time is removed first."""
    where.orch("run", "job", "--wait", f'head -c {size} /dev/urandom >"$ORCH_OUT/large"; ln "$ORCH_OUT/large" ~/large')
    here = where.home / "here"
    here.mkdir()
    bare = " ".join(where.bare("'cat >came'"))
    shutil.copyfile(where.machine.home / "large", where.home / "large")
    found = in_turn(
        ROUNDS,
        cat=lambda: where.measure(["sh", "-c", f"exec {' '.join(where.bare('cat', 'large'))} >{where.home}/came"]),
        pull=lambda: _without(f"{here}/large", lambda: where.orch("pull", "job", "--to", str(here))),
        cat_there=lambda: where.measure(["sh", "-c", f"exec {bare} <{where.home}/large"]),
        push=lambda: _without(
            str(where.machine.home / "to/large"), lambda: where.orch("push", f"{where.home}/large", "far:to")
        ),
    )
    return [
        _figure(f"orch pull of {size / 1e9:g} GB, {where.name}", size, found["pull"], "ssh cat", found["cat"]),
        _figure(
            f"orch push of {size / 1e9:g} GB, {where.name}", size, found["push"], "ssh 'cat >'", found["cat_there"]
        ),
    ]


def _without(path: str, work: Callable[[], Used]) -> Used:
    if os.path.exists(path):
        os.unlink(path)
    return work()


def _figure(what: str, size: int, ours: list[Used], yardstick: str, bare: list[Used]) -> Figure:
    one, other = (size / 1e6 / median(used.elapsed for used in found) for found in (ours, bare))
    beside = f"{yardstick}: {other:.0f} MB/s"
    return Figure(what, f"{one:.0f} MB/s", beside, f"{one / other:.0%}", f">= {SHARE:.0%}", one >= SHARE * other)
