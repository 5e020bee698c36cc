"""What a command costs before it does anything: processor time and memory of client and agent together."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from .figures import Figure, mb, ms
from .harness import ORCH, PYTHON, Used, in_turn, measure, middle, world

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
        modules = {words: _modules([PYTHON, *ORCH, words], host.env) for words in ("--help", "status")}
    bare = middle(results["bare"])
    nothing = _modules([PYTHON, "-c", "pass"], host.env)
    return [
        _figure("orch --help", middle(results["help"]), bare, True),
        _figure("orch status of three jobs, client and agent", middle(results["status"]), bare, True),
        _figure("of it the agent's status", middle(results["agent"]), bare, False),
        *(_imports(f"modules that orch {words} imports", found, nothing) for words, found in modules.items()),
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


def _modules(words: Sequence[str], env: dict[str, str]) -> set[str]:
    """What a program imports, by the interpreter's own account."""
    done = subprocess.run(
        [words[0], "-X", "importtime", *words[1:]], env=env, capture_output=True, text=True, timeout=60
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def _imports(what: str, found: set[str], nothing: set[str]) -> Figure:
    ours = sum(name.startswith("orch") for name in found)
    return Figure(what, f"{len(found - nothing)}, of them {ours} its own", f"python -c pass: {len(nothing)}")
