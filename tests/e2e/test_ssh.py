"""``orch ssh``: the way by which a person gets in, and through which all other commands then go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.disk import PASSWORD
from tests.support.keys import ssh_key
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]


def start(terminal: Terminal, mine: Laptop, *words: str) -> None:
    terminal.start([str(word) for word in mine.argv("ssh", *words)], mine.env, width=200)


def enter(terminal: Terminal, question: str, line: str) -> None:
    terminal.shows(question)
    terminal.types(line)
    terminal.keys("Enter")


def test_a_command_and_its_exit_status(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    done = mine("ssh", "box", "--", "cd .ssh && ls | wc -l; echo oh >&2; exit 7")
    assert (done.status, done.out, done.err) == (7, "1\n", "oh\n")
    done = mine("ssh", "--", "echo", "two  words", ";", "hostname")
    assert (done.status, done.out, done.err) == (0, "two words\nbox\n", "")
    assert machine.connections() == 1


def test_standard_input_reaches_the_command(machine: Machine, laptop: Laptops) -> None:
    data = bytes(range(256)) * 1000
    done = laptop(machine)("ssh", "--", "sha256sum; cat >copy", input=data)
    assert done.status == 0
    done = laptop(machine)("ssh", "--", "cat > copy && echo copied", input=data)
    assert done.out == "copied\n" and (machine.home / "copy").read_bytes() == data


def test_without_a_command_a_shell_that_reads_what_comes(machine: Machine, laptop: Laptops) -> None:
    done = laptop(machine)("ssh", input=b"echo $HOME\nexit 3\n")
    assert (done.status, done.out) == (3, "/home/me\n")


def test_a_shell_on_a_terminal(machine: Machine, laptop: Laptops, terminal: Terminal) -> None:
    machine.write(".profile", "PS1='there> '\n")
    start(terminal, laptop(machine), "box")
    enter(terminal, "there>", "tty; hostname")
    assert "\n/dev/pts/" in terminal.shows("\nbox")
    terminal.types("echo begun; sleep 100; exit 1")
    terminal.keys("Enter")
    terminal.shows("\nbegun")
    terminal.keys("C-c")
    enter(terminal, "^C", "exit 5")
    terminal.shows("[ended 5]")


def test_this_machine(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    assert orch("ssh", "local", "--", "echo $((6 * 7)); exit 4")[:2] == (4, "42\n")
    terminal.start([str(word) for word in orch.argv("ssh")], {"SHELL": "/bin/sh"})
    terminal.types("exit 6")
    terminal.keys("Enter")
    terminal.shows("[ended 6]")


def test_an_unknown_host_key(machine: Machine, laptop: Laptops, terminal: Terminal) -> None:
    machine.known_hosts.write_text("")
    mine = laptop(machine)
    done = mine("run", "hello", "true")
    assert done.status == 4 and "orch ssh box" in done.err
    start(terminal, mine, "--", "echo in")
    terminal.shows("ED25519 key fingerprint is SHA256:")
    enter(terminal, "(yes/no/[fingerprint])?", "yes")
    assert "in\n" in terminal.shows("[ended 0]")
    assert machine.known_hosts.read_text() and mine("status").status == 0
    assert machine.connections() == 1


def test_a_password(machines: Machines, laptop: Laptops, terminal: Terminal) -> None:
    machine = machines(password=True)
    mine = laptop(machine)
    done = mine("run", "hello", "echo hello")
    assert done.status == 4 and "asks for a password" in done.err and "orch ssh box" in done.err
    start(terminal, mine, "--", "echo in")
    enter(terminal, "password:", "wrong")
    enter(terminal, "try again", PASSWORD)
    assert "in\n" in terminal.shows("[ended 0]")
    assert PASSWORD not in terminal.screen()
    done = mine("run", "hello", "echo hello", "--follow")
    assert (done.status, done.out) == (0, "hello\n")
    assert machine.connections() == 1


def test_without_a_terminal_nobody_is_asked(machines: Machines, laptop: Laptops) -> None:
    done = laptop(machines(password=True))("ssh", "box", "--", "true")
    assert done.status == 4 and "asks for a password; ssh cannot ask: there is no terminal" in done.err


def test_a_wrong_password_is_the_end(machines: Machines, laptop: Laptops, terminal: Terminal) -> None:
    mine = laptop(more=machines(password=True).config(NumberOfPasswordPrompts="1"))
    start(terminal, mine)
    enter(terminal, "password:", "wrong")
    screen = terminal.shows("[ended 1]")
    assert "Permission denied" in screen and "orch: no connection to box" in screen and "orch doctor box" in screen


def test_a_passphrase(machine: Machine, laptop: Laptops, terminal: Terminal) -> None:
    key = ssh_key("open sesame")
    machine.authorize(key)
    mine = laptop(more=machine.config(IdentityFile=str(key)))
    done = mine("run", "hello", "true")
    assert done.status == 4 and "has a passphrase" in done.err
    start(terminal, mine, "box", "--", "echo in")
    enter(terminal, "Enter passphrase for key", "open sesame")
    assert "in\n" in terminal.shows("[ended 0]")
    assert mine("status").status == 0 and machine.connections() == 1


def test_ctrl_c_at_the_question(machines: Machines, laptop: Laptops, terminal: Terminal) -> None:
    machine = machines(password=True)

    def half_connected() -> list[int]:
        return [pid for pid, argv in machine.processes() if argv[0].startswith("sshd: me [")]

    start(terminal, laptop(machine))
    terminal.shows("password:")
    assert half_connected()
    terminal.keys("C-c")
    terminal.shows("[ended 130]")
    eventually(lambda: not half_connected(), "nothing of it is left")


def test_a_lost_link(link: Link, machines: Machines, laptop: Laptops) -> None:
    mine = laptop(machines(link=link))
    with mine.popen("ssh", "--", "echo in; exec sleep 300") as ssh:
        assert ssh.stdout and ssh.stdout.readline() == b"in\n"
        link.cut()
        assert ssh.wait(60) == 255
    link.mend()
    assert mine("ssh", "--", "true").status == 0


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (["bx"], 2, "did you mean box?"),
        (["box", "ls", "-la"], 2, "orch ssh box -- ls -la"),
        (["box", "ls"], 2, "orch ssh box -- ls"),
        (["-t", "box"], 2, "orch help ssh"),
    ],
)
def test_what_is_not_understood(laptop: Laptops, words: list[str], status: int, hint: str) -> None:
    done = laptop(more='[hosts.box]\nprovider = "ssh"\naddress = "me@127.0.0.1"\n')("ssh", *words)
    assert (done.status, done.out) == (status, "") and f"\n  {hint}" in done.err


def test_a_host_that_is_gone(machine: Machine, laptop: Laptops) -> None:
    machine.stop_sshd()
    done = laptop(machine)("ssh", "box", "--", "true")
    assert done.status == 1 and "refuses connections" in done.err and "orch doctor box" in done.err
