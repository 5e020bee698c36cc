"""A machine over ssh: our commands against the bare ssh that does the least of each, a long log against cat, peers."""

from __future__ import annotations

import os
import shutil
import subprocess
from statistics import median

from . import peers
from .figures import Figure, ms
from .harness import ORCH, Used, in_turn
from .site import Site, site

ROUNDS, STREAMS = 15, 3
NEAR, AWAY = 12.0, 1.6
SHARE = 0.5
LOG = 1_000_000_000
LINE = 100  # bytes


def figures() -> list[Figure]:
    """On loopback and at a round trip of 50 ms, everything over connections that are open already."""
    if os.getuid() or not shutil.which("sshd", path="/usr/sbin:/usr/bin"):
        return [Figure("a machine over ssh", "skipped: needs root, Linux and sshd")]
    with site("loopback") as near:
        found = [*commands(near, NEAR), *streams(near), *peers.figures(near, peers.OVER_SSH)]
    with site("50 ms", 0.050) as away:
        return [*found, *commands(away, AWAY), *peers.figures(away, peers.OVER_SSH + peers.SERVERS)]


def commands(where: Site, limit: float) -> list[Figure]:
    """The commands that people and scripts type all day."""
    where.orch("run", "seen", "--wait", "echo seen")
    looks = in_turn(
        ROUNDS,
        bare=lambda: where.measure(where.bare("tmux", "ls")),
        status=lambda: where.orch("status"),
        logs=lambda: where.orch("logs", "seen"),
    )
    runs = in_turn(
        ROUNDS,
        bare=lambda: where.measure(where.bare("tmux", "new-session", "-d", "true")),
        run=where.submit,
    )
    return [
        _command(f"orch run, {where.name}", runs["run"], "ssh tmux new-session -d", runs["bare"], limit),
        _command(f"orch status, {where.name}", looks["status"], "ssh tmux ls", looks["bare"], limit),
        _command(f"orch logs, {where.name}", looks["logs"], "ssh tmux ls", looks["bare"], limit),
    ]


def _command(what: str, ours: list[Used], yardstick: str, bare: list[Used], limit: float) -> Figure:
    one, other = (median(used.elapsed for used in found) for found in (ours, bare))
    return Figure(
        what, ms(one), f"{yardstick}: {ms(other)}", f"{one / other:.2f} x", f"<= {limit:g} x", one <= limit * other
    )


def streams(where: Site) -> list[Figure]:
    """MB/s, 10^6 bytes, of a log of 1 GB that comes to us whole."""
    where.orch("run", "plain", "--no-tty", "--wait", "true")
    where.orch("run", "typed", "--wait", "true")
    _fill(where, "plain", "")
    _fill(where, "typed", "\\r")
    found = in_turn(
        STREAMS,
        bare=lambda: where.measure(where.bare("cat", "logs/plain/1.log")),
        follow=lambda: where.orch("logs", "-f", "plain"),
        plain=lambda: where.orch("logs", "plain"),
        typed=lambda: where.orch("logs", "typed"),
    )
    return [
        _stream("orch logs -f of 1 GB", found["follow"], found["bare"]),
        _stream("orch logs of 1 GB", found["plain"], found["bare"]),
        _stream("the same from a terminal, CR LF made LF", found["typed"], found["bare"]),
    ]


def _fill(where: Site, name: str, before_newline: str) -> None:
    """Put a long log in the place of a job's own, and make sure that all of it comes."""
    digits = LINE - 1 - len(before_newline) // 2
    where.machine.run(f'yes "$(printf "%0{digits}d{before_newline}" 0)" | head -c {LOG} > logs/{name}/1.log')
    with subprocess.Popen(
        [*where.before, *ORCH, "logs", "--raw", name], env=where.env, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        came = sum(map(len, iter(lambda: process.stdout.read(1 << 20), b"")))
    assert came == LOG, f"{came} bytes of {LOG} came"


def _stream(what: str, ours: list[Used], bare: list[Used]) -> Figure:
    one, other = (LOG / 1e6 / median(used.elapsed for used in found) for found in (ours, bare))
    yardstick = f"ssh cat: {other:.0f} MB/s"
    return Figure(what, f"{one:.0f} MB/s", yardstick, f"{one / other:.0%}", f">= {SHARE:.0%}", one >= SHARE * other)
