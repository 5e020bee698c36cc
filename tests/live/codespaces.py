"""A real codespace at the real GitHub, from ``cs create`` to ``cs delete``: for a person with an account, never for CI.

    python tests/live/codespaces.py --repo OWNER/REPO

About a quarter of an hour of a 4-core machine (0.10 USD, or free hours), in the login of your own gh. What was made is
deleted in the end, whatever happened; ``gh codespace list`` shows whether anything is left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

IDLE = 120  # seconds


class Failed(Exception):
    """A step that did not do what it should."""


class Laptop:
    """``cs`` with a configuration and a cache of its own, and the person's own gh."""

    def __init__(self, home: Path) -> None:
        config = home / "config.toml"
        config.write_text(f'[codespaces]\nidle_stop = "{IDLE}s"\nidle_timeout = "5m"\nretention = "1d"\n')
        ours = {"ORCH_CONFIG": str(config), "XDG_CACHE_HOME": str(home / "cache"), "XDG_RUNTIME_DIR": str(home)}
        self._env = {**os.environ, **ours}

    def cs(self, *words: str, status: int = 0, patience: float = 1500) -> str:
        """What a command prints, on both streams; it must end with ``status``."""
        began = time.monotonic()
        argv = [sys.executable, "-c", "from orch.cli.main import cs; cs()", *words]
        done = subprocess.run(argv, env=self._env, text=True, capture_output=True, timeout=patience, stdin=-3)
        print(f"  {time.monotonic() - began:6.1f}s  cs {' '.join(words)}", flush=True)
        if done.returncode != status:
            raise Failed(f"cs {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + ("" if "--json" in words else done.stderr)

    def space(self, name: str) -> dict[str, Any]:
        """What ``cs status`` tells of it, which wakes nothing."""
        found: dict[str, Any] = json.loads(self.cs("status", "-c", name, "--json"))["codespaces"][0]
        return found


def expect(text: str, said: str) -> None:
    if text not in said:
        raise Failed(f"{text!r} is not in:\n{said}")


def check(laptop: Laptop, name: str) -> None:
    first = laptop.cs("run", "-c", name, "--name", "first", "echo begins; sleep 5; printf 'no newline'", "--wait")
    expect("first.1 COMPLETED", first)
    print(first)
    expect("begins", laptop.cs("logs", "first"))
    expect("true", laptop.cs("run", "-c", name, "--name", "where", "echo $CODESPACES; command -v tmux", "-f"))
    can_stop = laptop.space(name)["can_stop"]
    print(f"this codespace may stop itself: {can_stop}", flush=True)
    print("a job of 8 minutes, with GitHub's own timer at 5", flush=True)
    laptop.cs("run", "-c", name, "--name", "long", "sleep 480; echo survived")
    expect("survived", laptop.cs("logs", "-c", name, "--tail", "1", "long") if _waited(laptop, name) else "")
    print(f"it is to stop by itself now, {IDLE} s after the job", flush=True)
    until = time.monotonic() + IDLE + 600
    while laptop.space(name)["state"] != "Shutdown":
        if time.monotonic() > until:
            raise Failed("it has not stopped by itself")
        time.sleep(70)
    expect("again", laptop.cs("run", "-c", name, "--name", "again", "echo again", "--follow"))


def _waited(laptop: Laptop, name: str) -> bool:
    """Nobody looks meanwhile, for that would be presence."""
    time.sleep(500)
    return "long.1" in laptop.cs("wait", "-c", name, "long")


def main() -> int:
    """All of it; the codespace goes in the end, in any case."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repo", required=True)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp") as home:
        laptop = Laptop(Path(home))
        name = json.loads(laptop.cs("create", "-R", chosen.repo, "--yes", "--json"))["codespace"]["name"]
        try:
            check(laptop, name)
            print("all of it works")
            return 0
        except Failed as failure:
            print(failure)
            return 1
        finally:
            print(laptop.cs("delete", name, "--yes", "--force"))


if __name__ == "__main__":
    sys.exit(main())
