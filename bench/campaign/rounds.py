"""Plays rounds, one seed each, and keeps what came of them, so that a long campaign goes on where it was stopped."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from . import oracle, places, plan
from .facts import Facts
from .history import Event
from .play import Campaign

CLIENTS = 4


def main(words: Sequence[str]) -> int:
    """0 where every promise held."""
    parser = argparse.ArgumentParser(prog="python -m bench.campaign", description="Play rounds against a real host.")
    parser.add_argument("--host", choices=places.names(), nargs="+", default=["local"])
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next has the next")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=100, help="submissions in a round")
    parser.add_argument("--faults", type=int, default=30, help="in a round, killed submissions not counted")
    parser.add_argument("--keep", type=Path, help="a file of results: rounds that are in it are not played again")
    parser.add_argument("--history", type=Path, help="write every event of a round that fails here")
    parser.add_argument("--write", action="store_true", help="put the results into docs/reliability.md")
    args = parser.parse_args(words)
    leave_home()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was mounted and made goes away
    kept = _kept(args.keep)
    results = []
    for host, number in product(args.host, range(args.rounds)):
        asked = {"host": host, "seed": args.seed + number, "submissions": args.jobs, "asked_faults": args.faults}
        known = [one for one in kept if all(one[key] == value for key, value in asked.items())]
        results.append(known[0] if known else play(host, args.seed + number, args.jobs, args.faults, args.history))
        if args.keep and not known:
            with args.keep.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
        print(line(results[-1]), flush=True)
    if args.write:
        from .report import write

        asked = f"--host {' '.join(args.host)} --seed {args.seed} --rounds {args.rounds}"
        write(results, f"python -m bench.campaign {asked} --jobs {args.jobs} --faults {args.faults}")
    return 1 if any(result["accusations"] for result in results) else 0


def _kept(path: Path | None) -> list[dict[str, Any]]:
    """Rounds of a campaign that was stopped; those that failed are played again, for something was mended."""
    told = [json.loads(text) for text in path.read_text().splitlines()] if path and path.exists() else []
    return [one for one in told if not one["accusations"]]


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return done.stdout.strip() or "no commit"


_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME", "SHELL", "PYENV_ROOT")
_home = tempfile.TemporaryDirectory(prefix="orch-campaign-", dir="/tmp")


def leave_home() -> None:
    """Forget the person's environment; to be called before anything is run."""
    for key in list(os.environ):
        if key not in _KEPT and not key.startswith("ORCH_TEST_"):
            del os.environ[key]
    os.environ["HOME"] = os.environ["TMUX_TMPDIR"] = _home.name


def play(host: str, seed: int, jobs: int, faults: int, history: Path | None = None) -> dict[str, Any]:
    """One round; what came of it, as it is kept."""
    kinds = plan.FAR if host == "ssh" else plan.LOCAL
    began = time.monotonic()
    with ExitStack() as stack:
        place = places.open_place(stack, host, CLIENTS)
        campaign = Campaign(plan.make(seed, jobs, faults, CLIENTS, kinds), place)
        facts = campaign.play()
    accusations = [*(oracle.Accusation(*one) for one in campaign.desk.wrong), *oracle.judge(facts)]
    if accusations and history:
        campaign.desk.history.save(history)
    return {
        "commit": _commit(),
        "host": host,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "submissions": jobs,
        "asked_faults": faults,
        "jobs": len(facts.final),
        "attempts": sum(len(attempts) for attempts in facts.effects.values()),
        "bytes": sum(len(log or b"") for log in facts.logs.values()),
        "followers": len(facts.followed),
        "answers": sum(seen.whole for seen in facts.seen),
        "states": Counter(view["state"] for view in facts.final.values()),
        "faults": Counter(event.facts["kind"] for event in facts.events if _counts(event)),
        "accusations": [f"{job} {what}".strip() for job, what in accusations],
        "stories": stories(campaign, facts, accusations),
    }


def _counts(event: Event) -> bool:
    return event.what == "fault" and event.facts["kind"] != "all down"


def stories(campaign: Campaign, facts: Facts, accusations: Sequence[oracle.Accusation]) -> list[str]:
    """The history of each job concerned, of five at most."""
    told = []
    for job in list(dict.fromkeys(job for job, _ in accusations if job))[:5]:
        own = [
            Event(at, f"the job itself, attempt {number}:", job, {"said": what})
            for number, attempt in facts.effects.get(job, {}).items()
            for at, what in attempt.told
        ]
        rows = [row for row in facts.ledger["jobs"] if row["id"] == job]
        rows += [row for row in facts.ledger["attempts"] if row["job_id"] == job]
        shown = "\n".join(json.dumps(row) for row in rows)
        told.append(f"{job}\n{campaign.desk.history.told(job, own)}\n{shown}")
    return told


def line(result: dict[str, Any]) -> str:
    """A round in a line; of one that failed, everything that is known."""
    states = " ".join(f"{name} {count}" for name, count in sorted(result["states"].items()))
    faults = " ".join(f"{name} {count}" for name, count in sorted(result["faults"].items()))
    said = (
        f"{result['host']} seed {result['seed']}: {result['jobs']} jobs in {result['seconds']:.0f} s "
        f"({states}), {sum(result['faults'].values())} faults ({faults})"
    )
    if not result["accusations"]:
        return f"{said}: every promise held"
    again = (
        f"python -m bench.campaign --host {result['host']} --seed {result['seed']}"
        f" --jobs {result['submissions']} --faults {result['asked_faults']}"
    )
    return "\n".join([said, "BROKEN PROMISES; again: " + again, *result["accusations"], *result["stories"]])
