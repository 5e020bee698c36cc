"""What a command line imports before it does anything: start-up time, without a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
os._exit = sys.exit
before = set(sys.modules)
sys.argv[0] = "orch"
from orch.cli.main import orch
try:
    orch()
finally:
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""
HEAVY = {"argparse", "asyncio", "boto3", "dataclasses", "inspect", "json", "rich", "shutil", "socket", "sqlite3"}
HEAVY |= {"ssl", "subprocess", "tempfile", "threading", "tomllib", "traceback", "typing_extensions", "urllib"}


def imported(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]])
def test_the_overview_imports_no_command_and_nothing_heavy(words: list[str]) -> None:
    modules = imported(*words)
    assert not modules & HEAVY
    assert not {one for one in modules if one.startswith(("orch.ops", "orch.providers", "orch.remote"))}
    assert {one for one in modules if one.startswith("orch.cli.")} <= {
        "orch.cli.args",
        "orch.cli.main",
        "orch.cli.output",
    }


def test_help_of_a_command_imports_that_command_alone() -> None:
    modules = imported("wait", "--help")
    assert "orch.cli.wait" in modules
    assert not modules & {"argparse", "asyncio", "rich", "tomllib", "orch.cli.run", "orch.cli.status", "orch.cli.logs"}


def test_a_snapshot_imports_nothing_that_it_does_not_need() -> None:
    program = "import sys, orch.code; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"hashlib", "random", "secrets", "shutil", "socket", "tempfile"} & set(said.stdout.split())
