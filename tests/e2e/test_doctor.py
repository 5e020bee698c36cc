"""What doctor says of real machines, each with one thing that is wrong, and whether its mends mend."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import eventually
from tests.support.cli import Orch
from tests.support.disk import PASSWORD, wrong_clock
from tests.support.keys import ssh_key
from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal

STUB = """#!/bin/sh
echo "$@" >asked
printf '#!/bin/sh\\necho tmux 3.3a\\n' >bin/tmux
chmod +x bin/tmux
"""
"""In the place of sudo, whatever it is asked to install."""

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]

WAY = ["connection", "host key", "keys", "sessions"]
HOST = ["agent", "python", "tmux", "shell", "logout", "directory", "disk", "ledger"]
HOST += ["machine", "restart", "memory", "clock"]


def told(orch: Orch, *words: str, host: str = "box") -> dict[str, dict[str, Any]]:
    """The checks of a host, by name."""
    done = orch("doctor", "--json", *words)
    found = {one["name"]: one["checks"] for one in done.json["hosts"]}
    failed = any(check["state"] == "failed" for checks in found.values() for check in checks)
    assert done.status == int(failed), done.err
    return {check["name"]: check for check in found[host]}


def wrong(orch: Orch, *words: str) -> dict[str, str]:
    """What is not fine, by name: the state, what it says, what mends it."""
    checks = told(orch, *words).values()
    assert all(check["mend"] for check in checks if check["state"] in ("warning", "failed"))
    return {one["name"]: f"{one['state']}: {one['says']}: {one['mend']}" for one in checks if one["state"] != "ok"}


def test_a_machine_that_has_everything(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    checks = told(mine)
    assert list(checks) == WAY + HOST and {one["state"] for one in checks.values()} == {"ok"}
    assert checks["sessions"]["says"].startswith("10 at once")
    text = mine("doctor", "box")
    assert text.status == 0 and text.out.startswith("box\n  ok       connection  me@127.0.0.1, ")
    sockets = [path.name for path in (mine.runtime / "orch").iterdir() if path.is_socket()]
    assert len(sockets) == 1 and sockets[0].endswith(".0")  # only the lane is left


def test_this_machine(orch: Orch) -> None:
    checks = told(orch, host="local")
    assert list(checks) == [name for name in HOST if name not in ("shell", "clock")]
    assert checks["agent"]["state"] == checks["python"]["state"] == "ok"


def test_a_machine_without_python_and_one_without_tmux(machines: Machines, laptop: Laptops) -> None:
    mine = laptop(machines(python=None), machines("bare", without=["tmux"]))
    assert "no Python 3.9" in told(mine)["agent"]["says"]
    assert told(mine)["agent"]["mend"] == "orch ssh box -- sudo apt-get install -y python3"
    tmux = told(mine, host="bare")["tmux"]
    assert (tmux["state"], tmux["mend"]) == ("warning", "orch ssh bare -- sudo apt-get install -y tmux")


def test_fix_installs_what_is_missing(machines: Machines, laptop: Laptops) -> None:
    machine = machines(without=["tmux", "sudo"])
    mine = laptop(machine)
    assert list(wrong(mine, "--fix", "--yes")) == ["tmux"]  # there is nothing to become root by
    machine.write(".bashrc", "PATH=~/bin:$PATH\n")
    machine.write("bin/sudo", STUB, 0o755)
    done = mine("doctor", "--fix", "--yes")
    assert done.status == 0 and "box: not installed" in done.err and done.err.endswith("\n  done\n")
    assert (machine.home / "asked").read_text() == "apt-get install -y tmux\n"
    assert wrong(mine) == {}


@pytest.mark.parametrize(
    ("bashrc", "state", "says"),
    [
        ("echo hello from .bashrc\n", "warning", "prints 19 bytes"),
        ("sleep 1\n", "warning", "takes 1."),
        ("exec sh\n", "failed", "begin another shell?"),
        ("exit 0\n", "failed", "begin another shell?"),
    ],
)
def test_a_bashrc_in_the_way(machine: Machine, laptop: Laptops, bashrc: str, state: str, says: str) -> None:
    path = machine.write(".bashrc", bashrc)
    mine = laptop(machine)
    shell = told(mine)["shell"]
    assert shell["state"] == state and says in shell["says"]
    if state == "warning":
        command, *words = shlex.split(shell["mend"])
        assert command == "orch" and mine(*words).status == 0
        assert bashrc in path.read_text()
        assert told(mine)["shell"]["state"] == "ok"


@pytest.mark.parametrize(("shell", "file"), [("zsh", ".zshenv"), ("fish", ".config/fish/config.fish")])
def test_other_shells(machines: Machines, laptop: Laptops, shell: str, file: str) -> None:
    machine = machines(shell=shell)
    mine = laptop(machine)
    assert wrong(mine) == {}
    machine.write(file, "sleep 1\n")
    said = wrong(mine)
    assert list(said) == ["shell"] and f"{shell} takes 1." in said["shell"] and f"~/{file}" in said["shell"]


def test_a_server_that_allows_few_sessions(machines: Machines, laptop: Laptops) -> None:
    mine = laptop(machines(sshd=["MaxSessions 3"]))
    said = wrong(mine)
    assert list(said) == ["sessions"] and "only 3 at once" in said["sessions"]
    assert "MaxSessions 10" in said["sessions"]


def test_a_clock_that_is_an_hour_ahead(machines: Machines, laptop: Laptops) -> None:
    said = wrong(laptop(machines(sshd=[wrong_clock(3600)])))
    assert list(said) == ["clock"] and "60 min ahead" in said["clock"]


def test_a_home_that_cannot_be_written(machine: Machine, laptop: Laptops) -> None:
    machine.home.chmod(0o555)
    mine = laptop(machine)
    assert list(wrong(mine)) == ["agent"] and "orch_home" in wrong(mine)["agent"]
    machine.home.chmod(0o755)
    assert wrong(mine) == {}
    machine.home.chmod(0o555)
    assert list(wrong(mine)) == ["directory"]


def test_a_key_that_others_may_read_is_closed(machine: Machine, laptop: Laptops, tmp_path: Path) -> None:
    key = tmp_path / "key"
    shutil.copy(ssh_key(), key)
    key.chmod(0o644)
    mine = laptop(more=machine.config("box", IdentityFile=str(key)))
    assert told(mine)["keys"]["mend"] == f"chmod 600 {key}"
    done = mine("doctor", "--fix", "--yes")
    assert done.status == 0 and done.err.endswith("\n  done\n")
    assert key.stat().st_mode & 0o777 == 0o600 and wrong(mine) == {}


def test_no_key_fits(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(more=machine.config("box", IdentityFile=str(ssh_key(number=1))))
    said = wrong(mine)
    assert list(said) == ["keys"] and "takes none of your keys" in said["keys"]


def test_a_host_key_that_nobody_checks(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(more=machine.config("box", StrictHostKeyChecking="no"))
    said = wrong(mine)
    assert list(said) == ["host key"] and said["host key"].startswith("warning: whatever key comes")


def test_a_changed_host_key_is_no_matter_of_fix(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    machine.new_host_key()
    machine.restart_sshd()
    known = machine.known_hosts.read_text()
    said = wrong(mine, "--fix", "--yes")
    assert list(said) == ["host key"] and "another one than before" in said["host key"]
    assert machine.known_hosts.read_text() == known
    forget = told(mine)["host key"]["mend"]
    subprocess.run(forget, shell=True, check=True, capture_output=True)
    said = wrong(mine, "--fix", "--yes")  # nobody is there to look at the new one
    assert list(said) == ["host key"] and "is not known here: orch ssh box -- true" in said["host key"]


def test_hosts_that_cannot_be_reached_hold_up_nobody(machines: Machines, laptop: Laptops) -> None:
    gone, hanging, well = machines("gone"), machines("hanging"), machines("well")
    gone.stop_sshd()
    hanging.freeze_sshd()
    mine = laptop(gone, hanging, well)
    began = time.monotonic()
    said = mine("doctor").out
    assert time.monotonic() - began < 50
    assert said.index("hanging\n") > max(said.index("gone\n"), said.index("well\n"), said.index("3.9"))
    assert "failed   connection  gone (me@127.0.0.1) refuses connections" in said
    assert "failed   connection  hanging (me@127.0.0.1) cannot be reached" in said
    checks = told(mine, "gone", host="gone")
    assert list(checks) == ["connection"] and checks["connection"]["mend"].startswith("ssh -v -o Port=")
    shown = subprocess.run(checks["connection"]["mend"], shell=True, capture_output=True, check=False)
    assert b"Connection refused" in shown.stderr


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    one = Terminal(home)
    yield one
    one.close()


def fixing(mine: Laptop, terminal: Terminal, *words: str) -> None:
    env = {"HOME": str(mine.home), "TERM": os.environ.get("TERM", "xterm"), **mine.env}
    terminal.start([str(word) for word in mine.argv("doctor", "--fix", *words)], env, width=200, height=100)


def answer(terminal: Terminal, question: str, *lines: str) -> None:
    terminal.shows(question)
    for line in lines:
        terminal.types(line)
        terminal.keys("Enter")


def test_an_unknown_host_key_is_shown_and_accepted(machine: Machine, laptop: Laptops, terminal: Terminal) -> None:
    machine.known_hosts.write_text("")
    mine = laptop(machine)
    assert list(wrong(mine)) == ["host key"]
    fixing(mine, terminal)
    answer(terminal, "orch ssh box -- true\n  Run it? yes or no [no]:", "yes")
    terminal.shows("ED25519 key fingerprint is SHA256:")
    answer(terminal, "continue connecting (yes/no/[fingerprint])?", "yes")
    terminal.shows("[ended 0]")
    assert wrong(mine) == {} and machine.known_hosts.read_text()


def test_a_password_is_asked_for_and_then_a_key_is_left(
    machines: Machines, laptop: Laptops, terminal: Terminal
) -> None:
    machine = machines(password=True)
    mine = laptop(machine)
    (mine.home / ".ssh").mkdir(mode=0o700)
    said = wrong(mine, "--fix", "--yes")
    assert list(said) == ["keys"] and "asks for a password: orch ssh box -- true" in said["keys"]
    fixing(mine, terminal)
    answer(terminal, "orch ssh box -- true\n  Run it? yes or no [no]:", "yes")
    answer(terminal, "password:", PASSWORD)
    answer(terminal, f"ssh-copy-id -i {ssh_key()}", "yes")
    eventually(lambda: terminal.screen().count("password:") == 2, "ssh-copy-id asks too")
    answer(terminal, "password:", PASSWORD)
    terminal.shows("[ended 0]")
    assert wrong(mine) == {}


def test_a_passphrase_is_asked_for_and_the_connection_stays(
    machine: Machine, laptop: Laptops, terminal: Terminal
) -> None:
    key = ssh_key("open sesame")
    machine.authorize(key)
    mine = laptop(more=machine.config("box", IdentityFile=str(key)))
    said = wrong(mine)
    assert list(said) == ["keys"] and f"{key} has a passphrase: orch ssh box -- true" in said["keys"]
    fixing(mine, terminal)
    answer(terminal, "Run it? yes or no [no]:", "yes")
    answer(terminal, "Enter passphrase for key", "open sesame")
    answer(terminal, f"ssh-add '{key}'\n  Run it?", "no")
    terminal.shows("[ended 0]")
    said = wrong(mine)
    assert list(said) == ["keys"] and said["keys"].startswith("warning: ") and f"ssh-add '{key}'" in said["keys"]
    assert mine("status").status == 0


def test_a_no_runs_nothing(machine: Machine, laptop: Laptops, terminal: Terminal) -> None:
    machine.known_hosts.write_text("")
    fixing(laptop(machine), terminal, "box")
    answer(terminal, "Run it? yes or no [no]:", "")
    terminal.shows("[ended 1]")
    assert machine.known_hosts.read_text() == "" and machine.connections() == 0
