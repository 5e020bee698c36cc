"""What a command costs before it does anything: processor time and memory of client and agent together."""

from __future__ import annotations

import os

from .figures import Figure, mb, ms
from .harness import PYTHON, Used, in_turn, measure, middle, world

ROUNDS = 15
CPU, RESIDENT = 0.120, 40 << 20


def figures() -> list[Figure]:
    """``orch --help`` and ``orch status`` of three jobs, against a Python that does nothing."""
    with world() as host:
        for name in ("one", "two", "three"):
            host.orch("run", name, "sleep 600")
        agent = host.agent.argv("status")
        results = in_turn(
            ROUNDS,
            bare=lambda: measure([PYTHON, "-c", "pass"]),
            help=lambda: host.orch("--help"),
            status=lambda: host.orch("status"),
            agent=lambda: measure(agent, {**os.environ, "HOME": str(host.home)}, b"{}\n"),
        )
    bare = middle(results["bare"])
    return [
        _figure("orch --help", middle(results["help"]), bare, True),
        _figure("orch status of three jobs, client and agent", middle(results["status"]), bare, True),
        _figure("of it the agent's status", middle(results["agent"]), bare, False),
    ]


def _figure(what: str, used: Used, bare: Used, promised: bool) -> Figure:
    return Figure(
        what,
        f"{ms(used.cpu)} CPU, {mb(used.resident)}, {ms(used.elapsed)} elapsed",
        f"python -c pass: {ms(bare.cpu)}, {mb(bare.resident)}, {ms(bare.elapsed)}",
        f"{used.cpu / bare.cpu:.1f} x CPU",
        f"<= {CPU * 1000:.0f} ms CPU, <= {RESIDENT >> 20} MB" if promised else "",
        used.cpu <= CPU and used.resident <= RESIDENT if promised else None,
    )
