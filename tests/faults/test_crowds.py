"""Many commands at once, against an sshd that allows what every sshd allows; and a laptop that sleeps in between."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.agent import eventually
from tests.support.cli import Done, Started
from tests.support.keys import ssh_key
from tests.support.laptop import Laptop
from tests.support.machine import Machine

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]

MANY = 50
WIDTH = 8  # sessions in one connection
NAPS = 240.0 if os.environ.get("ORCH_TEST_LONG") else 0.0  # seconds that a sleep lasts longer than it has to


def at_once(mine: Laptop, commands: Sequence[Sequence[str]], patience: float = 100) -> list[Done]:
    """Run all of them at the same time."""
    until = time.monotonic() + patience
    with ExitStack() as stack:
        started = [stack.enter_context(mine.popen(*words)) for words in commands]
        return [_end(one, until - time.monotonic()) for one in started]


def _end(one: Started, patience: float) -> Done:
    out, err = one.communicate(timeout=max(1.0, patience))
    return Done(one.returncode, out.decode(), err.decode())


def all_well(ended: Sequence[Done]) -> bool:
    assert [(done.status, done.err) for done in ended] == [(0, "")] * len(ended)
    return True


def nobody_was_turned_away(machine: Machine) -> bool:
    """What sshd writes when it refuses connections because there are so many."""
    turned = re.findall(r".*(?:MaxStartups|drop connection|past Max).*", machine.log.read_text())
    assert not turned, turned[:3]
    return True


def jobs(mine: Laptop) -> list[str]:
    return sorted(f"{job['name']}.{job['run']}" for job in mine("status", "--json").json["jobs"])


def test_many_commands_cold_and_warm(machine: Machine, laptop: Laptops) -> None:
    """The first of them brings the agent; all of them share a few connections, and later ones need no more."""
    mine = laptop(machine)
    all_well(at_once(mine, [["status", "--json"]] * MANY))
    cold = machine.connections()
    assert 1 <= cold <= -(-MANY // WIDTH)
    all_well(at_once(mine, [["status", "--json"]] * MANY))
    assert machine.connections() <= -(-MANY // WIDTH)
    assert nobody_was_turned_away(machine)


def test_many_submissions_are_as_many_jobs(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    names = [f"job{number:02}" for number in range(MANY)]
    all_well(at_once(mine, [["run", name, f"echo {name}"] for name in names]))
    assert jobs(mine) == [f"{name}.1" for name in names]
    assert mine("wait", *names).status == 0
    assert mine("logs", names[7]).out == f"{names[7]}\n"
    assert machine.connections() <= -(-MANY // WIDTH)
    assert nobody_was_turned_away(machine)


@pytest.mark.parametrize("most", [1, 2, 10])
def test_followers_leave_room_for_others(machines: Machines, laptop: Laptops, most: int) -> None:
    """However few sessions a connection may have: there are more connections then."""
    followers = 20 if most == 10 else 5
    machine = machines(sshd=[] if most == 10 else [f"MaxSessions {most}"])
    mine = laptop(machine)
    assert mine("run", "counts", "echo one; read line; echo two").status == 0
    with ExitStack() as stack:
        following = [stack.enter_context(mine.popen("logs", "-f", "counts", bufsize=0)) for _ in range(followers)]
        for one in following:
            assert one.stdout and one.stdout.readline() == b"one\n"
        all_well(at_once(mine, [["show", "counts"]] * 5))
        assert -(-followers // min(most, WIDTH)) <= machine.connections() <= followers + 5
        assert mine("send", "counts", "on").status == 0
        for one in following:
            assert _end(one, 30) == (0, "on\ntwo\n", "")
    assert nobody_was_turned_away(machine)


# A host that lets nobody in


def knocks(mine: Laptop) -> Path:
    """Puts an ssh before ssh that counts the connections it is to make: returns where it writes them."""
    counted = mine.home / "knocks"
    counted.touch()
    program = mine.home / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase " $* " in *" -M "*) echo >>{counted} ;; esac\nexec /usr/bin/ssh "$@"\n')
    program.chmod(0o755)
    mine.env["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    return counted


@pytest.mark.parametrize(
    ("refuses", "status", "says"), [(True, 1, "refuses connections"), (False, 4, "none of your keys")]
)
def test_a_host_that_lets_nobody_in_hears_few_knocks(
    machine: Machine, laptop: Laptops, refuses: bool, status: int, says: str
) -> None:
    """Each command says why; those that waited for another's failure do not try for themselves."""
    stranger = str(ssh_key(number=1))
    mine = laptop(more=machine.config(IdentityFile=stranger))
    counted = knocks(mine)
    if refuses:
        machine.stop_sshd()
    for done in at_once(mine, [["run", f"job{number}", "--host", "box", "true"] for number in range(20)]):
        assert (done.status, done.out) == (status, "")
        assert says in done.err and "\n  " in done.err
    assert 1 <= len(counted.read_text()) <= 10
    if not refuses:
        heard = re.findall("^Connection from ", machine.log.read_text(), re.M)
        assert len(heard) == len(counted.read_text())


# A laptop that sleeps


def connections(machine: Machine) -> list[int]:
    """Sshd's processes for connections that are open."""
    return [pid for pid, argv in machine.processes() if argv[0].startswith("sshd: me")]


@pytest.mark.timeout(120 + NAPS)
def test_a_laptop_that_slept(machines: Machines, laptop: Laptops) -> None:
    """Longer than sshd waits for it: what ran on the laptop goes on, and the job has not noticed anything."""
    machine = machines(sshd=["ClientAliveInterval 1", "ClientAliveCountMax 2"])
    mine = laptop(machine)
    sleeping = "until [ -e slept ]; do sleep 0.05; done"  # sshd waits on while there is something to send
    counting = f"seq 3; {sleeping}; n=3; until [ -e enough ]; do echo $((n += 1)); sleep 0.05; done; exit 7"
    assert mine("run", "counts", counting).status == 0
    assert mine("run", "short", f"{sleeping}; echo meanwhile; exit 3").status == 0
    with ExitStack() as stack:
        words = (["logs", "-f", "counts"], ["wait", "counts"], ["wait", "short"], ["logs", "-f", "short"])
        counted, waited, waited_short, short = (stack.enter_context(mine.popen(*each, bufsize=0)) for each in words)
        assert counted.stdout and [counted.stdout.readline() for _ in range(3)] == [b"1\n", b"2\n", b"3\n"]
        eventually(lambda: len(machine.sessions()) >= 2 + 1 + len(words), "all of them are connected")
        mine.freeze()
        eventually(lambda: not connections(machine), "sshd has given up")
        machine.write("slept", "")
        log = machine.home / "logs/counts/1.log"
        size = log.stat().st_size
        eventually(lambda: log.stat().st_size > size + 20, "the job runs on")
        time.sleep(NAPS)
        mine.thaw()
        assert jobs(mine) == ["counts.1", "short.1"]
        assert mine("run", "afterwards", "echo new").status == 0
        machine.write("enough", "")
        assert [_end(one, 60).status for one in (waited, waited_short)] == [7, 3]
        assert _end(short, 60)[:2] == (0, "meanwhile\n")
        rest = _end(counted, 60)
    numbers = [1, 2, 3, *map(int, rest.out.split())]
    assert rest.status == 0 and numbers == list(range(1, len(numbers) + 1))
    assert mine("logs", "counts").out == "1\n2\n3\n" + rest.out
    assert mine("wait", "afterwards").status == 0
