"""A real machine at a real AWS, from ``orch up`` to ``orch down``: for a person with an account, never for CI.

    python tests/live/ec2.py --region ap-northeast-1 [--profile NAME] [--access ssh]

About ten minutes and a few cents: a t3.small with 8 GB of disk, for an hour at most, by its own idle timer. What was
made is deleted in the end, whatever happened; ``orch sweep --region REGION`` shows whether anything is left.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST = "live-check"
IDLE = 120  # seconds
DEAREST = 0.10  # USD an hour


class Failed(Exception):
    """A step that did not do what it should."""


class Laptop:
    """``orch`` with a home of its own, and the person's own way to AWS."""

    def __init__(self, home: Path, region: str, profile: str | None, access: str) -> None:
        self.config = home / "config.toml"
        self._table = {"provider": "ec2", "region": region, "access": access, "disk": "8GB"}
        if profile:
            self._table["profile"] = profile
        self.set(instance_type="t3.small", idle_stop=f"{IDLE}s")
        ours = {"ORCH_CONFIG": str(self.config), "XDG_CACHE_HOME": str(home / "cache"), "XDG_RUNTIME_DIR": str(home)}
        self._env = {**os.environ, **ours}

    def set(self, **options: str) -> None:
        """Change the configuration."""
        self._table.update(options)
        lines = [f"{key} = {json.dumps(value)}" for key, value in self._table.items()]
        self.config.write_text("\n".join([f'default_host = "{HOST}"', f"[hosts.{HOST}]", *lines, ""]))

    def orch(self, *words: str, status: int = 0, patience: float = 1500) -> str:
        """What a command prints, on both streams; it must end with ``status``."""
        began = time.monotonic()
        argv = [sys.executable, "-c", "from orch.cli.main import orch; orch()", *words]
        done = subprocess.run(argv, env=self._env, text=True, capture_output=True, timeout=patience, stdin=-3)
        print(f"  {time.monotonic() - began:6.1f}s  orch {' '.join(words)}", flush=True)
        said = done.stdout + done.stderr
        if done.returncode != status:
            raise Failed(f"orch {' '.join(words)} ended with {done.returncode}:\n{said}")
        return said


def expect(text: str, said: str) -> None:
    if text not in said:
        raise Failed(f"{text!r} is not in:\n{said}")


def check(laptop: Laptop) -> None:
    plan = laptop.orch("up", HOST, "--dry-run")
    found = re.search(r"([\d.]+) USD an hour while it runs", plan)
    if found is None or float(found[1]) > DEAREST:
        raise Failed(f"it would cost more than {DEAREST} USD an hour, or AWS does not say:\n{plan}")
    print(laptop.orch("up", HOST, "--yes"))
    laptop.orch("doctor", HOST)
    laptop.orch("run", "first", "echo begins; sleep 5; printf 'ends without a newline'", "--wait")
    expect("begins", laptop.orch("logs", "first"))
    expect("as configured", laptop.orch("up", HOST, "--yes"))
    laptop.set(disk="10GB", instance_type="t3.medium")
    print(laptop.orch("up", HOST, "--yes"))
    expect("10G", laptop.orch("ssh", HOST, "--", "df -h --output=size /"))
    laptop.orch("run", "second", "echo kept >~/kept; sleep 20")
    print(f"the machine is to stop by itself now, {IDLE} s after the job", flush=True)
    until = time.monotonic() + IDLE + 600
    while "stopped itself" not in (said := laptop.orch("hosts")):
        if time.monotonic() > until:
            raise Failed(f"it has not stopped by itself:\n{said}")
        time.sleep(20)
    print(said)
    expect("first.1 COMPLETED", laptop.orch("logs", "first"))
    expect("kept", laptop.orch("run", "third", "cat ~/kept", "--follow"))
    laptop.orch("stop", HOST)


def main() -> int:
    """All of it; the machine goes in the end, in any case."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--region", required=True)
    arguments.add_argument("--profile")
    arguments.add_argument("--access", choices=("ssm", "ssh"), default="ssm")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp") as home:
        laptop = Laptop(Path(home), chosen.region, chosen.profile, chosen.access)
        try:
            check(laptop)
            print("all of it works")
            return 0
        except Failed as failure:
            print(failure)
            return 1
        finally:
            print(laptop.orch("down", HOST, "--yes", "--force"))
            print(laptop.orch("sweep", "--region", chosen.region))


if __name__ == "__main__":
    sys.exit(main())
