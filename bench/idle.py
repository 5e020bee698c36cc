"""What a job that does nothing costs: its runner and its view, together."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.agent import eventually

from .figures import Figure, mb
from .harness import world

SECONDS = 30
SHARE, RESIDENT = 0.005, 20 << 20


def figures() -> list[Figure]:
    """Share of one processor, and proportional memory (PSS), after the beginning has settled."""
    with world() as host:
        job = host.agent.submit("idle", "exec sleep 600")
        host.agent.running("idle")
        host.agent.call("attach", job="idle")  # makes sure of the view
        pids = {
            name: eventually(lambda name=name: _pid(name, job["id"]), f"a {name} lives") for name in ("runner", "view")
        }
        time.sleep(8)
        before = {name: _cpu(pid) for name, pid in pids.items()}
        time.sleep(SECONDS)
        share = {name: (_cpu(pid) - before[name]) / SECONDS for name, pid in pids.items()}
        pss = {name: _memory(pid, "Pss") for name, pid in pids.items()}
        own = {name: _memory(pid, "Private_Clean", "Private_Dirty") for name, pid in pids.items()}
    cpu, memory = sum(share.values()), sum(pss.values())
    return [
        Figure(
            f"an idle job's processor time over {SECONDS} s",
            f"{cpu:.2%} of a core",
            f"runner {share['runner']:.2%}, view {share['view']:.2%}",
            "",
            f"< {SHARE:.1%}",
            cpu < SHARE,
        ),
        Figure(
            "its memory (PSS)",
            mb(memory),
            f"runner {mb(pss['runner'])}, view {mb(pss['view'])}; shared with nobody {mb(sum(own.values()))}",
            "",
            f"< {mb(RESIDENT)}",
            memory < RESIDENT,
        ),
    ]


def _pid(companion: str, job_id: str) -> int | None:
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"\0{companion}\0{job_id}\0".encode() in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    return None


def _cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _memory(pid: int, *names: str) -> int:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(words[1]) << 10 for words in lines if words[0].rstrip(":") in names)
