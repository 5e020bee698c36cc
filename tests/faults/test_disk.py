"""A disk that is full, read-only, damaged; a clock that lies. Refused in words, or borne in silence; never a lie."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch_agent import files
from orch_agent.ledger import Ledger
from orch_agent.model import END_STATES, Ended, JobSpec, Result
from tests.faults import mounts
from tests.support.agent import Agent, Refused, eventually, is_unsupervised


@pytest.fixture
def small(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The agent keeps everything on a disk of 1 MB."""
    with mounts.of_agent(agent, monkeypatch, "1m") as disk:
        yield disk


def fill(disk: Path) -> Path:
    """Not a byte is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return filler


FIVE_MB = "python3 -c 'import sys\nfor n in range(50000): sys.stdout.write(\"%098d\\n\" % n)\nsys.stdout.flush()'"


def test_a_job_that_fills_the_disk_ends_with_its_own_status(agent: Agent, small: Path) -> None:
    """Its 5 MB do not fit: it is not stopped by that, and how much is missing is known to the byte."""
    job = agent.finished("flood", FIVE_MB + "; exit 7")
    assert (job["state"], job["exit_code"]) == ("FAILED", 7)
    path = Path(job["log_path"])
    kept = path.read_bytes()
    whole = b"".join(b"%098d\r\n" % n for n in range(50000))
    assert whole.startswith(kept.split(b"\r\n[orch:")[0])
    assert len(kept) > 300_000
    assert agent.show("flood")["log_lost_bytes"] == len(whole) - len(kept)
    # The same after everybody has forgotten: it is on the disk.
    assert (small / "jobs" / job["id"] / "result.json").stat().st_size > 0
    path.write_bytes(b"")
    (small / "ledger.db-shm").unlink(missing_ok=True)
    assert agent.show("flood")["job"] == job


def test_a_full_disk_refuses_the_next_job_in_words(agent: Agent, small: Path) -> None:
    agent.finished("before", "true")
    filler = fill(small)
    with pytest.raises(Refused, match=f"disk that holds {small}.* is full") as refused:
        agent.submit("next", "true", "next")
    assert (refused.value.kind, refused.value.hint) == ("host", f"df -h {small}")
    filler.unlink()
    assert agent.finished("next", "echo went well")["exit_code"] == 0
    assert agent.log("next") == b"went well\r\n"


def test_a_host_with_a_full_disk_can_be_closed(agent: Agent, small: Path) -> None:
    """Where it was closed before: the file keeps its room."""
    agent.finished("before", "true")
    for seconds in (60, 0):
        assert agent.call("close", why="is about to stop", seconds=seconds)["names"] == []
    filler = fill(small)
    assert agent.call("close", why="is about to stop", seconds=60)["names"] == []
    filler.unlink()
    with pytest.raises(Refused, match="is about to stop"):
        agent.submit("late", "true")


def test_what_is_on_a_full_disk_can_still_be_read(agent: Agent, small: Path) -> None:
    agent.finished("before", "echo precious; exit 3")
    fill(small)
    assert agent.show("before")["job"]["exit_code"] == 3
    assert [job["name"] for job in agent.call("status")["jobs"]] == ["before"]
    assert agent.log("before") == b"precious\r\n"
    assert agent.wait("before")["state"] == "FAILED"


def test_a_job_on_a_full_disk_can_be_cancelled(agent: Agent, small: Path) -> None:
    """That is how one makes room. (While the ledger's own log of writes is there, which goes when nobody looks.)"""
    agent.submit("long", "echo on; exec sleep 300")
    eventually(lambda: b"on" in agent.log("long"), "it runs")
    with contextlib.closing(sqlite3.connect(small / "ledger.db")) as somebody:
        somebody.execute("SELECT count(*) FROM jobs").fetchall()
        fill(small)
        job = agent.call("cancel", jobs=["long"], grace=2)["jobs"][0]
    assert job["state"] == "CANCELLED"


def test_the_log_says_where_bytes_are_missing(agent: Agent, small: Path) -> None:
    """Room comes back while the job runs: what came meanwhile is missing, and the log says so at that place."""
    filler = small / "filler"
    command = (
        "echo begin; until [ -e full ]; do sleep 0.02; done; "
        + FIVE_MB
        + "; touch printed; until [ -e room ]; do sleep 0.02; done; sleep 0.5; echo end; exit 2"
    )
    agent.submit("gap", command)
    eventually(lambda: b"begin" in agent.log("gap"), "it has begun")
    fill(small)
    (agent.home / "full").touch()
    eventually((agent.home / "printed").exists, "it has printed to a full disk")
    filler.unlink()
    (agent.home / "room").touch()
    # A megabyte had to wait in memory: more than there is room for. The end is reached all the same.
    job = agent.wait("gap")
    assert (job["state"], job["exit_code"]) == ("FAILED", 2)
    log = Path(job["log_path"]).read_bytes()
    lost = agent.show("gap")["log_lost_bytes"]
    assert lost > 3_000_000
    note = re.search(rb"\r\n\[orch: (\d+) bytes are missing here: the disk was full\]\r\n", log)
    whole = b"begin\r\n" + b"".join(b"%098d\r\n" % n for n in range(50000)) + b"end\r\n"
    if note:
        head, tail = log[: note.start()], log[note.end() :]
        assert (
            whole.startswith(head)
            and whole.endswith(tail)
            and int(note[1]) == lost == len(whole) - len(head) - len(tail)
        )
    else:
        assert whole.startswith(log) and lost == len(whole) - len(log)


def test_a_gap_is_said_where_there_is_room_for_it(agent: Agent, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above on 4 MB, so that what waited in memory fits in the end."""
    with mounts.tmpfs(home / "four", "4m") as disk:
        monkeypatch.setenv("ORCH_HOME", str(disk))
        agent.root = disk
        command = "echo begin; until [ -e full ]; do sleep 0.02; done; " + FIVE_MB
        command += "; touch printed; until [ -e room ]; do sleep 0.02; done; sleep 2.5; echo end"
        agent.submit("gap", command)
        eventually(lambda: b"begin" in agent.log("gap"), "it has begun")
        filler = fill(disk)
        (agent.home / "full").touch()
        eventually((agent.home / "printed").exists, "it has printed to a full disk")
        filler.unlink()
        (agent.home / "room").touch()
        assert agent.wait("gap")["exit_code"] == 0
        log = agent.log("gap")
        note = re.search(rb"\r\n\[orch: (\d+) bytes are missing here: the disk was full\]\r\n", log)
        assert note, log[-200:]
        head, tail = log[: note.start()], log[note.end() :]
        whole = b"begin\r\n" + b"".join(b"%098d\r\n" % n for n in range(50000)) + b"end\r\n"
        assert whole.startswith(head) and len(head) > 1 << 20
        assert whole.endswith(tail) and tail.endswith(b"end\r\n")
        assert int(note[1]) == agent.show("gap")["log_lost_bytes"] == len(whole) - len(head) - len(tail)
        agent.close()


def test_an_orphan_on_a_full_disk_ends(agent: Agent, small: Path) -> None:
    job = agent.submit("orphan", "trap '' HUP; echo on; until [ -e go ]; do sleep 0.02; done")
    eventually(lambda: b"on" in agent.log("orphan"), "it runs")
    filler = fill(small)
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    (agent.home / "go").touch()
    eventually(
        lambda: agent.show("orphan")["job"]["state"] == "NODE_FAIL", "its end is seen though it cannot be written"
    )
    filler.unlink()
    assert agent.wait("orphan")["state"] == "NODE_FAIL"


def test_a_long_command_on_a_full_disk_is_no_riddle(agent: Agent, small: Path) -> None:
    """It is kept in a file for the shell; where that has no room, somebody says so."""
    agent.finished("before", "true")
    filler = fill(small)
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - 320_000)  # for the ledger's row, not for the file
    try:
        agent.submit("long", ": " + "x" * 180_000)
    except Refused as refused:
        assert "full" in str(refused)
        return

    def told() -> bool:
        answer = agent.show("long")
        said = [answer["job"]["reason"], answer["why"], answer["log_tail"]]
        return answer["job"]["state"] == "COMPLETED" or any(
            one and ("full" in one or "No space" in one) for one in said
        )

    eventually(told, "it runs, or says what it lacks", 10)
    filler.unlink()
    job = agent.wait("long")
    assert job["exit_code"] == 0 or b"No space" in agent.log("long") + (agent.show("long")["why"] or "").encode()


# A home that may not be written


def test_a_read_only_home_is_refused_in_words(agent: Agent) -> None:
    with mounts.read_only(agent.home), pytest.raises(Refused) as refused:
        agent.submit("x", "true")
    assert refused.value.kind == "host"
    assert str(agent.root) in str(refused.value)
    assert "ORCH_HOME" in refused.value.hint
    assert agent.finished("x", "true")["run"] == 1


def test_a_home_that_became_read_only(agent: Agent) -> None:
    agent.finished("x", "echo kept")
    with mounts.read_only(agent.home):
        with pytest.raises(Refused, match=f"{agent.root}.*its disk is read-only.*can be read") as refused:
            agent.submit("x", "true")
        assert "ORCH_HOME" in refused.value.hint
        for verb, request in (("status", {}), ("show", {"job": "x"})):
            status, out, err = agent.raw(verb, request)
            assert err == b"" and (status == 0 or b'"kind":"host"' in out), (verb, out, err)


def test_a_read_only_home_and_orch_home_elsewhere(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "else where"
    with mounts.read_only(agent.home):
        monkeypatch.setenv("ORCH_HOME", str(elsewhere))
        job = agent.finished("x", "echo works; pwd")
        assert agent.log("x") == b"works\r\n" + os.fsencode(agent.home) + b"\r\n"
        assert Path(job["log_path"]) == elsewhere / "logs" / "x" / "1.log"
        assert not (agent.home / "logs").exists()
    assert (elsewhere / "ledger.db").exists()


def test_a_relative_orch_home_is_refused_or_works(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client calls the place, the runner must find too: it has another working directory."""
    monkeypatch.setenv("ORCH_HOME", "relative")
    try:
        agent.submit("x", "echo works")
    except Refused as refused:
        assert "ORCH_HOME" in str(refused)
    else:
        assert agent.wait("x", timeout=10)["state"] == "COMPLETED"


def test_orch_home_is_a_file(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    (agent.home / "file").write_text("")
    monkeypatch.setenv("ORCH_HOME", str(agent.home / "file"))
    with pytest.raises(Refused, match="file"):
        agent.submit("x", "true")


def test_a_log_that_somebody_removed_or_made_a_directory(agent: Agent) -> None:
    agent.finished("gone", "echo x")
    shutil.rmtree(agent.home / "logs")
    assert agent.log("gone") == b""
    assert agent.show("gone")["log_tail"] == ""
    assert agent.finished("gone", "echo again")["run"] == 2
    (agent.home / "logs" / "blocked").write_text("a file where a directory belongs")
    with pytest.raises(Refused, match="blocked"):
        agent.submit("blocked", "true")
    assert all(job["name"] != "blocked" for job in agent.call("status", all=True)["jobs"])


def test_who_waits_on_a_full_disk_lets_others_in_again(agent: Agent, small: Path) -> None:
    """Without room for the index that connections share, one has the ledger alone: only while it looks."""
    agent.submit("long", "exec sleep 300", tty=False)
    agent.running("long")
    os.kill(int((small / "live" / "supervisor.lock").read_text().split()[0]), signal.SIGKILL)
    eventually(lambda: not (small / "ledger.db-shm").exists(), "nobody has the ledger open")
    filler = fill(small)
    with agent.popen("wait", {"jobs": ["long"], "timeout": 600}) as waiting:
        time.sleep(1.5)  # it looks once a second
        filler.unlink()
        assert agent.finished("other", "true")["state"] == "COMPLETED"
        waiting.terminate()


# A damaged ledger

DAMAGE = {
    "random bytes": lambda data: random.Random(1).randbytes(len(data)),
    "random after the header": lambda data: data[:4096] + random.Random(2).randbytes(len(data) - 4096),
    "the root of the table of jobs": lambda data: data[:4096] + random.Random(3).randbytes(4096) + data[8192:],
    "cut in half": lambda data: data[: len(data) // 2],
    "cut within the first page": lambda data: data[:1000],
    "text": lambda data: b"this is not a ledger\n" * 100,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize(("how", "verb"), list(zip(DAMAGE, itertools.cycle(["status", "submit", "wait"]))))
def test_a_damaged_ledger_is_rebuilt_and_says_so(agent: Agent, how: str, verb: str) -> None:
    """What was submitted is there again, with its end; the damaged file is kept, and the person is told once."""
    before = agent.finished("x", "echo said; exit 3", tty=False)
    eventually(lambda: is_unsupervised(agent.root), "nobody else opens it")
    break_ledger(agent, how)
    requests: dict[str, dict[str, Any]] = {
        "status": {"all": True},
        "submit": {"id": "new", "spec": {"name": "new", "command": "true"}},
        "wait": {"jobs": ["x"], "timeout": 10},
    }
    answer = agent.call(verb, **requests[verb])
    told = answer["notices"]
    assert "was damaged; it is kept as" in told[0] and "made anew" in told[1]
    kept = Path(told[0].partition("kept as ")[2])
    assert kept.parent == agent.root and kept.exists()
    again = agent.call("status", all=True)
    assert "notices" not in again
    assert [job for job in again["jobs"] if job["name"] == "x"] == [before]
    assert agent.finished("x", "true")["run"] == 2


def break_ledger(agent: Agent, how: str) -> None:
    """Fill it, write all of it into one file, and damage that."""
    path = agent.root / "ledger.db"
    with Ledger(str(path)) as ledger, ledger.transaction():
        for n in range(200):
            record = ledger.insert(f"fill{n}", n + 10, JobSpec("y", ": " + "y" * 300), 1.0)
            ledger.settle(record, Ended(2.0, Result("COMPLETED", 0)))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    for extra in ("ledger.db-wal", "ledger.db-shm"):
        (agent.root / extra).unlink(missing_ok=True)
    path.write_bytes(DAMAGE[how](path.read_bytes()))


def test_a_ledger_that_breaks_while_a_job_runs(agent: Agent) -> None:
    """The job ends as it ends; by its lock and its result it is in the next ledger."""
    job = agent.submit("x", "echo on; until [ -e go ]; do sleep 0.02; done; exit 6")
    eventually(lambda: b"on" in agent.log("x"), "it runs")
    (agent.root / "ledger.db").write_bytes(b"broken" * 1000)
    (agent.home / "go").touch()
    result = agent.root / "jobs" / job["id"] / "result.json"
    eventually(result.exists, "its result is written")
    end = agent.wait("x")
    assert (end["id"], end["exit_code"], end["run"]) == (job["id"], 6, 1)
    assert end["started_at"] is not None


@pytest.mark.parametrize(
    "text",
    ["", "{}", "nonsense", '{"ended_at": 1}', '{"ended_at": "x", "state": "COMPLETED"}', "[]", "null", "\0" * 100],
)
def test_a_damaged_result_file_is_no_result(agent: Agent, text: str) -> None:
    job = agent.submit("x", "exec sleep 300")
    agent.running("x")
    (agent.root / "jobs" / job["id"] / "result.json").write_text(text)
    assert agent.show("x")["job"]["state"] == "RUNNING"
    assert agent.call("cancel", jobs=["x"], grace=0)["jobs"][0]["state"] == "CANCELLED"


@pytest.mark.parametrize("text", ["", "x", "-5", "1e9"])
def test_a_damaged_cancel_file_ends_no_runner(agent: Agent, text: str) -> None:
    job = agent.submit("x", "trap '' TERM; echo on; until [ -e go ]; do sleep 0.05; done; exit 2")
    eventually(lambda: b"on" in agent.log("x"), "it runs")
    (agent.root / "jobs" / job["id"] / "cancel").write_text(text)
    runner = agent.runner(job["id"])
    agent.call("cancel", jobs=["x"], grace=0)
    end = agent.show("x")["job"]
    assert (end["state"], end["reason"]) == ("CANCELLED", "cancelled"), runner


# A clock that lies


def test_a_clock_set_back(agent: Agent) -> None:
    """What lies in the future is listed, keeps its order and its name, and can be asked for."""
    path = str(agent.root / "ledger.db")
    agent.finished("x", "echo one")
    ahead = time.time() + 90 * 24 * 3600
    with Ledger(path) as ledger, ledger.transaction():
        record = ledger.insert("future", 2, JobSpec("x", "true"), ahead)
        ledger.settle(record, Ended(ahead + 5, Result("COMPLETED", 0)))
    job = agent.finished("x", "echo three")
    assert job["run"] == 3
    runs = [one["run"] for one in agent.call("status")["jobs"] if one["name"] == "x"]
    assert sorted(runs) == [1, 2, 3]
    assert agent.show("x")["job"]["run"] == 3


def test_a_pending_job_from_the_future_starts(agent: Agent) -> None:
    agent.finished("first", "true")
    with Ledger(str(agent.root / "ledger.db")) as ledger, ledger.transaction():
        ledger.insert("ahead", 1, JobSpec("ahead", "echo started"), time.time() + 1e6)
    (agent.root / "jobs" / "ahead").mkdir()
    (agent.home / "logs" / "ahead").mkdir()
    assert agent.wait("ahead")["state"] == "COMPLETED"


@pytest.mark.parametrize("shift", ["-3d", "+400d"])
def test_every_verb_under_another_clock(agent: Agent, shift: str) -> None:
    """A running job is submitted under one clock and looked at under another."""
    agent.submit("x", "echo on; read; echo off")
    agent.running("x")

    # Its shared memory is called by its pid, and one of that name may be left of a wrapper that was killed.
    ask = ["faketime", "0", "sh", "-c", "echo $LD_PRELOAD"]
    library = eventually(lambda: subprocess.run(ask, stdout=-1, check=False).stdout.decode().strip(), "it is there")

    def shifted(verb: str, **request: Any) -> dict[str, Any]:
        # The wrapper's shared memory ends with the wrapper, and a job that goes on would miss it: only its library.
        env = {**os.environ, "LD_PRELOAD": library, "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        line = json.dumps(request).encode() + b"\n"
        done = subprocess.run(agent.argv(verb), input=line, capture_output=True, timeout=60, check=True, env=env)
        assert done.stderr == b"", done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.partition(b"\n")[0])
        return answer

    assert [job["state"] for job in shifted("status")["jobs"]] == ["RUNNING"]
    assert shifted("show", job="x")["job"]["state"] == "RUNNING"
    shifted("logs", job="x", since=0)
    shifted("send", job="x", text="")
    assert agent.wait("x")["state"] == "COMPLETED"
    assert shifted("cancel", jobs=["x"], grace=0)["jobs"][0]["state"] == "COMPLETED"
    other = shifted("submit", id="other", spec={"name": "x", "command": "sleep 300", "env": {"LD_PRELOAD": ""}})
    assert other["job"]["run"] == 2
    agent.running("x")
    assert agent.call("cancel", jobs=["x"], grace=0)["jobs"][0]["state"] == "CANCELLED"
    for job in agent.call("status", all=True)["jobs"]:
        assert job["state"] in END_STATES


def test_since_is_no_trap_when_the_clock_jumps(agent: Agent) -> None:
    """The index of times may go back: nothing that came later than asked is left out."""
    job = agent.finished("x", "printf '%s\\n' aaaa bbbb cccc dddd", tty=False)
    entries = [(1000.0, 0), (5000.0, 5), (2000.0, 10), (3000.0, 15)]
    from orch_agent.joblog import ENTRY

    (agent.root / "jobs" / job["id"] / "times").write_bytes(b"".join(ENTRY.pack(*entry) for entry in entries) + b"half")
    for since, wanted in ((0, b"aaaa"), (1500, b"bbbb"), (2500, b"bbbb"), (4000, b"bbbb"), (5000, b"bbbb")):
        assert agent.log("x", since=since).startswith(wanted)
    assert agent.log("x", since=6000) == b""


def test_a_file_is_written_whole_or_not_at_all(home: Path) -> None:
    """A disk that is nearly full takes the first blocks of it without an error."""
    with mounts.tmpfs(home / "small", "1m") as disk:
        path = disk / "config"
        path.write_text("before\n" * 3000)
        path.chmod(0o644)
        (disk / "filler").write_bytes(b"\0" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 3 * 4096))
        for text in ("after\n" * 3000, b"after\n" * 3000):
            with pytest.raises(OSError, match="No space"):
                files.write_whole(str(path), text)
            assert path.read_text() == "before\n" * 3000
            assert sorted(os.listdir(disk)) == ["config", "filler"]
        (disk / "filler").unlink()
        files.write_whole(str(path), b"after\n" * 3000, mode=0o644)
        assert path.read_text() == "after\n" * 3000 and stat.S_IMODE(path.stat().st_mode) == 0o644
