"""The machines and links that the tests of ssh stand on are what they say, seen by a plain ssh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.mounts import tmpfs
from tests.support.agent import PYTHON, eventually
from tests.support.disk import PASSWORD, wrong_clock
from tests.support.keys import ssh_key
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine

Machines = Callable[..., Machine]


def ssh(machine: Machine, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        machine.ssh(*words, **changed),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def says(machine: Machine, *words: str, **changed: str) -> str:
    done = ssh(machine, *words, **changed)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def connected(machine: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """A connection that gives back what is sent, and answers nothing by itself."""
    pipe = subprocess.PIPE
    with subprocess.Popen(machine.ssh("echo up; cat"), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"up\n"
        os.set_blocking(process.stdout.fileno(), False)
        yield process
        process.kill()


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin
    process.stdin.write(data)
    process.stdin.flush()


def test_a_machine_is_a_computer_of_its_own(machine: Machine) -> None:
    script = "id -un; id -gn; echo $HOME; pwd; hostname; cat /proc/sys/kernel/random/boot_id; ps -p 1 -o comm="
    me, group, home, cwd, host, boot_id, first = says(machine, script).split()
    assert (me, group, home, cwd, host, first) == ("me", "me", "/home/me", "/home/me", "box", "boot")
    assert boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_files_are_the_accounts_own(machine: Machine) -> None:
    machine.write("some/where/given", "given\n", 0o600)
    assert says(machine, "stat -c '%U %a' some some/where/given; cat some/where/given") == "me 700\nme 600\ngiven"
    says(machine, "echo made >made; echo here >/tmp/only-here")
    assert (machine.home / "made").read_text() == "made\n"
    assert not Path("/tmp/only-here").exists()


def test_its_login_shell_is_chosen(machines: Machines) -> None:
    for shell in ("bash", "zsh", "fish", "dash"):
        assert says(machines(shell=shell), "sh -c 'ps -o comm= -p $PPID'; true") == shell


def test_its_python_is_the_oldest(machine: Machine) -> None:
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    assert says(machine, "python3 -I -S -c 'import sqlite3, ssl, ctypes'; python3 -V") == version
    assert says(machine, "bash -lc 'python3 -V'") == version


def test_what_it_lacks(machines: Machines) -> None:
    bare = machines(python=None, without=["tmux"])
    for program in ("python3", "python", "python3.11", "tmux"):
        done = ssh(bare, f"bash -lc 'command -v {program}'")
        assert (done.returncode, done.stdout) == (1, ""), program
    assert says(bare, "command -v git sed") == "/usr/bin/git\n/usr/bin/sed"


def test_a_reboot_ends_everything_and_keeps_the_disk(machine: Machine) -> None:
    before = machine.run("cat /proc/sys/kernel/random/boot_id; setsid sleep 1000 >kept 2>&1 & touch /tmp/gone").stdout
    eventually(lambda: any(argv == ["sleep", "1000"] for _, argv in machine.processes()), "it sleeps")
    machine.reboot()
    assert machine.run("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert not [argv for _, argv in machine.processes() if argv[0] == "sleep"]
    assert says(machine, "ls; ls -A /tmp") == "kept"


def test_processes_are_seen_and_ended(machine: Machine) -> None:
    machine.run("sleep 1000 'a b' >/dev/null 2>&1 & exec sleep 1001 >/dev/null 2>&1 &", check=False)
    pid = eventually(
        lambda: next((pid for pid, argv in machine.processes() if argv == ["sleep", "1001"]), 0), "it is seen"
    )
    machine.kill(pid)
    eventually(lambda: pid not in dict(machine.processes()), "it is gone")


def test_its_clock_may_be_wrong(machines: Machines) -> None:
    machine = machines(sshd=[wrong_clock(3600)])
    ahead = float(says(machine, "bash -lc 'python3 -c \"import time; print(time.time())\"'")) - time.time()
    assert 3500 < ahead <= 3600


def test_its_disk_may_be_small(machines: Machines, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "1m") as home:
        machine = machines(home=home)
        assert "No space left on device" in ssh(machine, "head -c 2000000 /dev/zero >file").stderr
        machine.close()


def test_its_home_may_be_read_only(machine: Machine) -> None:
    machine.home.chmod(0o555)
    assert "Permission denied" in ssh(machine, "touch file").stderr


def test_sessions_and_connections_are_counted(machine: Machine) -> None:
    assert (machine.sessions(), machine.connections()) == ([], 0)
    control = {"ControlMaster": "auto", "ControlPath": str(machine.home / "c"), "ControlPersist": "yes"}
    says(machine, "true", **control)
    says(machine, "true", **control)
    subprocess.run(machine.ssh("-O", "exit", **control), capture_output=True, check=False)
    subprocess.run(machine.ssh("-tt"), input=b"exit\n", capture_output=True, check=False)
    assert (machine.sessions(), machine.connections()) == (["command", "command", "shell"], 2)


def test_sshd_stops_freezes_and_comes_back(machine: Machine) -> None:
    machine.run("setsid sleep 1000 >/dev/null 2>&1 &")
    with connected(machine) as connection:
        machine.restart_sshd()
        assert connection.wait(30) == 255
    assert says(machine, "pgrep -x sleep")
    with connected(machine) as connection:
        machine.freeze_sshd()
        frozen = ssh(machine, "true", ConnectTimeout="1")
        assert (frozen.returncode, connection.poll()) == (255, None)
        assert "timed out" in frozen.stderr
        machine.thaw_sshd()
        send(connection, b"alive\n")
        eventually(lambda: connection.stdout and connection.stdout.read() == b"alive\n", "it goes on")
    machine.stop_sshd()
    assert "Connection refused" in ssh(machine, "true").stderr


def test_keys_of_hosts_and_of_people(machines: Machines, tmp_path: Path) -> None:
    machine = machines(sshd=["MaxSessions 1"])
    other = str(ssh_key(number=1))
    assert "Permission denied" in ssh(machine, "true", IdentityFile=other).stderr
    machine.authorize(Path(other))
    assert says(machine, "echo in", IdentityFile=other) == "in"
    machine.new_host_key()
    machine.restart_sshd()
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(machine, "true").stderr
    assert "Host key verification failed" in ssh(machine, "true", UserKnownHostsFile=str(tmp_path / "none")).stderr


def test_a_password_is_another_way_in(machines: Machines, tmp_path: Path) -> None:
    machine = machines(password=True)
    assert "Permission denied (publickey,password)" in ssh(machine, "true").stderr
    answers = tmp_path / "answers"
    answers.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    answers.chmod(0o755)
    done = subprocess.run(
        machine.ssh("echo in", BatchMode="no"),
        env={**os.environ, "SSH_ASKPASS": str(answers), "SSH_ASKPASS_REQUIRE": "force"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr


def test_a_cut_link_is_silent_and_mended(link: Link, machines: Machines) -> None:
    machine = machines(link=link)
    with connected(machine) as connection:
        link.cut()
        send(connection, b"lost for a while\n")
        assert "timed out" in ssh(machine, "true", ConnectTimeout="1").stderr
        assert connection.poll() is None
        assert machine.run("pgrep -x cat").stdout  # reached without the link, it knows of nothing
        link.mend()
        eventually(lambda: connection.stdout and connection.stdout.read() == b"lost for a while\n", "it arrives")


def test_an_unplugged_link_is_told_at_once(link: Link, machines: Machines) -> None:
    machine = machines(link=link)
    link.unplug()
    assert "Network is unreachable" in ssh(machine, "true", ConnectTimeout="30").stderr
    link.mend()
    assert says(machine, "echo back") == "back"


def test_a_power_cut_is_silent_until_the_machine_is_back(link: Link, machines: Machines) -> None:
    machine = machines(link=link)
    with connected(machine) as connection:
        machine.power_off()
        send(connection, b"anybody?\n")
        assert "timed out" in ssh(machine, "true", ConnectTimeout="1").stderr
        assert connection.poll() is None
        machine.boot()
        assert connection.wait(30) == 255  # it knows of no such connection
    assert says(machine, "echo back") == "back"


def test_a_delay_is_there(links: Callable[..., Link], machines: Machines) -> None:
    """Connecting takes one round trip; sixteen megabytes take many, and arrive whole."""
    link = links(0.04)
    machine = machines(link=link)
    script = f"import socket; socket.create_connection(('{link.far}', 22)).close()"
    began = time.monotonic()
    subprocess.run(link.here([sys.executable, "-I", "-S", "-c", script]), check=True)
    assert time.monotonic() - began >= 0.08
    machine.run("head -c 16000000 /dev/urandom >data")
    arrived = subprocess.run(machine.ssh("cat data"), capture_output=True, check=True).stdout
    assert arrived == (machine.home / "data").read_bytes()


def test_links_side_by_side_are_cut_one_by_one(links: Callable[..., Link], machines: Machines) -> None:
    first = links()
    second = links(beside=first)
    one, other = machines("one", link=first), machines("other", link=second)
    first.cut()
    assert says(other, "hostname") == "other"
    assert "timed out" in ssh(one, "true", ConnectTimeout="1").stderr


def test_a_laptop_ends_its_masters(link: Link, machines: Machines, laptop: Callable[..., Laptop]) -> None:
    machine = machines(link=link)
    one, other = laptop(machine), laptop(machine)
    masters = []
    for mine in (one, other):
        control = {"ControlPath": str(mine.runtime / "s")}
        says(machine, "true", ControlMaster="auto", ControlPersist="yes", **control)
        masters.append(int(re.findall(r"pid=(\d+)", ssh(machine, "-O", "check", **control).stderr)[0]))
    link.cut()
    one.freeze()
    assert [one.processes(), other.processes()] == [[pid] for pid in masters]
    one.close()
    assert (one.processes(), one.home.exists()) == ([], False)
    assert other.processes() == masters[1:]


def test_nothing_outlives_the_tests(tmp_path: Path) -> None:
    """Not even those that are killed."""
    script = """
import os, signal, sys, tempfile
sys.path.insert(0, os.getcwd())
from tests.support import keys, link, machine, root
road = link.Link(0.001)
box = machine.Machine(link=road)
box.boot()
print(*(held.pid for held in root.Held.living), box.home.parent, keys.ssh_key().parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    *pids, place, keys = done.stdout.split() or [done.stderr]
    assert len(pids) == 4, done.stderr
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all are gone")
    for directory in (place, keys):
        shutil.rmtree(directory)
