"""``python bench [--write] [NAME...]``: measure, print a table; with --write renew the one in docs/performance.md."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

NAMES = ("startup", "relay", "latency", "idle", "history", "memory", "throughput", "queue", "ssh", "sync", "files")
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `python bench --write` -->", "<!-- end of figures -->"


def main(words: list[str]) -> int:
    """0 where every target that was measured is met, else 1."""
    from bench import figures, harness

    names = [word for word in words if word != "--write"] or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"there is no measurement {', '.join(unknown)}; there are: {' '.join(NAMES)}", file=sys.stderr)
        return 2
    harness.leave_home()
    on = machine()
    print(on)
    found: dict[str, list[figures.Figure]] = {}
    for name in names:
        began = time.monotonic()
        found[name] = importlib.import_module(f"bench.{name}").figures()
        print(f"\n{name} ({time.monotonic() - began:.0f} s)\n{figures.table(found[name])}", flush=True)
    if "--write" in words:
        for name, rows in found.items():
            write(name, on, figures.markdown(rows))
    return 1 if any(figure.met is False for rows in found.values() for figure in rows) else 0


def machine() -> str:
    """What this was measured on."""
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )


def write(name: str, on: str, table: str) -> None:
    """Put the figures of one measurement into the page, in place of the last ones."""
    head, rest = PAGE.read_text().split(BEGIN)
    body, tail = rest.split(END)
    sections = {part.split("`")[1].removeprefix("python bench "): part for part in body.split("### ")[1:]}
    sections[name] = f"`python bench {name}`\n\nMeasured on {on}.\n\n{table}\n"
    shown = "\n".join("### " + sections[known].rstrip() + "\n" for known in NAMES if known in sections)
    PAGE.write_text(f"{head}{BEGIN}\n{shown}{END}{tail}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
