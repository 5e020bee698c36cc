"""Submissions and first contacts over links that fail at every step: one job, and never half an agent."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orch import bundle
from tests.support.agent import eventually
from tests.support.cli import Done
from tests.support.fragile import Fault, Fragile, Way
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]
COMMAND = "echo $ORCH_JOB_NAME >>ran"


@pytest.fixture
def fragile(machine: Machine, tmp_path: Path) -> Fragile:
    """The way to the machine."""
    return Fragile(tmp_path, machine)


@pytest.fixture
def mine(machine: Machine, fragile: Fragile, laptop: Laptops) -> Laptop:
    """A laptop that knows no other way to it."""
    return laptop(more='default_host = "box"\n' + machine.config(**fragile.options))


def ran_once(mine: Laptop, machine: Machine, names: list[str]) -> None:
    """Each name is one job, which ran once."""
    assert mine("wait", *names).status == 0
    jobs = mine("status", "--all", "--json").json["jobs"]
    assert Counter(job["name"] for job in jobs) == Counter(names)
    assert Counter((machine.home / "ran").read_text().split()) == Counter(names)


def again(mine: Laptop, name: str, done: Done) -> None:
    """Do what orch says after a failure: without an id only if it says that nothing was submitted."""
    assert done.status == 1, done
    key = re.search(r"the same again with --id (\S+) is safe", done.err)
    words = ["--id", key[1]] if key else []
    after = mine("run", name, *words, COMMAND)
    assert after.status == 0, (done, after)


# Submissions


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_submission_cut_off_at_every_piece(mine: Laptop, machine: Machine, fragile: Fragile, way: Way) -> None:
    """At every piece the connection breaks before it, and at every second the next connection does so too."""
    assert mine("run", "first", COMMAND).status == 0
    mine.crash()
    assert mine("run", "second", COMMAND).status == 0
    names, happened, refused = ["first", "second"], 0, 0
    for piece in range(1, fragile.pieces()[way] + 2):
        mine.crash()
        fragile.fails(*[Fault(way, piece)] * (1 + piece % 2))
        done = mine("run", name := f"{way}{piece}", COMMAND)
        happened += fragile.failures() > 0
        fragile.sound()
        refused += done.status != 0
        names.append(name)
        if done.status:
            again(mine, name, done)
    assert refused < happened  # a first connection that fails before the login may be refused, and is not tried again
    ran_once(mine, machine, names)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_client_killed_at_every_piece(mine: Laptop, machine: Machine, fragile: Fragile, way: Way) -> None:
    """The link falls silent, and the laptop loses its power. The same id again is the same job."""
    assert mine("run", "first", COMMAND).status == 0
    mine.crash()
    assert mine("run", "second", COMMAND).status == 0
    names, known = ["first", "second"], 0
    for piece in range(fragile.pieces()[way] - 1, 4, -2):
        mine.crash()
        fragile.fails(Fault(way, piece, silent=True))
        words = ("run", name := f"{way}{piece}", "--id", f"id-{way}{piece}", COMMAND)
        with mine.popen(*words) as killed:
            eventually(lambda ended=killed: fragile.failures() or ended.poll() == 0, "the fault happens")
            mine.crash()
        fragile.sound()
        done = mine(*words)
        assert done.status == 0, done
        known += "had been submitted before" in done.out
        names.append(name)
    assert known < len(names) - 2 and (known or way == "up")  # its request is the last that a client says
    ran_once(mine, machine, names)


@pytest.mark.parametrize("way", ["up", "down"])
def test_code_cut_off_at_every_other_piece(mine: Laptop, machine: Machine, fragile: Fragile, way: Way) -> None:
    """One job, which runs exactly what was there when it was submitted."""
    tree = mine.home / "tree"
    tree.mkdir()
    (tree / "orch.toml").touch()
    command = "echo $ORCH_JOB_NAME >>~/ran; cat file"

    def submit(name: str, *words: str) -> Done:
        (tree / "file").write_text(f"{name} {os.urandom(8192).hex()}\n")
        return mine("run", name, "--sync", *words, command, cwd=tree)

    assert submit("first").status == 0
    mine.crash()
    assert submit("second").status == 0
    names, happened = ["first", "second"], 0
    for piece in range(fragile.pieces()[way] - 1, 4, -2):
        mine.crash()
        fragile.fails(Fault(way, piece))
        done = submit(name := f"{way}{piece}", "--id", f"id-{way}{piece}")
        happened += fragile.failures() > 0
        fragile.sound()
        assert done.status == 0, done
        names.append(name)
        assert mine("wait", name).status == 0
        assert mine("logs", name).out == (tree / "file").read_text()
    assert happened
    ran_once(mine, machine, names)


def test_a_link_that_stays_away(mine: Laptop, machine: Machine, fragile: Fragile) -> None:
    """Orch tries for a while, then says how the same command is safe at any later time; and it is."""
    assert mine("run", "first", COMMAND).status == 0
    mine.crash()
    assert mine("run", "second", COMMAND).status == 0
    mine.crash()
    when_it_has_the_request = Fault("down", fragile.pieces()["down"] - 2)
    fragile.fails(when_it_has_the_request, *[Fault("down", 1)] * 30)
    done = mine("run", "job", COMMAND)
    fragile.sound()
    assert done.status == 1 and 1 < fragile.failures() < 30
    assert "the link to box is lost" in done.err and "whether it was submitted is not known" in done.err
    again(mine, "job", done)
    ran_once(mine, machine, ["first", "second", "job"])


def test_a_host_that_was_never_reached_says_so_at_once(link: Link, machines: Machines, laptop: Laptops) -> None:
    mine = laptop(machines(link=link))
    link.unplug()
    began = time.monotonic()
    done = mine("run", "job", COMMAND)
    assert done.status == 1 and "cannot be reached" in done.err and "orch doctor box" in done.err
    assert "--id" not in done.err and time.monotonic() - began < 10
    link.mend()
    assert mine("run", "job", COMMAND).status == 0


# First contact


def agents(machine: Machine) -> list[str]:
    """What of agents lies in orch's directory there; ruins begin with a dot."""
    said = machine.run("ls -A .orch 2>/dev/null | grep agent-; true").stdout
    return said.split()


def is_whole(machine: Machine, agent: str) -> bool:
    """Every source is there, byte by byte, and compiled, and the interpreter works."""
    said = machine.run(
        f"cd .orch/{agent} && find . -name '*.py' | xargs sha256sum; find . -name '*.pyc' | wc -l"
    ).stdout
    *sums, compiled = said.splitlines()
    found = {name.removeprefix("./"): digest for digest, name in map(str.split, sums)}
    wanted = {name: hashlib.sha256(content).hexdigest() for name, content in bundle.sources().items()}
    machine.run(f".orch/{agent}/python -I -S -c ''")
    return found == wanted and int(compiled) == len(wanted)


@pytest.mark.parametrize("silent", [False, True], ids=["broken", "killed"])
def test_a_first_contact_cut_off(mine: Laptop, machine: Machine, fragile: Fragile, silent: bool) -> None:
    """At moments of it; the next command begins anew and finds nothing in its way."""
    assert mine("run", "first", COMMAND).status == 0
    names, whole, pieces = ["first"], agents(machine), fragile.pieces()
    assert len(whole) == 1 and is_whole(machine, whole[0])
    moments: list[tuple[Way, int]] = [("up", pieces["up"] * part // 8) for part in range(2, 9)]
    moments += [("down", pieces["down"] - back) for back in range(0, 12, 3)]
    absent = 0
    for way, piece in moments:
        mine.crash()
        gone = f"rm -rf .orch/{whole[0]} 2>/dev/null; test ! -e .orch/{whole[0]}"
        eventually(lambda gone=gone: machine.run(gone, check=False).returncode == 0, "no program writes there still")
        fragile.fails(Fault(way, piece, silent))
        with mine.popen("run", name := f"{way}{piece}", "--id", f"id-{way}{piece}", COMMAND) as cut:
            eventually(lambda ended=cut: fragile.failures() or ended.poll() == 0, "the fault happens")
            if silent:
                mine.crash()
            cut.communicate(timeout=60)
        eventually(lambda: not [argv for _, argv in machine.processes() if "sys.stdin" in " ".join(argv)], "it is idle")
        left = agents(machine)
        assert left in ([], whole) and (not left or is_whole(machine, left[0]))
        absent += not left
        fragile.sound()
        assert mine("run", name, "--id", f"id-{way}{piece}", COMMAND).status == 0
        names.append(name)
        assert agents(machine) == whole
    assert is_whole(machine, whole[0]) and (absent > 3 if silent else True)
    ran_once(mine, machine, names)


def test_a_first_contact_over_a_cut_link(link: Link, machines: Machines, laptop: Laptops) -> None:
    """The host loses the connection while nothing reaches the laptop."""
    machine = machines(link=link)
    mine = laptop(machine)
    with mine.popen("run", "job", COMMAND) as cut:
        eventually(machine.sessions, "it begins")
        link.cut()
        machine.restart_sshd()
        assert agents(machine) == [] or is_whole(machine, agents(machine)[0])
        link.mend()
        assert cut.wait(60) == 0
    assert is_whole(machine, *agents(machine))
    ran_once(mine, machine, ["job"])
