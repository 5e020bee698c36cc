"""A log that outgrows ``--log-max``: head and tail stay, the middle goes, and everybody who reads is told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import mounts
from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.machine import Machine

LIMIT = 1 << 20
LINE = 64
NOTE = re.compile(rb"\[orch: (\S+) are missing here: --log-max 1M\]\r?\n")
WRITER = """
import os, sys, time
line, limit = "%063d\\n", int(sys.argv[1])
for n in range(limit):
    sys.stdout.write(line % n)
    if n % 4096 == 4095:
        sys.stdout.flush()
        if len(sys.argv) > 2:
            time.sleep(float(sys.argv[2]))
sys.stdout.flush()
"""
tty = pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])


def numbers(data: bytes) -> list[int]:
    return [int(line) for line in data.split(b"\n") if line.strip()]


def flood(agent: Agent, lines: int, tty: bool, pause: str = "", **spec: Any) -> dict[str, Any]:
    (agent.home / "writer.py").write_text(WRITER)
    return agent.submit("flood", f"exec python3 -S writer.py {lines} {pause}", tty=tty, log_max=LIMIT, **spec)


def flooded(agent: Agent, lines: int, tty: bool, pause: str = "") -> Path:
    path = Path(flood(agent, lines, tty, pause)["log_path"])
    assert agent.wait("flood", timeout=60)["state"] == "COMPLETED"
    return path


def parts(data: bytes) -> tuple[list[int], bytes, list[int]]:
    """The numbers in front of the note, the note, and those behind it."""
    found = NOTE.search(data)
    assert found, data[:200]
    return numbers(data[: found.start()]), found[0], numbers(data[found.end() :])


@tty
def test_head_and_tail_are_kept_and_the_disk_gets_the_middle_back(orch: Orch, agent: Agent, tty: bool) -> None:
    total = 200_000
    path = flooded(agent, total, tty)
    size = total * (LINE + tty)
    assert path.stat().st_size == size, "nobody's place in it has changed"
    assert path.stat().st_blocks * 512 <= LIMIT * 5 // 4
    head, note, tail = parts(orch("logs", "flood", "--raw").out.encode())
    assert head == list(range(len(head))) and len(head) * LINE > LIMIT // 5
    assert tail == list(range(total - len(tail), total)) and len(tail) * LINE > LIMIT // 3
    lost = size - (len(head) + len(tail)) * (LINE + tty)
    assert agent.show("flood")["log_lost_bytes"] == lost
    assert note.startswith(b"[orch: %.1fMB are" % (lost / 2**20))
    assert re.search(f"log lost +{lost / 2**20:.1f}MB", orch("show", "flood").out)
    # Who looks at the file itself is told where it is missing.
    seen = subprocess.run(["cat", path], capture_output=True, check=True).stdout.replace(b"\0", b"")
    assert parts(seen) == (head, note.replace(b"\r", b""), tail)


@tty
def test_a_follower_that_keeps_up_misses_nothing(orch: Orch, agent: Agent, tty: bool) -> None:
    """It reads as the log is written: what it was shown before that went is not missing for it."""
    total = 60_000
    (agent.home / "writer.py").write_text(WRITER)
    command = f"echo here; while [ ! -e go ]; do sleep 0.02; done; exec python3 -S writer.py {total} 0.1"
    agent.submit("flood", command, tty=tty, log_max=LIMIT)
    with orch.popen("logs", "-f", "flood") as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"here\n"
        (agent.home / "go").touch()
        out = reader.stdout.read()
    assert not NOTE.search(out)
    assert numbers(out) == list(range(total))


@tty
def test_a_follower_that_falls_behind_is_told_what_it_missed(orch: Orch, agent: Agent, tty: bool) -> None:
    total = 200_000
    flood(agent, total, tty)
    with orch.popen("logs", "-f", "flood") as reader:
        assert reader.stdout
        first = reader.stdout.read(LINE)
        agent.wait("flood", timeout=60)
        out = first + reader.stdout.read()
        assert reader.wait() == 0
    pieces = [numbers(piece) for piece in NOTE.split(out)[::2]]
    assert len(pieces) > 1, "it has missed something"
    for piece in pieces:
        assert piece == list(range(piece[0], piece[0] + len(piece)))
    starts = [piece[0] for piece in pieces]
    assert starts == sorted(starts) and starts[0] == 0 and pieces[-1][-1] == total - 1


def test_every_way_to_read_it(orch: Orch, agent: Agent) -> None:
    total = 100_000
    path = flooded(agent, total, tty=True)
    start, end = map(int, (agent.root / "jobs" / agent.show("flood")["job"]["id"] / "dropped").read_text().split())
    head, _, tail = parts(orch("logs", "flood").out.encode())

    assert numbers(orch("logs", "flood", "-n", "3").out.encode()) == [total - 3, total - 2, total - 1]
    assert numbers(orch("logs", "flood", "-n", str(len(tail))).out.encode()) == tail
    assert parts(orch("logs", "flood", "-n", str(len(tail) + 2)).out.encode())[::2] == (head[-2:], tail)

    found = parts(orch("logs", "flood", "--grep", "77$").out.encode())
    assert found[::2] == ([n for n in head if n % 100 == 77], [n for n in tail if n % 100 == 77])

    assert parts(orch("logs", "flood", "--since", "1h").out.encode())[::2] == (head, tail)
    assert parts(orch("logs", "flood", "--new", "me").out.encode())[::2] == (head, tail)
    assert orch("logs", "flood", "--new", "me").out.encode() == b""
    assert parts(orch("logs", "flood", "--new", "grep", "--grep", "77$").out.encode())[2][-1] == total - 23
    assert orch("logs", "flood", "--new", "grep", "--grep", "77$").out.encode() == b""

    # A reader whose place has gone goes on behind the gap, and is told how much went for it.
    (agent.root / "jobs" / agent.show("flood")["job"]["id"] / "readers" / "me").write_text(str(end - 1000))
    out = orch("logs", "flood", "--new", "me").out.encode()
    assert out.startswith(b"[orch: 1000 bytes are missing here: --log-max 1M]\n")
    assert numbers(out.partition(b"\n")[2]) == tail
    assert path.read_bytes()[start:end].strip(b"\0").startswith(b"[orch:")


def test_a_log_that_grows_while_it_is_shown(agent: Agent) -> None:
    agent.submit("flood", "exec yes 0123456789", tty=False, log_max=LIMIT)
    agent.running("flood")
    tails = [agent.show("flood")["log_tail"] for _ in range(20)]
    assert all(set(tail.split()[1:-1]) <= {"0123456789"} for tail in tails), "and no zeros of a hole"
    assert any(tails)


def test_the_view_shows_the_tail(agent: Agent) -> None:
    (agent.home / "writer.py").write_text(WRITER)
    job = agent.submit("flood", "python3 -S writer.py 100000; read x; exit 5", log_max=1 << 16)
    path = Path(job["log_path"])
    eventually(lambda: path.stat().st_size > 100_000 * LINE, "it has written all")
    session = agent.call("attach", job="flood")["session"]
    eventually(lambda: "099999" in agent.tmux("capture-pane", "-p", "-t", session), "the end of the log is shown")
    assert "\0" not in agent.tmux("capture-pane", "-p", "-t", session)
    agent.call("send", job="flood", text="")
    assert agent.wait("flood")["exit_code"] == 5


def test_a_retry_goes_on_below_the_same_limit(agent: Agent) -> None:
    (agent.home / "writer.py").write_text(WRITER)
    command = "python3 -S writer.py 30000; exit 1"
    job = agent.submit("flood", command, log_max=LIMIT, retries=2, retry_delay=0.01, tty=False)
    assert agent.wait("flood", timeout=60)["attempt"] == 3
    path = Path(job["log_path"])
    assert path.stat().st_size == 3 * 30000 * LINE
    assert path.stat().st_blocks * 512 <= LIMIT * 5 // 4


@tty
def test_where_there_can_be_no_holes_the_head_is_kept_and_the_rest_counted(orch: Orch, agent: Agent, tty: bool) -> None:
    with mounts.without_holes(agent.home / "logs"):
        path = flooded(agent, 100_000, tty, "0.02")
        kept = path.read_bytes()
        text, note, rest = kept.partition(b"\r\n[orch: the log ends here: --log-max 1M]\r\n")
        assert note and not rest and len(text) == LIMIT
        lost, missing = agent.show("flood")["log_lost_bytes"], 100_000 * (LINE + tty) - len(text)
        assert lost == missing if tty else 0.8 * missing < lost <= missing
        lines = text.replace(b"\r", b"").split(b"\n")[:-1]
        assert numbers(b"\n".join(lines)) == list(range(len(lines)))
        assert orch("logs", "flood", "--raw").out.encode() == kept


def test_a_log_that_somebody_empties_starts_anew(agent: Agent) -> None:
    (agent.home / "writer.py").write_text(WRITER)
    job = agent.submit("flood", "python3 -S writer.py 30000; read x; echo more", log_max=LIMIT)
    dropped = agent.root / "jobs" / job["id"] / "dropped"
    path = Path(job["log_path"])
    eventually(lambda: path.stat().st_size == 30000 * (LINE + 1), "it has written all")
    assert dropped.exists()
    path.write_bytes(b"")
    eventually(lambda: not dropped.exists(), "the gap is forgotten")
    agent.call("send", job="flood", text="")
    agent.wait("flood")
    assert agent.log("flood").endswith(b"more\r\n")


def test_whoever_adopts_a_job_holds_its_log_to_the_limit(agent: Agent) -> None:
    job = flood(agent, 10**7, False, "0.05")
    agent.running("flood")
    runner = agent.runner(job["id"])
    path = Path(job["log_path"])
    subprocess.run(["kill", "-9", str(runner)], check=True)
    agent.show("flood")
    eventually(lambda: path.stat().st_size > 3 * LIMIT, "it goes on writing")
    eventually(lambda: path.stat().st_blocks * 512 < 2 * LIMIT, "its log has lost its middle")
    agent.call("cancel", jobs=["flood"], grace=0)
    assert agent.show("flood")["log_lost_bytes"] > LIMIT


def test_over_a_link(machine: Machine, laptop: Callable[..., Laptop]) -> None:
    mine = laptop(machine)
    assert mine("run", "flood", "seq 1000000 1060000", "--log-max", "64K", "--wait").status == 0
    out = mine("logs", "flood").out
    head, _, tail = out.partition("[orch: ")
    note, _, tail = tail.partition("\n")
    assert note.endswith(" are missing here: --log-max 64K]")
    assert numbers(head.encode()) == list(range(1000000, 1000000 + head.count("\n")))
    assert numbers(tail.encode()) == list(range(1060001 - tail.count("\n"), 1060001))
    assert "log lost" in mine("show", "flood").out
