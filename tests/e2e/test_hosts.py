"""``orch hosts`` of real machines, some of which do not answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.machine import Machine

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()}


def idle(orch: Orch, command: str = "hosts") -> float | None:
    (host,) = orch(command, "--json").json["hosts"]
    seconds: float | None = host["idle_seconds"]
    return seconds


def test_how_long_a_host_has_been_idle(orch: Orch, agent: Agent) -> None:
    orch("status")
    assert (idle(orch) or 0) > 0, "since the agent came"
    assert (idle(orch, "status") or 0) > 0
    orch("run", "short", "true", "--wait")
    first = eventually(lambda: idle(orch), "the supervisor has gone too")
    assert first < 60
    orch("run", "lives", "sleep 300")
    assert idle(orch) is None
    orch("run", "short", "true", "--wait")
    assert idle(orch) is None
    orch("cancel", "lives", "--grace", "0")
    last = eventually(lambda: idle(orch), "nothing goes on any more")
    assert last < 60
    assert eventually(lambda: (idle(orch) or 0) > last, "it goes on being idle")


def test_a_machine(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine, more='[hosts.here]\nprovider = "local"\n')
    shown = rows(mine("hosts").out)
    assert shown["NAME"] == ["PROVIDER", "STATE", "MACHINE", "IDLE", "COST/H"]
    cpus = len(os.sched_getaffinity(0))
    assert shown["box"][:3] == ["*", "ssh", "running"] and shown["box"][3].startswith(f"{cpus}-core/")
    assert shown["here"][:2] == ["local", "running"] and shown["here"][2] == shown["box"][3]
    box, here = mine("hosts", "--json").json["hosts"]
    assert (box["name"], box["address"], box["default"]) == ("box", "me@127.0.0.1", True)
    assert (here["name"], here["address"], here["default"]) == ("here", None, False)
    assert box["mem_total_bytes"] > box["mem_available_bytes"] > 0
    assert abs(datetime.now(UTC) - datetime.fromisoformat(box["as_of"])).total_seconds() < 60


def test_who_does_not_answer_hides_and_delays_nobody(machines: Machines, laptop: Laptops) -> None:
    hanging, refusing, well = machines("hanging"), machines("refusing"), machines("well")
    mine = laptop(hanging, refusing, well)
    seen = rows(mine("hosts").out)
    assert all("running" in seen[name] for name in ("hanging", "refusing", "well"))
    hanging.freeze_sshd()
    refusing.power_off()
    began = time.monotonic()
    with mine.popen("hosts", bufsize=0) as asked:
        assert asked.stdout and asked.stderr
        early = [asked.stdout.readline().decode() for _ in range(2)]
        assert early[0].startswith("NAME") and not early[1].startswith("hanging")
        rest, notes = (text.decode() for text in asked.communicate(timeout=60))
    assert time.monotonic() - began < 40
    assert asked.returncode == 0
    shown = rows(early[1] + rest)
    assert shown["well"][1] == "running"
    assert shown["refusing"] == ["ssh", "unreachable", seen["refusing"][2], "-", "-"]
    assert shown["hanging"] == ["*", "ssh", "unreachable", seen["hanging"][3], "-", "-"]
    assert notes.count("orch: ") == 2 and notes.count(" (last seen ") == 2 and "hanging: hanging" not in notes


def test_a_host_that_needs_a_person_says_so(machine: Machine, laptop: Laptops) -> None:
    machine.known_hosts.write_text("")
    done = laptop(machine)("hosts")
    assert done.status == 0 and rows(done.out)["box"][:2] == ["ssh", "unreachable"]
    assert "is not known here" in done.err and "\n  orch ssh box" in done.err
