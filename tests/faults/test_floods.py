"""Much output: a pattern whose every block differs, so that a block lost, doubled or moved is seen."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.agent import Agent

FLOOD = """
import hashlib, os, sys
def write(data):
    view = memoryview(data)
    while view: view = view[os.write(1, view):]
seen = hashlib.md5()
base = b"0123456789abcdef" * 4095
for n in range(int(sys.argv[1]) // (len(base) + 16)):
    data = b"%15d\\n" % n + base
    seen.update(data)
    write(data)
open("sum", "w").write(seen.hexdigest())
"""


def digest(path: Path, cr: bool) -> str:
    """Of a log, its carriage returns undone."""
    seen = hashlib.md5()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            seen.update(block.replace(b"\r", b"") if cr else block)
    return seen.hexdigest()


@pytest.mark.parametrize(("tty", "size"), [(True, 200 << 20), (False, 1 << 30)], ids=["tty-200MB", "no-tty-1GB"])
def test_a_flood_is_kept_to_the_last_byte(agent: Agent, tty: bool, size: int) -> None:
    (agent.home / "flood.py").write_text(FLOOD)
    agent.submit("flood", f"exec python3 -S flood.py {size}", tty=tty)
    job = agent.wait("flood", timeout=100)
    assert job["state"] == "COMPLETED"
    path = Path(job["log_path"])
    assert digest(path, tty) == (agent.home / "sum").read_text()
    assert agent.show("flood")["log_lost_bytes"] == 0
    path.unlink()
