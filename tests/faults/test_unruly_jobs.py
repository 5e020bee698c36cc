"""Jobs that misbehave: nothing of them is left when they are over, nothing they wrote is lost."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, eventually

DAEMONS = {
    "background": "{ANYTHING} &",
    "nohup": "nohup {ANYTHING} >/dev/null 2>&1 &",
    "disown": "{ANYTHING} & disown -a",
    "setsid twice, bare environment": "(setsid setsid env -i {ANYTHING} >/dev/null 2>&1 </dev/null &) &",
    "python": (
        "python3 -c 'import subprocess, sys; n = subprocess.DEVNULL;"
        " subprocess.Popen(sys.argv[1:], stdin=n, stdout=n, stderr=n, start_new_session=True, env={{}})' {ANYTHING}"
    ),
    "python, forked twice": (
        "python3 -c 'import os, sys\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "os.closerange(0, 1000)\nos.execve(sys.argv[1], sys.argv[1:], {{}})' {ANYTHING}"
    ),
    "node": (
        'node -e \'require("child_process").spawn(process.argv[1], process.argv.slice(2),'
        ' {{detached: true, stdio: "ignore", env: {{}}}}).unref()\' {ANYTHING}'
    ),
}
TERM_IS_NOTHING = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "


@pytest.fixture(params=["cgroup", "no cgroup"])
def agent(request: pytest.FixtureRequest, agent: Agent) -> Iterator[Agent]:
    """With the control groups that this machine gives us, and without."""
    agent.env = {"ORCH_NO_CGROUP": "1"} if request.param == "no cgroup" else {}
    yield agent


def alive(word: str) -> list[int]:
    """Processes with this word on their command line, ourselves excepted; zombies have none."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0"):
                found.append(int(entry))
        except OSError:
            continue
    return found


class Sleeper:
    """A program that sleeps for long and can be found by a word of its own; ended with the test."""

    def __init__(self, home: Path) -> None:
        self.word = f"asleep-{os.urandom(6).hex()}"
        self.pids = home / "pids"
        self.script = home / "sleeper.py"
        self.script.write_text(
            f"import os, time\nwith open({str(self.pids)!r}, 'a') as f: f.write('%d\\n' % os.getpid())\n"
            "time.sleep(300)\n"
        )

    def __str__(self) -> str:
        return f"{sys.executable} -S {self.script} {self.word}"

    def started(self, how_many: int = 1) -> list[int]:
        """Wait until it runs."""
        eventually(lambda: self.pids.exists() and self.pids.read_text().count("\n") >= how_many, "the daemon runs")
        return [int(line) for line in self.pids.read_text().split()]


@pytest.fixture
def sleeper(home: Path) -> Iterator[Sleeper]:
    one = Sleeper(home)
    yield one
    for pid in alive(one.word):
        os.kill(pid, signal.SIGKILL)


def daemonise(how: str, sleeper: Sleeper) -> str:
    """The command, which ends only after its daemon is there."""
    return DAEMONS[how].format(ANYTHING=sleeper) + f"\nuntil [ -s {sleeper.pids} ]; do sleep 0.02; done"


@pytest.mark.parametrize("how", DAEMONS)
def test_what_a_job_leaves_behind_is_ended_with_it(agent: Agent, sleeper: Sleeper, how: str) -> None:
    job = agent.finished("leaves", daemonise(how, sleeper))
    assert sleeper.pids.exists()
    assert alive(sleeper.word) == []
    assert (job["state"], job["exit_code"]) == ("COMPLETED", 0)


@pytest.mark.parametrize("how", DAEMONS)
def test_cancel_takes_the_daemons_along(agent: Agent, sleeper: Sleeper, how: str) -> None:
    agent.submit("daemons", daemonise(how, sleeper) + "; sleep 300")
    sleeper.started()
    job = agent.call("cancel", jobs=["daemons"], grace=5)["jobs"][0]
    assert alive(sleeper.word) == []
    assert job["state"] == "CANCELLED"


@pytest.mark.parametrize("how", ["nohup", "python", "node", "setsid twice, bare environment"])
def test_kept_children_are_kept(agent: Agent, sleeper: Sleeper, how: str) -> None:
    job = agent.finished("keeps", daemonise(how, sleeper), keep_children=True)
    assert (job["state"], job["reason"]) == ("COMPLETED", None)
    assert alive(sleeper.word) == sleeper.started()
    # They keep the name from nobody.
    assert agent.finished("keeps", "true")["state"] == "COMPLETED"
    assert alive(sleeper.word) == sleeper.started()


def test_cancel_takes_kept_children_too(agent: Agent, sleeper: Sleeper) -> None:
    agent.submit("keeps", daemonise("python", sleeper) + "; sleep 300", keep_children=True)
    sleeper.started()
    agent.call("cancel", jobs=["keeps"], grace=5)
    assert alive(sleeper.word) == []


def test_a_polite_survivor_is_asked_first(agent: Agent) -> None:
    """TERM comes before KILL, and its last words are in the log."""
    program = (
        "import signal, sys, time\n"
        "def last(*_):\n    open('farewell', 'w').write('asked'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, last); open('ready', 'w'); time.sleep(300)"
    )
    (agent.home / "polite.py").write_text(program)
    job = agent.finished("polite", "setsid python3 polite.py & until [ -e ready ]; do sleep 0.02; done; exit 3")
    assert (agent.home / "farewell").read_text() == "asked"
    assert (job["state"], job["exit_code"]) == ("FAILED", 3)
    assert "1 process" in job["reason"]


def test_a_deaf_survivor_gets_five_seconds_then_kill(agent: Agent, sleeper: Sleeper) -> None:
    sleeper.script.write_text(TERM_IS_NOTHING + sleeper.script.read_text())
    began = time.monotonic()
    job = agent.finished("deaf", daemonise("python", sleeper))
    assert 5 <= time.monotonic() - began < 15
    assert (job["state"], alive(sleeper.word)) == ("COMPLETED", [])


def test_a_job_that_ignores_term_is_killed_after_the_grace(agent: Agent) -> None:
    agent.submit("deaf", f"exec python3 -c {shlex.quote(TERM_IS_NOTHING + 'time.sleep(300)')}")
    eventually(lambda: b"deaf" in agent.log("deaf"), "it ignores TERM")
    began = time.monotonic()
    job = agent.call("cancel", jobs=["deaf"], grace=1)["jobs"][0]
    assert 1 <= time.monotonic() - began < 8
    assert (job["state"], job["signal"]) == ("CANCELLED", signal.SIGKILL)


def test_a_second_cancel_may_shorten_the_grace(agent: Agent) -> None:
    agent.submit("deaf", f"exec python3 -c {shlex.quote(TERM_IS_NOTHING + 'time.sleep(300)')}")
    eventually(lambda: b"deaf" in agent.log("deaf"), "it ignores TERM")
    first = agent.popen("cancel", {"jobs": ["deaf"], "grace": 100})
    eventually((agent.root / "jobs" / agent.show("deaf")["job"]["id"] / "cancel").exists, "the first has asked")
    began = time.monotonic()
    assert agent.call("cancel", jobs=["deaf"], grace=0)["jobs"][0]["state"] == "CANCELLED"
    assert time.monotonic() - began < 8
    assert b'"CANCELLED"' in first.communicate(timeout=20)[0]


@pytest.mark.parametrize("how", ["kill -STOP $$", "python3 -c 'import os, time; os.kill(0, 19); time.sleep(300)'"])
def test_a_job_that_stops_itself_can_be_cancelled(agent: Agent, how: str) -> None:
    """A stopped process hears no TERM; it is woken to hear it, so it needs no KILL."""
    agent.submit("stopped", f"trap 'echo heard; exit' TERM; echo going; {how}; sleep 300")
    eventually(lambda: b"going" in agent.log("stopped"), "it is about to stop")
    began = time.monotonic()
    job = agent.call("cancel", jobs=["stopped"], grace=20)["jobs"][0]
    assert time.monotonic() - began < 15
    assert (job["state"], job["signal"]) == ("CANCELLED", None)
    assert b"heard" in agent.log("stopped")


@pytest.mark.parametrize("grace", [0, 1])
def test_a_fork_storm_does_not_outrun_cancel(agent: Agent, home: Path, grace: int) -> None:
    """Processes that live for a moment and leave a child each; they give up by themselves after a minute."""
    word = f"storm-{os.urandom(6).hex()}"
    (home / "storm.py").write_text(
        TERM_IS_NOTHING + "import os, sys\nend = time.time() + 60\nfor _ in range(8):\n    if os.fork() == 0: break\n"
        "print('raging', flush=True)\n"
        "while time.time() < end:\n"
        "    if os.fork(): os._exit(0)\n"
        "    time.sleep(0.002)\n"
    )
    agent.submit("storm", f"python3 -S storm.py {word} & python3 -S storm.py {word} & wait; sleep 300")
    eventually(lambda: agent.log("storm").count(b"raging") > 4, "it rages")
    began = time.monotonic()
    job = agent.call("cancel", jobs=["storm"], grace=grace)["jobs"][0]
    assert time.monotonic() - began < 30
    assert job["state"] == "CANCELLED"
    assert alive(word) == []


def test_a_growing_tree_does_not_outrun_cancel(agent: Agent, home: Path) -> None:
    word = f"tree-{os.urandom(6).hex()}"
    (home / "grow.py").write_text(
        "import os, time\nend = time.time() + 60\nfor _ in range(60):\n"
        "    if os.fork() == 0:\n        os.setsid()\n        time.sleep(300)\n    time.sleep(0.005)\n"
        "print('grown', flush=True)\ntime.sleep(300)\n"
    )
    agent.submit("grow", f"python3 -S grow.py {word}")
    eventually(lambda: len(alive(word)) > 10, "it grows")
    agent.call("cancel", jobs=["grow"], grace=0)
    assert alive(word) == []


# Jobs and tmux


@pytest.mark.parametrize("server", ["-L private", "-S ./sock", ""], ids=["-L", "-S", "default"])
def test_a_job_may_start_a_tmux_of_its_own(agent: Agent, server: str) -> None:
    """A server that only this job needed ends with it; the person's server does not."""
    agent.tmux("new-session", "-d", "-s", "mine", "sleep 300")
    job = agent.finished("tmux", f"tmux {server} new-session -d -s inner 'sleep 300' && tmux {server} ls")
    assert (job["state"], job["exit_code"]) == ("COMPLETED", 0), agent.log("tmux")
    assert b"inner: 1 windows" in agent.log("tmux")
    assert "mine" in agent.tmux("list-sessions")
    if server:
        assert alive("inner") == [], "its server lives on"


def test_the_views_of_other_jobs_outlive_the_job_that_opened_them(agent: Agent) -> None:
    """A job that submits a job may be the one that starts the person's tmux server. It is not the job's."""
    request = '{"id": "inner", "spec": {"name": "inner", "command": "sleep 300"}}'
    command = shlex.join(["sh", "-c", f"echo '{request}' | {shlex.join(agent.argv('submit'))}"])
    agent.submit("outer", f"until [ -e go ]; do sleep 0.02; done; {command}")
    agent.running("outer")
    eventually(lambda: "outer" in agent.tmux("list-sessions"), "the view is open")
    agent.tmux("kill-server")
    (agent.home / "go").touch()
    assert agent.wait("outer")["exit_code"] == 0
    agent.running("inner")
    eventually(lambda: "inner" in agent.tmux("list-sessions"), "the view of inner went with outer")


@pytest.mark.parametrize("end", ["by itself", "cancelled"])
def test_jobs_that_a_job_submits_outlive_it(agent: Agent, end: str) -> None:
    request = '{"id": "inner", "spec": {"name": "inner", "command": "until [ -e done ]; do sleep .02; done; exit 5"}}'
    command = f"echo {shlex.quote(request)} | {shlex.join(agent.argv('submit'))}"
    agent.submit("outer", command + ("; sleep 300" if end == "cancelled" else ""))
    agent.running("outer") if end == "cancelled" else agent.wait("outer")
    eventually(lambda: any(job["name"] == "inner" for job in agent.call("status")["jobs"]), "inner is accepted")
    agent.running("inner")
    if end == "cancelled":
        agent.call("cancel", jobs=["outer"], grace=2)
    outer = agent.show("outer")["job"]
    assert outer["state"] == ("CANCELLED" if end == "cancelled" else "COMPLETED")
    assert outer["reason"] == ("cancelled" if end == "cancelled" else None)
    (agent.home / "done").touch()
    inner = agent.wait("inner")
    assert (inner["state"], inner["exit_code"]) == ("FAILED", 5)


# Output


def test_bytes_of_every_kind_are_kept(agent: Agent) -> None:
    """All 256, invalid UTF-8, escapes; the terminal adds its carriage returns and nothing else."""
    data = bytes(range(256)) * 40 + b"\x1b[31mred\x1b[0m\x1b]0;title\x07\xff\xfe\xc3\x28" + b"\x1b[?1049h\x1b[2J"
    (agent.home / "data").write_bytes(data)
    agent.finished("bytes", "cat data")
    assert agent.log("bytes") == data.replace(b"\n", b"\r\n")
    agent.finished("raw", "cat data", tty=False)
    assert agent.log("raw") == data


@pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])
def test_ten_megabytes_on_one_line(agent: Agent, tty: bool) -> None:
    agent.finished("line", "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end", tty=tty)
    log = agent.log("line").replace(b"\r\n", b"\n")
    assert (len(log), log[-6:], set(log[:-6])) == (10_000_005, b"x\nend\n", {ord("x")})
    assert agent.log("line", tail=1).strip() == b"end"
    assert len(agent.show("line")["log_tail"]) <= 10_000


@pytest.mark.parametrize("last", ["", "\n", "no newline", "\x1b[0m"])
def test_the_last_bytes_before_the_end_are_kept(agent: Agent, last: str) -> None:
    """A burst, then the end at once, ten times: the end of a terminal is where bytes get lost."""
    (agent.home / "burst.py").write_text(
        f"import os\ndata = b'x' * 60000 + {last.encode()!r}\n"
        "while data: data = data[os.write(1, data):]\nos._exit(7)\n"
    )
    for _ in range(10):
        job = agent.finished("burst", "exec python3 -S burst.py")
        log = agent.log(f"burst.{job['run']}")
        assert (len(log), job["exit_code"]) == (60000 + len(last.replace("\n", "\r\n")), 7)
        assert log.endswith(last.replace("\n", "\r\n").encode())
