"""Whoever looks at a job or waits for it goes on after every kind of cut, and leaves nothing behind on the machine."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import eventually
from tests.support.cli import Started
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]
UNTIL_STOP = "until [ -e stop ]; do sleep 0.05; done; "
COUNTS = 'n=0; until [ -e stop ]; do n=$((n+1)); printf "line "; sleep 0.02; echo "$n."; done; exit 7'
TALKS = 'echo ready; while read -r line; do echo "got <$line>"; done'
NOTICED = 20  # seconds: 15 are promised


class Onlooker:
    """A command that runs, and what it has said so far."""

    def __init__(self, stack: ExitStack, mine: Laptop, place: Path, *words: str) -> None:
        self.words = words
        self._out, self._err = place / "out", place / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process: Started = stack.enter_context(mine.popen(*words, stdout=out, stderr=err))

    def out(self) -> bytes:
        return self._out.read_bytes()

    def err(self) -> str:
        return self._err.read_text()

    def line(self) -> int:
        """The number of the last line that it has shown."""
        return int(([b"0", *re.findall(rb"line (\d+)\.", self.out())])[-1])

    def ends(self) -> int:
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


Look = Callable[..., Onlooker]


@pytest.fixture
def machine(link: Link, machines: Machines) -> Machine:
    """A machine at the far end of the link, whose sshd gives up clients that say nothing for 3 s."""
    return machines(link=link, sshd=["ClientAliveInterval 1", "ClientAliveCountMax 2"])


@pytest.fixture
def mine(machine: Machine, laptop: Laptops) -> Laptop:
    return laptop(machine)


@pytest.fixture
def look(mine: Laptop, tmp_path: Path) -> Iterator[Look]:
    """Starts a command on the laptop."""
    with ExitStack() as stack:

        def start(*words: str) -> Onlooker:
            place = tmp_path / str(len(list(tmp_path.iterdir())))
            place.mkdir()
            return Onlooker(stack, mine, place, *words)

        yield start


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[[], Terminal]]:
    """Makes terminals."""
    with ExitStack() as stack:
        made: list[Terminal] = []

        def make() -> Terminal:
            place = tmp_path / f"terminal{len(made)}"
            place.mkdir()
            one = Terminal(place)
            stack.callback(one.close)
            made.append(one)
            return one

        yield make


def log_of(mine: Laptop, machine: Machine, name: str) -> Path:
    path = mine("show", name, "--json").json["job"]["log_path"]
    return machine.home / Path(path).relative_to("/home/me")


def at_work(machine: Machine) -> list[list[str]]:
    """The agents there that work for somebody who looks or waits."""
    argvs = [argv for _, argv in machine.processes()]
    return [argv for argv in argvs if "-S" in argv and {"logs", "wait"} & set(argv)]


def connections(machine: Machine) -> list[Any]:
    return [argv for _, argv in machine.processes() if argv[0].startswith("sshd: me")]


def kill_masters(mine: Laptop) -> None:
    for pid in mine.processes():
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ssh: "):
            os.kill(pid, signal.SIGKILL)


def sleep_through_a_restart(mine: Laptop, machine: Machine, link: Link) -> None:
    """The machine forgets the laptop, which hears nothing of it."""
    mine.freeze()
    link.cut()
    machine.restart_sshd()
    link.mend()
    mine.thaw()


# Reading


def test_readers_go_on_after_every_kind_of_cut(mine: Laptop, machine: Machine, link: Link, look: Look) -> None:
    follower = look("run", "count", COUNTS, "--follow")
    eventually(follower.line, "it counts")
    waiter, watcher = look("wait", "count"), look("status", "--watch")
    raw, filtered = look("logs", "count", "-f", "--raw"), look("logs", "count", "-f", "--grep", "7")
    reader = look("logs", "count", "-f", "--new", "reader")
    readers = [follower, raw, filtered, reader]
    log = log_of(mine, machine, "count")

    def all_go_on() -> None:
        now = int(re.findall(rb"line (\d+)\.", log.read_bytes())[-1])
        eventually(lambda: all(one.line() > now for one in readers), "all are shown what was written since")

    all_go_on()
    machine.restart_sshd()
    all_go_on()
    kill_masters(mine)
    all_go_on()
    sleep_through_a_restart(mine, machine, link)
    assert mine("status", timeout=NOTICED).status == 0
    all_go_on()

    link.unplug()
    began = time.monotonic()
    for one in [*readers, waiter]:
        eventually(lambda one=one: "the link to box is lost" in one.err(), f"{one.words} says so")
    assert time.monotonic() - began < NOTICED
    eventually(lambda: b" ago" in watcher.out(), "the table is old, and says so")
    link.mend()
    all_go_on()
    for one in readers:
        assert one.err().count("the link to box is lost") == one.err().count("box is back") > 0
    eventually(lambda: b" ago" not in watcher.out().rpartition(b"NAME")[2], "the table is fresh again")

    machine.write("stop", "")
    assert [one.ends() for one in (follower, waiter, raw, filtered, reader)] == [7, 7, 0, 0, 0]
    written = log.read_bytes()
    text = written.replace(b"\r\n", b"\n")
    assert raw.out() == written
    assert follower.out() == reader.out() == text
    assert filtered.out() == b"".join(line for line in text.splitlines(keepends=True) if b"7" in line)
    assert mine("logs", "count", "--new", "reader").out == ""


def test_a_job_ends_while_nobody_can_be_told(mine: Laptop, machine: Machine, look: Look) -> None:
    command = UNTIL_STOP + "echo last words; exit 3"
    follower, waiter = look("run", "one", command, "--follow"), look("run", "two", command, "--wait", "--json")
    eventually(lambda: len(at_work(machine)) == 2, "both run")
    both, log = look("wait", "one", "two"), look("logs", "-f", "one")
    eventually(lambda: len(at_work(machine)) == 4, "all look on")
    machine.stop_sshd()
    machine.write("stop", "")
    eventually(lambda: not [1 for _, argv in machine.processes() if "runner" in argv], "the jobs have ended")
    machine.start_sshd()
    assert [one.ends() for one in (follower, waiter, both, log)] == [3, 3, 3, 0]
    assert follower.out() == log.out() == b"last words\n"
    assert b'"exit_code": 3' in waiter.out() and both.out() == b"one.1 FAILED\ntwo.1 FAILED\n"


def test_a_laptop_that_slept_until_it_was_given_up(mine: Laptop, machine: Machine, look: Look) -> None:
    follower = look("run", "one", "echo on; " + UNTIL_STOP + "echo off; exit 3", "--follow")
    eventually(follower.out, "it runs")
    waiter = look("wait", "one")
    eventually(lambda: len(at_work(machine)) == 2, "both look on")
    mine.freeze()
    eventually(lambda: not connections(machine) and not at_work(machine), "the machine has given it up")
    mine.thaw()
    assert mine("status", timeout=NOTICED).status == 0
    eventually(lambda: len(at_work(machine)) == 2, "both look on again")
    machine.write("stop", "")
    assert (follower.ends(), waiter.ends(), follower.out()) == (3, 3, b"on\noff\n")


def test_a_machine_that_is_rebooted(mine: Laptop, machine: Machine, look: Look) -> None:
    follower, waiter = look("run", "one", "echo on; sleep 300", "--follow"), look("run", "two", "sleep 300", "--wait")
    eventually(lambda: follower.out() and len(at_work(machine)) == 2, "both run")
    wait, log = look("wait", "one"), look("logs", "-f", "one")
    eventually(lambda: len(at_work(machine)) == 4, "all look on")
    machine.reboot()
    assert [one.ends() for one in (follower, waiter, wait, log)] == [255, 255, 255, 0]
    assert follower.out() == log.out() == b"on\n" and wait.out() == b"one.1 NODE_FAIL\n"
    assert "two.1 NODE_FAIL" in waiter.err()
    job = mine("show", "one", "--json").json["job"]
    assert (job["state"], job["exit_code"]) == ("NODE_FAIL", None) and "the host restarted" in job["reason"]


# Nobody is left behind


def test_nothing_stays_for_who_is_gone(mine: Laptop, machine: Machine, look: Look) -> None:
    assert mine("run", "quiet", "sleep 300").status == 0
    commands = [("wait", "quiet"), ("logs", "-f", "quiet"), ("run", "more", "sleep 300", "-f")]
    for number in (signal.SIGKILL, signal.SIGINT):
        gone = [look(*words) for words in commands]
        eventually(lambda: len(at_work(machine)) == 3, "all look on")
        for one in gone:
            one.process.send_signal(number)
        assert {one.ends() for one in gone} == {130 if number == signal.SIGINT else -number}
        eventually(lambda: not at_work(machine), "nobody works for them")
        commands[2] = ("logs", "-f", "more")
    look("wait", "quiet")
    eventually(lambda: at_work(machine), "it looks on")
    mine.crash()
    eventually(lambda: not at_work(machine), "nobody works for it")
    assert mine("cancel", "quiet", "more", "--grace", "0").status == 0


def test_nothing_stays_for_who_followed_a_flood(mine: Laptop, machine: Machine, look: Look) -> None:
    assert mine("run", "loud", "yes", "--no-tty").status == 0
    for number in (signal.SIGKILL, signal.SIGINT):
        follower = look("logs", "-f", "loud")
        eventually(lambda one=follower: len(one.out()) > 1 << 20, "it is shown much")
        follower.process.send_signal(number)
        assert follower.ends() == (130 if number == signal.SIGINT else -number)
        eventually(lambda: not at_work(machine), "nobody works for it")
    assert mine("cancel", "loud", "--grace", "0").status == 0


# On terminals


def test_attached_through_cuts(mine: Laptop, machine: Machine, link: Link, terminals: Callable[[], Terminal]) -> None:
    """One comes back, one is told that the job has ended, one leaves; and a table shows how old it is."""
    assert mine("run", "talk", TALKS).status == mine("run", "ends", UNTIL_STOP + "exit 4").status == 0
    stays, told, leaves, table = (terminals() for _ in range(4))
    for terminal, words in ((stays, "attach talk"), (told, "attach ends"), (leaves, "attach talk")):
        terminal.start([str(word) for word in mine.argv(*words.split())], mine.env)
    table.start([str(word) for word in mine.argv("status", "--watch")], mine.env)
    stays.shows("ready")
    leaves.shows("ready")
    told.shows("[ends]")
    table.shows("talk")

    machine.restart_sshd()
    stays.shows("ready")

    def answers(text: str) -> None:
        """What was typed into a terminal that is on its way back goes nowhere, so it is typed again."""

        def tried() -> bool:
            stays.types(text)
            stays.keys("Enter")
            return f"got <{text}" in stays.screen()

        eventually(tried, "the job answers")

    answers("before")
    link.cut()
    began = time.monotonic()
    for terminal, name in ((stays, "talk.1"), (told, "ends.1"), (leaves, "talk.1")):
        terminal.shows(f"the link to box is lost; {name} runs on")
    table.shows(" ago")
    assert time.monotonic() - began < NOTICED
    leaves.keys("C-c")
    leaves.shows("[ended 130]")
    assert "talk.1 runs on; come back:" in leaves.screen()
    machine.write("stop", "")
    link.mend()
    told.shows("ends.1 FAILED, exit status 4")
    stays.shows("got <before")
    answers("after")
    eventually(lambda: " ago" not in table.screen() and "FAILED" in table.screen(), "the table is fresh again")
    stays.keys("C-b", "d")
    assert "talk.1 runs on; orch attach talk" in stays.shows("[ended 0]")
