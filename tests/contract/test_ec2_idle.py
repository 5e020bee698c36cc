"""What stops an idle machine of EC2: its signs of use are real locks, terminals, sessions of sshd and a real agent."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from orch.providers.ec2 import template
from orch.providers.ec2.shape import Shape
from tests.support.agent import Agent, eventually, is_unsupervised
from tests.support.al2023 import INSTANCE, AmazonLinux

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is a machine of Linux namespaces")
LIMIT, MINUTE, HOUR = 1800.0, 60.0, 3600.0
PROGRAM = Path(template.__file__).with_name("idle.py")


def hold(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


# In a place of its own: the program's constants lead there, and all else is as it is


class Place:
    """A machine that was made ready and used last a day ago, with a limit of 30 minutes."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = importlib.util.spec_from_file_location("idle", PROGRAM)
        assert spec and spec.loader
        self.program: Any = importlib.util.module_from_spec(spec)
        assert isinstance(self.program, ModuleType)
        spec.loader.exec_module(self.program)
        self.path = path
        for name in ("HOME", "HOST", "LIMIT", "READY", "LOOKED", "USED", "LOG", "LOGINS"):
            setattr(self.program, name, str(path / name.lower()))
        self.program.TERMINALS = str(path / "no terminal")
        self.program.POWEROFF = ["touch", str(path / "off")]
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(self.program, "processes", dict)  # somebody may be logged in where the tests run
        self.booted(24 * HOUR)
        self.stub("aws", 'echo "$@" >>"$0.calls"')
        monkeypatch.setenv("PATH", f"{path / 'bin'}:{os.environ['PATH']}")
        (path / "limit").write_text(f"{LIMIT:.0f}\n")
        (path / "host").write_text("name=box\nregion=eu-west-1\nlog_group=/orch/box\ninstance_id=i-1\n")
        self.ago("ready", 24 * HOUR)
        self.ago("looked", MINUTE)

    def booted(self, seconds: float) -> None:
        """It has been up for so long."""
        clocks = {"time": time.time, "strftime": time.strftime, "gmtime": time.gmtime}
        up = SimpleNamespace(CLOCK_BOOTTIME=0, clock_gettime=lambda _: seconds, **clocks)
        self.monkeypatch.setattr(self.program, "time", up)

    def stub(self, name: str, lines: str) -> None:
        (self.path / "bin").mkdir(exist_ok=True)
        (self.path / "bin" / name).write_text(f"#!/bin/sh\n{lines}\n")
        (self.path / "bin" / name).chmod(0o755)

    def ago(self, name: str, seconds: float) -> None:
        then = time.time() - seconds
        (self.path / name).touch()
        os.utime(self.path / name, (then, then))

    def stops(self) -> bool:
        """Look once."""
        self.program.main()
        return (self.path / "off").exists()

    def log(self) -> list[dict[str, str]]:
        file = self.path / "log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def calls(self) -> list[str]:
        file = self.path / "bin/aws.calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_an_idle_machine_stops_and_says_why_before(place: Place) -> None:
    place.ago("used", LIMIT + 20)
    assert place.stops()
    [line] = place.log()
    assert (line["event"], line["why"]) == ("stopped", "30 min idle")
    assert abs(time.time() - time.mktime(time.strptime(line["at"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < MINUTE
    [call] = place.calls()
    head = (
        "--region eu-west-1 logs put-log-events --log-group-name /orch/box --log-stream-name i-1/machine --log-events "
    )
    assert call.startswith(head)
    [event] = json.loads(call[len(head) :])
    assert json.loads(event["message"]) == line
    assert abs(event["timestamp"] / 1000 - time.time()) < MINUTE


@pytest.mark.parametrize(("name", "seconds"), [("used", LIMIT - 20), ("ready", LIMIT - 20), ("logins", LIMIT - 20)])
def test_a_sign_of_use_that_is_young_enough_keeps_it(place: Place, name: str, seconds: float) -> None:
    place.ago(name, seconds)
    assert not place.stops()
    place.ago(name, LIMIT + 20)
    assert place.stops()


def test_a_boot_is_a_sign_of_use(place: Place) -> None:
    place.booted(LIMIT - 20)
    assert not place.stops()
    place.booted(LIMIT + 20)
    assert place.stops()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, None])
def test_what_was_while_nobody_looked_counts_as_use(place: Place, seconds: float | None) -> None:
    """A resume, a leap of the clock to either side, the first look since the boot."""
    if seconds is None:
        (place.path / "looked").unlink()
    else:
        place.ago("looked", seconds)
    assert not place.stops()
    place.ago("looked", MINUTE)
    assert not place.stops()  # and not for that look only
    place.ago("used", LIMIT + 20)
    assert place.stops()


def test_signs_from_the_future_are_none(place: Place) -> None:
    place.ago("used", -24 * HOUR)
    assert place.stops()


@pytest.mark.parametrize(
    ("said", "limit"),
    [("60", 60), ("0", 0), ("1800\n", 1800), (None, 1800), ("", 1800), ("never", 1800), ("-5", 1800), ("²", 1800)],
)
def test_how_long_it_waits(place: Place, said: str | None, limit: int) -> None:
    (place.path / "limit").unlink() if said is None else (place.path / "limit").write_text(said)
    assert place.program.idle_limit() == limit
    place.ago("used", limit + 20)
    assert place.stops() == bool(limit)


@pytest.mark.parametrize("said", ["0", "60"])
def test_what_was_never_made_ready_stops_later(place: Place, said: str) -> None:
    (place.path / "limit").write_text(said)
    (place.path / "ready").unlink()
    place.ago("used", 20 * MINUTE)
    assert not place.stops()
    place.ago("used", 40 * MINUTE)
    assert place.stops()


@pytest.mark.parametrize("name", ["supervisor.lock", "0123456789abcdef.lock", "0123456789abcdef.adopt"])
def test_a_held_lock_keeps_it(place: Place, name: str) -> None:
    lock = place.path / "home/.orch/live" / name
    fd = hold(lock)
    assert not place.stops()
    place.ago("used", 24 * HOUR)
    assert not place.stops()
    os.close(fd)
    assert not place.stops()  # it was in use a moment ago
    place.ago("used", LIMIT + 20)
    assert place.stops()


def test_what_is_no_lock_of_somebody_who_lives_keeps_nothing(place: Place) -> None:
    live = place.path / "home/.orch/live"
    held = hold(live / "0.lock.123")  # on its way into place
    (live / "left.lock").touch()
    (live / "directory.lock").mkdir()
    os.mkfifo(live / "pipe.lock")
    other = hold(place.path / "elsewhere")
    (live / "link.lock").symlink_to(place.path / "elsewhere")
    before = sorted(os.listdir(live))
    assert place.stops()
    assert sorted(os.listdir(live)) == before
    os.close(held)
    os.close(other)


def test_keys_typed_at_a_terminal_count_and_a_forgotten_shell_does_not(place: Place) -> None:
    keyboard, terminal = os.openpty()
    try:
        place.program.TERMINALS = os.ttyname(terminal)
        assert not place.stops()  # it was opened just now
        os.utime(terminal, (time.time() - LIMIT + 20,) * 2)
        assert not place.stops()
        os.utime(terminal, (time.time() - LIMIT - 20,) * 2)
        os.write(keyboard, b"ls\n")
        assert os.read(terminal, 9) == b"ls\n"
        assert not place.stops()
        os.utime(terminal, (time.time() - LIMIT - 20,) * 2)
        os.write(terminal, b"a program that prints is nobody who types\n")
        assert place.stops()
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_who_comes_at_the_last_moment_keeps_it(place: Place) -> None:
    lock = place.path / "home/.orch/live/1.lock"
    held: list[int] = []
    note = place.program.note

    def noted(event: str, why: str) -> None:
        note(event, why)
        if not held:
            held.append(hold(lock))

    place.monkeypatch.setattr(place.program, "note", noted)
    assert not place.stops()
    assert [line["event"] for line in place.log()] == ["stopped", "stays"]
    assert len(place.calls()) == 2
    os.close(*held)


@pytest.mark.parametrize("ill", ["sleep 60", "exit 1", "kill -9 $$"])
def test_a_log_that_cannot_be_reached_stops_no_stop(place: Place, ill: str) -> None:
    place.program.PATIENCE = 0.2
    place.stub("aws", f'echo "$@" >>"$0.calls"; {ill}')
    place.program.LOG = "/dev/full"
    assert place.stops()
    assert [call.split()[3] for call in place.calls()] == ["put-log-events", "create-log-stream", "put-log-events"]


def test_without_any_aws_it_stops(place: Place) -> None:
    (place.path / "bin/aws").unlink()
    place.monkeypatch.setenv("PATH", "/bin:/usr/bin")
    (place.path / "host").unlink()
    assert place.stops()


def test_an_agent_at_work_keeps_it_and_its_end_lets_it_go(place: Place, agent: Agent) -> None:
    place.program.HOME = str(agent.home)
    agent.submit("one", "read line")
    agent.running("one")
    place.ago("used", 24 * HOUR)
    assert not place.stops()
    agent.call("cancel", jobs=["one"])
    eventually(lambda: is_unsupervised(agent.root), "all has ended")
    place.ago("used", LIMIT + 20)
    assert not place.stops()  # somebody gave a command just now
    os.utime(agent.root / "used", (0, 0))
    assert place.stops()


# On a machine that user data has made


@contextmanager
def ready(**options: Any) -> Iterator[AmazonLinux]:
    one = AmazonLinux(**options)
    try:
        one.boot()
        assert one.cloud_init(template.bootstrap(Shape("box"), "eu-west-1")).returncode == 0
        # Two seconds, for the kernel may not have been up for long.
        one.run("echo 2 >/etc/orch/idle_stop; rm /var/log/calls", user="root")
        yield one
    finally:
        one.close()


@pytest.fixture
def machine() -> Iterator[AmazonLinux]:
    with ready() as one:
        yield one


SIGNS = "/run/orch-used /etc/orch/ready /var/log/wtmp $(find /home/ec2-user/.orch -maxdepth 1)"
AGED = f"touch -d '30 min ago' {SIGNS}; touch /run/orch-looked"


def looked(machine: AmazonLinux, script: str = "") -> bool:
    """All that was is long ago, but what is now: what the timer does then, by a Python as old as a real one's."""
    machine.run(f"{AGED}; {script or ':'}; python3 -I /usr/local/sbin/orch-idle", user="root")
    return machine.calls("systemctl") == [["systemctl", "poweroff"]]


def test_a_machine_stops_itself(machine: AmazonLinux) -> None:
    assert looked(machine)
    put = machine.calls("aws")[0]
    assert put[1:5] == ["--region", "eu-west-1", "logs", "put-log-events"]
    assert f"{INSTANCE}/machine" in put and "/orch/box" in put
    assert '"event": "stopped"' in machine.path("/var/log/orch-idle.log").read_text()


class Session:
    """An ssh that stays, with or without a terminal."""

    def __init__(self, machine: AmazonLinux, *words: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(machine.ssh(*words), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def says(self, word: bytes) -> None:
        assert self.process.stdout
        eventually(lambda: word in self.process.stdout.readline(), "it is there")  # type: ignore[union-attr]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def gone(machine: AmazonLinux) -> Callable[[], bool]:
    """Whether nobody is logged in any more."""
    return lambda: not [argv for _, argv in machine.processes() if "@" in argv[0]]


@pytest.mark.parametrize("command", ["echo up; exec cat", "setsid -w sh -c 'echo up; sleep 100 & wait'"])
def test_a_command_sent_by_ssh_keeps_it(machine: AmazonLinux, command: str) -> None:
    with Session(machine, command) as session:
        session.says(b"up")
        assert not looked(machine)
    machine.run("pkill -x sleep; true", user="root")
    eventually(gone(machine), "the session has ended")
    assert looked(machine)


def test_a_copy_that_goes_on_keeps_it(machine: AmazonLinux) -> None:
    with Session(machine, "-s", "sftp"):
        eventually(lambda: any("sftp-server" in argv[0] for _, argv in machine.processes()), "it copies")
        assert not looked(machine)
    eventually(gone(machine), "the session has ended")
    assert looked(machine)


def test_a_copy_by_sshds_own_sftp_keeps_it() -> None:
    with ready(sshd=["ForceCommand internal-sftp"]) as machine, Session(machine, "-s", "sftp"):
        eventually(lambda: any("@internal-sftp" in argv[0] for _, argv in machine.processes()), "it copies")
        assert not looked(machine)


@pytest.mark.parametrize(
    "command",
    [
        "exec sh -c 'echo; echo =orch=; echo up; cat'",  # a verb of the agent, on its way
        "python3 -I -S ~/.orch/agent-1/wait.py",
        "nohup sh -c 'echo up; exec sleep 100' </dev/null & sleep 0.1",  # what stays behind is nobody's session
    ],
)
def test_who_only_watches_keeps_nothing(machine: AmazonLinux, command: str) -> None:
    machine.write(".orch/agent-1/wait.py", "import sys; print('up', flush=True); sys.stdin.read()\n")
    with Session(machine, command) as session:
        session.says(b"up")
        eventually(lambda: not any(argv[-1] == "0.1" for _, argv in machine.processes()), "only that is there")
        assert looked(machine)


def test_a_forgotten_terminal_keeps_nothing_and_who_types_does(machine: AmazonLinux) -> None:
    with Session(machine, "-tt", "echo up; exec cat") as session:
        session.says(b"up")
        assert not looked(machine)  # it was opened just now
        old = "touch -a -d '1 day ago' /dev/pts/[0-9]*"
        assert session.process.stdin
        session.process.stdin.write(b"x\n")
        session.process.stdin.flush()
        session.says(b"x")
        session.says(b"x")  # typed, and read
        assert not looked(machine)
        assert looked(machine, old)


def ask(machine: AmazonLinux, agent: str) -> None:
    machine.write(".orch/agent/__main__.py", agent)


ILL = {
    "it fails": "raise SystemExit(3)",
    "it says nothing": "",
    "it says something else": "print([1])",
    "it crashes": "import os; os.abort()",
    "its nesting is deep": "print('[' * 100000)",
}


@pytest.mark.parametrize("ill", ILL)
def test_a_broken_agent_keeps_no_machine(machine: AmazonLinux, ill: str) -> None:
    ask(machine, ILL[ill])
    assert looked(machine)


def test_an_agent_that_hangs_is_waited_for_and_no_longer(machine: AmazonLinux) -> None:
    ask(machine, "import time; time.sleep(1000)")
    machine.run("sed -i 's/^PATIENCE = .*/PATIENCE = 0.5/' /usr/local/sbin/orch-idle", user="root")
    assert looked(machine)
    assert not [argv for _, argv in machine.processes() if argv[0] == "python3"]


@pytest.mark.parametrize("said", [{"busy": True, "idle_seconds": None}, {"busy": False, "idle_seconds": 1.0}])
def test_the_agents_word_counts_where_the_kernel_sees_nothing(machine: AmazonLinux, said: dict[str, Any]) -> None:
    ask(machine, f"import json; print(json.dumps({said!r}))")
    assert not looked(machine)
    # For an hour, no longer: a ledger, or its clock, may be wrong, and a supervisor would hold its lock.
    assert looked(machine, "sed -i 's/^DOUBT = .*/DOUBT = 1/' /usr/local/sbin/orch-idle")


def test_whom_the_agent_starts_can_find_its_owners_systemd(machine: AmazonLinux) -> None:
    """And is not ended with the timer's service where there is none."""
    ask(machine, "import json, os; print(json.dumps(dict(os.environ, uid=os.getuid())), file=open('/tmp/asked', 'w'))")
    looked(machine)
    found = json.loads(machine.run("cat /tmp/asked").stdout)
    uid = int(machine.run("id -u").stdout)
    assert (found["uid"], found["HOME"]) == (uid, "/home/ec2-user")
    assert found["XDG_RUNTIME_DIR"] == f"/run/user/{uid}"
    assert "KillMode=process" in machine.run("cat /etc/systemd/system/orch-idle.service").stdout


def test_the_agent_is_asked_as_its_owner_and_leaves_nothing_of_roots(machine: AmazonLinux) -> None:
    agent = Agent(machine.home, python="python3")
    os.symlink(agent.directory.name, machine.home / ".orch/agent")
    machine.run("chown -hR ec2-user: /home/ec2-user/.orch", user="root")
    assert not looked(machine, "touch /home/ec2-user/.orch/agent-test")  # it came just now
    assert looked(machine)
    assert machine.run("find /home/ec2-user ! -user ec2-user", user="root").stdout == ""
    assert (machine.home / ".orch/ledger.db").exists()  # which its owner was made to open
