"""What is kept of a job, seen on real ones: curve, peak, neighbours; the prompt it waits at; that it does nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from orch_agent import blackbox, samples
from tests.support.agent import Agent, eventually

M = 1 << 20
GROWS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; kept = bytearray(20 << 20); time.sleep(60)", "hunter2"])
kept = []
for step in range(12):
    kept.append(bytearray(5 << 20))
    time.sleep(0.1)
print("grown", flush=True)
"""


@pytest.fixture
def grows(home: Path) -> str:
    """A command that takes 60 MB in steps beside a child of 20 MB, with what nobody is to read on its command line."""
    (home / "grows.py").write_text(GROWS)
    return "python3 grows.py --token hunter2"


def kept(agent: Agent, job: dict[str, Any]) -> tuple[dict[str, Any], list[samples.Sample]]:
    """Black box and curve as they lie on the disk."""
    place = agent.root / "jobs" / job["id"]
    return json.loads((place / "blackbox.json").read_text()), samples.read(str(place / "samples"))


def test_a_failure_keeps_its_curve_and_who_was_big(agent: Agent, grows: str) -> None:
    agent.submit("beside", "read x")
    agent.running("beside")
    job = agent.finished("fails", grows + "; exit 3", cwd=str(agent.home))
    box, curve = kept(agent, job)
    largest, child = box["peak"]["processes"][:2]
    assert (largest["program"], child["program"]) == ("python3 grows.py", "python3")
    assert largest["mem_bytes"] > 50 * M and 20 * M < child["mem_bytes"] < 50 * M
    assert [one["job"] for one in box["end"]["neighbours"]] == ["beside.1"]
    assert min(box["end"]["host_available_bytes"], box["end"]["disk_free_bytes"]) > 0
    assert max(one.mem_bytes for one in curve) > 70 * M and len(curve) > 5
    assert curve[0].mem_bytes < curve[-2].mem_bytes and all(one.available_bytes > 0 for one in curve)
    for file in (agent.root / "jobs" / job["id"]).rglob("*"):
        is_asked = file.name == "spec.json"  # the job's own text, as its submitter wrote it
        assert (is_asked or b"hunter2" not in file.read_bytes()) and file.stat().st_mode & 0o077 == 0, file


def test_show_tells_it(agent: Agent, grows: str) -> None:
    agent.finished("fails", grows + "; nonsense", cwd=str(agent.home))
    shown = agent.show("fails")
    assert shown["autopsy"]["ended_by"] == "itself"
    assert shown["autopsy"]["peak_processes"][0]["program"] == "python3 grows.py"
    assert "nonsense: command not found" in shown["autopsy"]["first_error"]
    assert shown["next"] == {"command": 'bash -lc "type -a nonsense"', "there": True}
    curve = shown["usage_curve"]
    assert len({len(curve[key]) for key in ("seconds", "mem_bytes", "cpu_seconds", "host_available_bytes")}) == 1
    assert curve["mem_slope"] > 5 * M and max(curve["mem_bytes"]) > 70 * M


def test_a_killed_runner_leaves_what_was_seen(agent: Agent, grows: str) -> None:
    job = agent.submit("orphan", grows + "; sleep 300", cwd=str(agent.home), tty=False)
    eventually(lambda: b"grown" in agent.log("orphan"), "it has grown")
    eventually(lambda: kept(agent, job)[0]["peak"]["mem_bytes"] > 70 * M, "its peak is written while it runs")
    before = kept(agent, job)
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    agent.call("cancel", jobs=["orphan"], grace=0)
    box, curve = kept(agent, job)
    assert box["peak"] == before[0]["peak"] and curve[: len(before[1])] == before[1]
    assert agent.show("orphan")["autopsy"]["peak_processes"] == box["peak"]["processes"]


def test_a_moment_leaves_nothing(agent: Agent) -> None:
    job = agent.finished("moment", "exec true")
    assert not {"samples", "blackbox.json"} & set(os.listdir(agent.root / "jobs" / job["id"]))
    shown = agent.show("moment")
    assert [shown[key] for key in ("why", "autopsy", "next", "usage_curve", "attempts")] == [None, None, None, None, []]


def test_each_attempt_has_its_own(agent: Agent, grows: str) -> None:
    (agent.home / "again.sh").write_text("[ $ORCH_JOB_ATTEMPT = 1 ] || exec sleep 0.6; %s; exit 5" % grows)
    agent.finished("again", "exec bash again.sh", cwd=str(agent.home), retries=1, retry_delay=0.05)
    shown = agent.show("again")
    assert (shown["job"]["state"], shown["autopsy"]) == ("COMPLETED", None)
    assert max(shown["usage_curve"]["mem_bytes"]) < 20 * M
    (first,) = shown["attempts"]
    assert (first["attempt"], first["state"]) == (1, "FAILED") and first["why"].startswith("exit status 5")
    assert first["mem_peak_bytes"] > 70 * M


def test_the_name_of_a_program_tells_no_secret(tmp_path: Path) -> None:
    script = tmp_path / "tool\n\x1b[2J.sh"
    script.write_text("sleep 300")
    known = {
        f"exec bash '{script}' hunter2": "bash tool??[2J.sh",
        "exec bash -c 'sleep 300; exit' hunter2": "bash",
        "exec env python3 -m http.server 0 --directory /hunter2": "python3 -m http.server",
        "exec -a '/x/hunted program' sleep 300": "hunted",
        "exec tail -f /dev/null": "tail",
    }
    for command, told in known.items():
        with Started(command) as pid:
            eventually(lambda pid=pid, told=told: blackbox.program(pid) == told, f"{command!r} is called {told!r}")


class Started:
    """A command in a shell, until the end of its ``with``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __enter__(self) -> int:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_RDWR), 1)
                os.dup2(1, 2)
                os.setpgid(0, 0)
                os.execvp("bash", ["bash", "-c", self.command])
            finally:
                os._exit(1)
        return self.pid

    def __exit__(self, *_: object) -> None:
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)


# Input, and stillness


def test_what_it_asks_is_told(agent: Agent) -> None:
    agent.submit("asks", r"printf '\033[1mhello\033[0m\n'; read -p 'Overwrite? [y/N] ' x; echo $x; read y")
    job = eventually(lambda: (job := agent.running("asks"))["waiting_for_input"] and job, "it waits")
    assert job["prompt"] == "Overwrite? [y/N]"
    agent.call("send", job="asks", text="y")
    eventually(lambda: agent.running("asks")["prompt"] == "y", "it waits for the next thing")
    agent.call("send", job="asks", text="")
    assert agent.wait("asks")["prompt"] is None


def test_one_that_does_nothing_is_ended_where_that_was_asked_for(agent: Agent) -> None:
    job = agent.finished("still", "exec sleep 300", stall=1)  # no shell that could say how its child ended
    assert (job["state"], job["reason"]) == ("CANCELLED", "stalled: no output, CPU or I/O for 1s (--stall)")
    shown = agent.show("still")
    assert (shown["autopsy"]["ended_by"], shown["next"]["command"]) == ("stall_limit", "orch rerun still")


def test_one_that_has_lost_its_runner_is_ended_too(agent: Agent) -> None:
    job = agent.submit("orphan", "sleep 300", stall=2, tty=False)
    agent.running("orphan")
    os.kill(agent.runner(job["id"]), signal.SIGKILL)
    job = agent.wait("orphan")
    assert job["state"] == "CANCELLED"
    assert job["reason"].startswith("stalled: no output, CPU or I/O for 2s (--stall); its runner was killed")


def test_one_that_does_nothing_is_told_otherwise(home: Path) -> None:
    agent = Agent(home)
    usual = agent.directory / "orch_agent" / "stall.py"
    usual.write_text(re.sub(r"(?m)^USUAL = .*$", "USUAL = 1.0", usual.read_text()))
    try:
        agent.submit("still", "sleep 300", tty=False)
        job = eventually(lambda: (job := agent.running("still"))["stalled_seconds"] and job, "it is told")
        assert job["stalled_seconds"] >= 1 and re.fullmatch("stalled: no output, CPU or I/O for [0-9]+s", job["reason"])
        assert job["waiting_for_input"] is False
        agent.submit("asks", "read x")
        eventually(lambda: agent.running("still")["stalled_seconds"] > 3, "time goes on")
        asks = agent.running("asks")
        assert (asks["waiting_for_input"], asks["stalled_seconds"], asks["reason"]) == (True, None, None)
    finally:
        agent.close()


WORKS = {
    "output": "for i in 1 2 3 4 5 6 7 8; do sleep 0.4; echo $i; done",
    "processor time": "timeout 3.5 bash -c 'while :; do :; done'; true",
    "input and output": "for i in 1 2 3 4 5 6 7 8; do sleep 0.4; head -c 100000 /dev/zero > data; done",
}


def test_work_is_no_standstill(agent: Agent) -> None:
    for name, command in WORKS.items():
        agent.submit(name.replace(" ", "-"), command, stall=1.5, cwd=str(agent.home), tty=False)
    for name in WORKS:
        job = agent.wait(name.replace(" ", "-"))
        assert job["state"] == "COMPLETED", (name, job["reason"])
