"""A host that runs short of memory: who is frozen, who is killed, and that everybody else notices nothing.

The host is a control group of 600 MB that holds the agent, its jobs, tmux and a person's shell.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch_agent import cgroup
from tests.support.agent import PYTHON, Agent, Refused, eventually
from tests.support.small import Person, Small, SmallHost

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the host is a control group")

MB = 1 << 20
HOG = """
import os, sys, time
most, rate, until = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
kept = []
while len(kept) * 5 < most:
    kept.append(bytearray(b"x" * (5 << 20)))
    print(len(kept) * 5, flush=True)
    time.sleep(5 / rate)
while not os.path.exists(until):
    time.sleep(0.05)
print("whole", flush=True)
"""
WAYS = ["cgroup", "no cgroup"]


@pytest.fixture
def small() -> Iterator[Small]:
    one = Small("host", 600 * MB)
    yield one
    one.close()


@pytest.fixture
def person(small: Small) -> Iterator[Person]:
    one = Person(small)
    yield one
    one.close()


@pytest.fixture
def host(home: Path, small: Small) -> Iterator[SmallHost]:
    one = SmallHost(home, small)
    (home / "hog.py").write_text(HOG)
    yield one
    one.close()


@pytest.fixture(params=WAYS)
def either(host: SmallHost, request: pytest.FixtureRequest) -> SmallHost:
    """With control groups for its jobs and without."""
    if request.param == "no cgroup":
        host.env["ORCH_NO_CGROUP"] = "1"
    return host


def hog(most: int, rate: int, until: str = "go") -> str:
    """A command that takes ``most`` MB, ``rate`` a second, and holds them until a file appears in the home."""
    return f"{PYTHON} ~/hog.py {most} {rate} ~/{until}"


def supervisor(agent: Agent) -> int:
    return int((agent.root / "live" / "supervisor.lock").read_text().split()[0])


def may_be_spared() -> bool:
    """Whether this system lets us have a process counted as better than others (CAP_SYS_RESOURCE)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return bool(int(next(line.split()[1] for line in lines if line.startswith("CapEff")), 16) & 1 << 24)


def adjustment(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def one_frozen(agent: Agent, young: str, **spec: Any) -> dict[str, Any]:
    """``old`` holds 250 MB and ``young`` grows beside it, until it is frozen; its view."""
    agent.submit("old", hog(250, 1000), mem=260 * MB)
    eventually(lambda: b"250" in agent.log("old"), "the older has its memory")
    agent.submit("young", young, mem=100 * MB, **spec)
    return eventually(lambda: is_frozen(agent), "the younger is frozen")


def is_frozen(agent: Agent, name: str = "young") -> dict[str, Any] | None:
    job: dict[str, Any] = agent.show(name)["job"]
    assert job["state"] in ("PENDING", "RUNNING"), job
    return job if job["frozen"] else None


def test_a_storm_is_frozen_then_killed_and_nobody_else_notices(host: SmallHost, person: Person) -> None:
    host.submit("steady", hog(60, 20), mem=100 * MB)
    host.running("steady")
    keeper = supervisor(host)
    host.submit("storm", hog(5000, 150), mem=50 * MB)
    while not is_frozen(host, "storm"):
        assert person.types("echo I type; ls / > /dev/null") == "I type"
    began = time.monotonic()
    assert host.tmux("list-sessions", "-F", "#{session_name}").split() == ["steady", "storm"]
    assert int(host.tmux("display-message", "-p", "#{pid}")) in host.small.pids()
    person.waits.append(time.monotonic() - began)
    (host.home / "go").touch()  # the steady one ends, and nobody is left but the storm
    while (state := host.show("storm")["job"])["state"] == "RUNNING":
        assert person.types("echo I type; ls / > /dev/null") == "I type"
    assert (state["state"], state["signal"]) == ("OUT_OF_MEMORY", 9)
    assert state["reason"].startswith("the guard killed it: ") and "had reserved 50.0MB" in state["reason"]
    assert state["mem_peak_bytes"] > 300 * MB
    assert host.wait("steady")["state"] == "COMPLETED"
    assert host.small.kills() == 0
    assert max(person.waits) < 5
    assert supervisor(host) == keeper or not Path(f"/proc/{keeper}").exists()


def test_two_storms_of_many_processes_end_and_the_host_lives(either: SmallHost, person: Person) -> None:
    """Twelve processes allocate as fast as they can: too fast, perhaps, for the guard; never for the keepers."""
    either.submit("steady", hog(60, 1000), mem=100 * MB)
    eventually(lambda: b"60" in either.log("steady"), "it has its memory")
    storms = ["storm-one", "storm-two"]
    for name in storms:
        either.submit(name, f"for n in 1 2 3 4 5 6; do {hog(5000, 100000)} & done; wait", mem=50 * MB, tty=False)
    jobs: list[dict[str, Any]] = []
    while not jobs or any(job["state"] in ("PENDING", "RUNNING") for job in jobs):
        assert person.types("echo I type; ls / > /dev/null") == "I type"
        jobs = [either.show(name)["job"] for name in storms]
        if any(job["frozen"] for job in jobs):
            (either.home / "go").touch()  # or we would wait for a minute
    assert max(person.waits) < 5
    assert [job["state"] for job in jobs] == ["OUT_OF_MEMORY"] * 2, jobs
    (either.home / "go").touch()
    steady = either.wait("steady")
    assert steady["state"] == "COMPLETED" or "the kernel" in steady["reason"]


def test_in_a_storm_that_nobody_can_stop_the_kernel_takes_the_job(either: SmallHost, person: Person) -> None:
    """The supervisor cannot act; the kernel does, and is told apart from everybody else who kills."""
    either.submit("steady", hog(60, 1000), mem=100 * MB)
    eventually(lambda: b"60" in either.log("steady"), "it has its memory")
    keeper = supervisor(either)
    either.submit("storm", f"cat; {hog(5000, 10000)}", mem=50 * MB)
    runner = either.running("storm")
    os.kill(keeper, signal.SIGSTOP)
    try:
        either.call("send", job="storm", text="\x04", enter=False)
        storm = either.wait("storm")
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert runner["state"] == "RUNNING"
    assert storm["state"] == "OUT_OF_MEMORY" and "the kernel" in storm["reason"], storm
    assert person.types("echo I type") == "I type"
    (either.home / "go").touch()
    assert either.wait("steady")["state"] == "COMPLETED"


def test_a_frozen_job_is_seen_and_heard(either: SmallHost) -> None:
    """It does nothing, it holds up admission, and TERM reaches it."""
    job = one_frozen(either, f"trap 'echo heard; exit 0' TERM; {hog(5000, 200)} & wait")
    assert job["state"] == "RUNNING" and job["reason"].startswith("frozen: the host has ")
    either.submit("next", "true", mem=1 * MB)
    before = either.log("young")
    held = (either.root / "hold").read_text()
    assert "young.1 is frozen" in held
    time.sleep(0.5)  # it would have written a dozen lines
    assert either.log("young") == before
    waiting = either.show("next")["job"]
    assert (waiting["state"], waiting["reason"]) == ("PENDING", held)
    began = time.monotonic()
    ended = either.call("cancel", jobs=["young"], grace=60)["jobs"][0]
    assert time.monotonic() - began < 30
    assert ended["state"] == "CANCELLED" and not ended["frozen"]
    assert b"heard" in either.log("young")
    assert either.wait("next")["state"] == "COMPLETED"


def test_who_has_left_the_tree_is_frozen_too(either: SmallHost) -> None:
    one_frozen(either, f"(setsid {hog(300, 200)} &); sleep 300")
    said = either.log("young")
    time.sleep(1)
    assert either.log("young") == said
    either.call("cancel", jobs=["young", "old"], grace=0)


def test_a_frozen_job_goes_on_when_there_is_room(either: SmallHost) -> None:
    one_frozen(either, hog(400, 200))
    (either.home / "go").touch()  # the older ends and gives its memory back
    assert either.wait("young")["state"] == "COMPLETED"
    assert either.log("young").endswith(b"whole\r\n")
    assert either.wait("old")["state"] == "COMPLETED"


def test_nobody_stays_frozen_when_the_supervisor_is_killed(either: SmallHost) -> None:
    one_frozen(either, hog(270, 200))
    size = os.path.getsize(either.root.parent / "logs" / "young" / "1.log")
    os.kill(supervisor(either), signal.SIGKILL)
    log = either.root.parent / "logs" / "young" / "1.log"
    eventually(lambda: os.path.getsize(log) > size, "it goes on")  # and nobody has asked for anything
    (either.home / "go").touch()
    assert either.wait("old")["state"] == "COMPLETED"
    assert either.wait("young")["state"] == "COMPLETED"


def test_nobody_stays_frozen_when_all_keepers_are_killed(either: SmallHost) -> None:
    """The next supervisor, who comes with the next question, knows who is frozen."""
    job = one_frozen(either, hog(300, 200), tty=False)  # its terminal would end with its runner
    for pid in (runner_of(either, job["id"]), supervisor(either)):
        os.kill(pid, signal.SIGKILL)
    (either.home / "go").touch()
    young = either.wait("young")
    assert young["state"] == "NODE_FAIL" and "its runner was killed" in young["reason"]
    assert either.log("young").endswith(b"whole\n")


def runner_of(agent: Agent, job_id: str) -> int:
    """As its lock tells."""
    return int(json.loads((agent.root / "live" / f"{job_id}.lock").read_text())["runner"])


@pytest.fixture(params=WAYS)
def plain(agent: Agent, request: pytest.FixtureRequest) -> Agent:
    """A host with memory enough."""
    agent.env = {"ORCH_NO_CGROUP": "1"} if request.param == "no cgroup" else {}
    (agent.home / "hog.py").write_text(HOG)
    return agent


def test_a_job_is_killed_at_its_limit_with_all_its_processes(plain: Agent) -> None:
    plain.submit("greedy", f"sleep 1000 & {hog(1000, 400)}; sleep 30; echo not reached", mem_max=150 * MB)
    greedy = plain.wait("greedy")
    assert greedy["state"] == "OUT_OF_MEMORY", greedy
    assert "its limit" in greedy["reason"] and "150.0MB (--mem-max)" in greedy["reason"]
    assert b"not reached" not in plain.log("greedy") and b"100" in plain.log("greedy")
    assert 130 * MB < greedy["mem_peak_bytes"] < 300 * MB
    (plain.home / "go").touch()
    assert plain.finished("modest", hog(100, 1000), mem_max=150 * MB)["state"] == "COMPLETED"


def test_who_meets_his_limit_has_not_completed(agent: Agent) -> None:
    """Though the command makes nothing of it."""
    (agent.home / "hog.py").write_text(HOG)
    done = agent.finished("greedy", f"{hog(1000, 1000)}; true", mem_max=150 * MB)
    assert done["state"] == "OUT_OF_MEMORY" and "its limit of 150.0MB" in done["reason"], (done, agent.log("greedy"))


def test_an_attempt_that_ran_out_is_followed_by_one_that_reserves_more(plain: Agent) -> None:
    (plain.home / "go").touch()
    job = plain.finished("again", hog(100, 1000), mem_max=60 * MB, retries=1, retry_delay=0)
    assert (job["state"], job["attempt"]) == ("OUT_OF_MEMORY", 2) and "(--mem-max)" in job["reason"], job
    assert job["mem_request_bytes"] >= 85 * MB, plain.show("again")["attempts"]


def test_the_kernel_would_take_a_job_before_its_keepers(agent: Agent) -> None:
    say = "cat /proc/self/oom_score_adj; bash -c 'cat /proc/self/oom_score_adj'; cat"
    job = agent.submit("job", say)
    eventually(lambda: len(agent.log("job").split()) == 2, "it has spoken")
    assert agent.log("job").split() == [b"500", b"500"]
    keepers = [supervisor(agent), runner_of(agent, job["id"])]
    usual = adjustment(os.getpid())
    assert {adjustment(pid) for pid in keepers} == {-500 if may_be_spared() else usual}
    view = eventually(lambda: agent.tmux("display-message", "-p", "-t", "=job:", "#{pid}"), "its view is open")
    assert adjustment(int(view)) == usual


def test_a_job_that_submits_jobs_freezes_none_of_their_keepers(agent: Agent) -> None:
    """What a job starts of ours is in none of its groups, and no likelier to be killed than if a person had."""
    inner = f"{' '.join(agent.argv('submit'))}"
    request = '{"id": "inner", "spec": {"name": "inner", "command": "cat"}}'
    agent.submit("outer", f"cat > /dev/null; echo '{request}' | {inner} > /dev/null; cat", key="outer")
    agent.running("outer")
    os.kill(supervisor(agent), signal.SIGKILL)
    agent.call("send", job="outer", text="\x04", enter=False)
    eventually(lambda: (agent.root / "live" / "inner.lock").exists(), "the job of the job runs")
    keepers = [supervisor(agent), runner_of(agent, "inner")]
    for pid in keepers:
        assert "/outer." not in Path(f"/proc/{pid}/cgroup").read_text()
        assert adjustment(pid) < 500


def ran(pid: int) -> int:
    """How often it has been given up the processor: it grows as long as it runs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def stands_still(pid: int) -> bool:
    before = ran(pid)
    time.sleep(0.1)
    return ran(pid) == before


@pytest.mark.parametrize("hierarchy", ["unified", "freezer"])
def test_either_freezer_freezes_and_thaws(hierarchy: str) -> None:
    folder = Path("/sys/fs/cgroup") / hierarchy / f"orch-freezer-{os.getpid()}"
    folder.mkdir()
    group = cgroup.Group(str(folder))
    child = os.fork()
    if child == 0:
        group.enter()
        while True:
            time.sleep(0.01)
    try:
        assert eventually(group.pids, "it has entered") == [child]
        assert group.freeze()
        eventually(lambda: stands_still(child), "it stands still")
        group.thaw()
        before = ran(child)
        eventually(lambda: ran(child) > before, "it runs again")
    finally:
        group.thaw()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        group.remove()
    assert not folder.exists()


def test_all_that_the_host_has_for_jobs_can_be_asked_for(host: SmallHost) -> None:
    """Though the system's own programs use some of it."""
    with pytest.raises(Refused) as refused:
        host.submit("all", "true", mem=1 << 50)
    most = int(refused.value.hint.split()[-2].rstrip("M")) << 20
    assert host.finished("all", "true", mem=most)["state"] == "COMPLETED"
