"""Hosts that cannot be used: what every job command says then, how soon, and that no other host suffers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.mounts import tmpfs
from tests.support.agent import eventually
from tests.support.cli import Done
from tests.support.keys import ssh_key
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]

ONCE = [["run", "job", "true"], ["show", "job"], ["send", "job", "hello"], ["rerun", "job"], ["status"]]
AGAIN = [["logs", "job"], ["cancel", "job"], ["logs", "-f", "job"], ["wait", "job"]]
"""Commands that go on when a link was lost."""


def at_once(mine: Laptop, commands: Sequence[Sequence[str]]) -> list[Done]:
    """Run commands side by side; none may hang."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda words: mine(*words, timeout=60), commands))


def refused(mine: Laptop, commands: Sequence[Sequence[str]], status: int, *says: str) -> None:
    """Each of the commands ends with ``status``, or 255 where others would pass for the job's own; says why."""
    for words, done in zip(commands, at_once(mine, commands), strict=True):
        assert (done.status, done.out) == (255 if "wait" in words else status, ""), (words, done)
        assert done.err.startswith("orch: ") and all(text in done.err for text in says), (words, done.err)


def rows(text: str) -> dict[str, list[str]]:
    """The lines of a table, by their first word."""
    return {line.split()[0]: line.split() for line in text.splitlines()}


def test_a_host_that_refuses(machine: Machine, laptop: Laptops) -> None:
    machine.stop_sshd()
    refused(laptop(machine), ONCE + AGAIN, 1, "box (me@127.0.0.1) refuses connections", "\n  orch doctor box")


def test_a_host_without_a_way_to_it(link: Link, machines: Machines, laptop: Laptops) -> None:
    mine = laptop(machines(link=link))
    link.unplug()
    refused(mine, ONCE + AGAIN, 1, f"box (me@{link.far}) cannot be reached", "\n  orch doctor box")


def test_a_host_that_takes_connections_and_is_silent(machine: Machine, laptop: Laptops) -> None:
    machine.freeze_sshd()
    refused(laptop(machine), ONCE + AGAIN, 1, "box", "\n  ")  # some waited for the one that connects


def test_a_host_that_falls_silent(machine: Machine, laptop: Laptops) -> None:
    """The lane is there, and nothing comes through it."""
    mine = laptop(machine)
    assert mine("run", "job", "sleep 300").status == 0
    eventually(lambda: rows(mine("status").out)["job"][1] == "RUNNING", "it runs, and the laptop knows")
    machine.freeze_sshd()
    *others, status = at_once(mine, [*ONCE[1:3], ["status"]])
    for done in others:
        assert (done.status, done.out) == (1, "") and "box" in done.err and "\n  orch " in done.err, done
    assert status.status == 1 and rows(status.out)["job"][1] == "RUNNING" and "ago" in status.out
    machine.thaw_sshd()
    assert mine("cancel", "job", "--grace", "0s").out == "job.1 CANCELLED\n"


def test_a_slow_host_behind_a_slow_link(links: Callable[..., Link], machines: Machines, laptop: Laptops) -> None:
    machine = machines(link=links(0.15))
    machine.write(".bashrc", "sleep 1\n")
    mine = laptop(machine)
    done = mine("run", "job", "echo slowly; exit 3", "--follow")
    assert (done.status, done.out) == (3, "slowly\n")
    status, logs, waited, cancelled = at_once(mine, [["status"], ["logs", "job"], ["wait", "job"], ["cancel", "job"]])
    assert status.status == 0 and rows(status.out)["job"][1] == "FAILED" and "ago" not in status.out
    assert (logs.out, waited.status) == ("slowly\n", 3)
    assert cancelled.out == "job.1 had ended already: FAILED\n"


@pytest.fixture
def hung(machines: Machines, laptop: Laptops) -> Laptop:
    """A laptop with two hosts, of which one hangs since it was last seen: both had ``same``."""
    well, hanging = machines("well"), machines("hanging")
    mine = laptop(well, hanging)
    for name, host in (("good", "well"), ("same", "well"), ("bad", "hanging"), ("same", "hanging")):
        assert mine("run", name, "echo said; sleep 300", "--host", host).status == 0
    assert mine("status").status == 0
    hanging.freeze_sshd()
    return mine


def test_status_of_the_others_comes_at_once(hung: Laptop) -> None:
    with hung.popen("status") as status, ThreadPoolExecutor(1) as pool:
        document = pool.submit(hung, "status", "--json")
        assert status.stdout and status.stderr
        early = [status.stdout.readline().decode().split() for _ in range(3)]
        assert status.poll() is None, "it still waits for the host that hangs"
        late = status.stdout.read().decode()
        said = status.stderr.read().decode()
        assert status.wait(60) == 0
    assert {(row[0], row[2]) for row in early} == {("NAME", "HOST"), ("good", "well"), ("same", "well")}
    assert rows(late)["bad"][2:4] == ["hanging", "RUNNING"] and "ago" in late and "well" not in late
    assert "hanging" in said
    done = document.result()
    well, hanging = done.json["hosts"]
    assert done.status == 0 and len(done.json["jobs"]) == 4
    assert well["error"] is None and hanging["error"] and hanging["as_of"] < well["as_of"]


def test_a_job_is_found_while_another_host_hangs(hung: Laptop) -> None:
    began = time.monotonic()
    assert hung("logs", "good").out == "said\n"
    assert time.monotonic() - began < 9  # a host is given ten seconds
    twice = at_once(hung, [["logs", "same"], ["cancel", "same"], ["wait", "same"]])
    assert [done.status for done in twice] == [1, 1, 255]
    for done in twice:
        assert "same lives on well and, when last seen, on hanging" in done.err and "--host well" in done.err
    assert hung("cancel", "same", "--host", "well").out == "same.1 CANCELLED\n"
    cancelled, waited, bad = at_once(hung, [["cancel", "good"], ["wait", "good"], ["logs", "bad"]])
    assert cancelled.out == "good.1 CANCELLED\n" and waited.status == 143
    assert bad.status == 1 and "bad was on hanging when that was last seen" in bad.err


def test_a_changed_host_key(machine: Machine, laptop: Laptops) -> None:
    machine.new_host_key()
    machine.restart_sshd()
    mine = laptop(machine)
    refused(mine, ONCE + AGAIN, 4, "another one than before", "ssh-keygen -f", " -R ", "orch ssh box")
    assert machine.connections() == 0
    assert mine("run", "job", "true", "--json").error["kind"] == "not_authorised"


def test_an_unknown_host_key(machine: Machine, laptop: Laptops) -> None:
    machine.known_hosts.write_text("")
    refused(laptop(machine), ONCE + AGAIN, 4, "is not known here", "\n  orch ssh box")
    assert machine.known_hosts.read_text() == ""


def test_a_password(machines: Machines, laptop: Laptops) -> None:
    refused(laptop(machines(password=True)), ONCE + AGAIN, 4, "asks for a password", "\n  orch ssh box", "ssh-copy-id")


def test_a_passphrase_and_no_agent(machine: Machine, laptop: Laptops) -> None:
    key = ssh_key("open sesame")
    machine.authorize(key)
    mine = laptop(more=machine.config(IdentityFile=str(key)))
    refused(mine, ONCE + AGAIN, 4, f"{key} has a passphrase", "ssh-add ", "orch ssh box")


def test_a_terminal_is_not_asked_either(machines: Machines, laptop: Laptops, home: Path) -> None:
    mine = laptop(machines(password=True))
    terminal = Terminal(home)
    try:
        terminal.start([str(word) for word in mine.argv("run", "job", "true")], mine.env, width=200)
        assert "password:" not in terminal.shows("[ended 4]")
    finally:
        terminal.close()


def fill(machine: Machine) -> None:
    machine.run("cat /dev/zero >full", check=False)
    assert machine.run("echo more >more", check=False).returncode


def test_a_first_contact_with_a_full_disk(machines: Machines, laptop: Laptops, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "8m") as disk:
        machine = machines(home=disk)
        fill(machine)
        mine = laptop(machine)
        done = mine("run", "job", "touch ran")
        assert done.status == 1 and "cannot put the agent on box" in done.err and "No space left" in done.err
        assert machine.run("ls -A .orch", check=False).stdout == ""
        machine.run("rm full")
        assert mine("run", "job", "echo room", "-f").out == "room\n"
        machine.close()


def test_a_disk_that_fills_up(machines: Machines, laptop: Laptops, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "8m") as disk:
        machine = machines(home=disk)
        mine = laptop(machine)
        assert mine("run", "long", "echo before; until [ -e /tmp/go ]; do sleep 0.05; done; echo after").status == 0
        eventually(lambda: mine("logs", "long").out == "before\n", "it writes")
        fill(machine)
        done = mine("run", "more", "touch /tmp/ran")
        assert (done.status, done.out) == (1, "") and "disk" in done.err, done
        assert mine("logs", "long").out == "before\n"
        machine.run("touch /tmp/go")
        assert mine("wait", "long").status == 0
        assert mine("logs", "long").out.startswith("before\n")
        machine.run("rm full")
        assert [job["name"] for job in mine("status", "--all", "--json").json["jobs"]] == ["long"]
        assert machine.run("ls /tmp/ran", check=False).stdout == ""
        assert mine("run", "more", "echo room; echo $ORCH_JOB", "-f").out == "room\nmore.1\n"
        machine.close()


class Other(Laptop):
    """A laptop with a version of its own: another agent."""

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        """The command line."""
        source = self.home / "src"
        if not source.exists():
            here = Path(__file__).parents[2] / "src"
            subprocess.run(["cp", "-r", str(here), str(source)], check=True)
            with (source / "orch_agent/model.py").open("a") as file:
                file.write("# another version\n")
        python, option, program, *rest = super().argv(*words)
        assert isinstance(program, str)
        return [python, option, f"import sys; sys.path.insert(0, {str(source)!r}); {program}", *rest]


def test_two_laptops_with_two_versions(machine: Machine, laptop: Laptops) -> None:
    one, two = laptop(machine), Other(machine)
    try:
        for mine, name in ((one, "first"), (two, "second")):
            assert mine("run", name, "echo said; read line; echo $line").status == 0
        for mine in (one, two):
            assert {name: row[1] for name, row in rows(mine("status").out).items() if name != "NAME"} == {
                "first": "RUNNING",
                "second": "RUNNING",
            }
        assert two("send", "first", "from the other").status == 0
        assert two("wait", "first").status == 0
        assert two("logs", "first").out.endswith("from the other\n")
        assert one("cancel", "second").out == "second.1 CANCELLED\n"
        assert two("wait", "second").status == 143
        assert two("run", "first", "true", "--wait").status == one("run", "second", "true", "--wait").status == 0
        assert len(machine.run("ls -d .orch/agent-*").stdout.split()) == 2
    finally:
        two.close()
