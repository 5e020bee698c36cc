"""Accounts that are not as orch would have them: their start-up files, their shells, their homes, their clocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import eventually
from tests.support.disk import wrong_clock
from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]

TALKS = 'echo ready; while read -r line; do echo "got <$line>"; done; exit 4'
EXECUTES = "echo $(touch ~/executed) `touch ~/executed`; touch ~/executed\ntouch ~/executed\n"
"""A job that tells whoever runs it, also when only a line or a part of it is run."""


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    one = Terminal(home)
    yield one
    one.close()


def digest(mine: Laptop, *words: str) -> str:
    """Of what a command prints."""
    with mine.popen(*words) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return hashlib.sha256(out).hexdigest()


def lives(mine: Laptop) -> None:
    """A job's whole life."""
    assert mine("run", "job", TALKS).out.startswith("job.1 submitted to box")
    with mine.popen("logs", "-f", "job") as follower:
        assert follower.stdout
        assert follower.stdout.readline() == b"ready\n"
        assert mine("send", "job", "it's", "$HOME", '"\\n!').status == 0
        assert follower.stdout.readline() == b"it's $HOME \"\\n!\n"  # the terminal's echo
        assert follower.stdout.readline() == b"got <it's $HOME \"\\n!>\n"
        (row,) = mine("status", "--json").json["jobs"]
        assert row["state"] == "RUNNING"
        assert mine("cancel", "job", "--grace", "5s").out == "job.1 CANCELLED\n"
        assert follower.wait(60) == 0
    assert mine("wait", "job").status == 143
    assert mine("show", "job").status == 0
    assert mine("rerun", "job").out.startswith("job.2 submitted to box")


@pytest.mark.parametrize(
    "bashrc",
    [
        "echo hello",
        "head -c 5000 /dev/urandom; printf 'no newline'",
        "echo oh >&2; head -c 30000 /dev/urandom >&2",
        "seq 20000; head -c 100000 /dev/zero",
    ],
    ids=["a line", "bytes", "errors", "much"],
)
def test_a_start_up_file_that_prints(machine: Machine, laptop: Laptops, bashrc: str) -> None:
    machine.write(".bashrc", bashrc + "\n")
    mine = laptop(machine)
    lives(mine)
    machine.run("head -c 2000000 /dev/urandom >data")
    wanted = hashlib.sha256((machine.home / "data").read_bytes()).hexdigest()
    assert digest(mine, "run", "data", "cat data", "--no-tty", "--follow") == wanted
    assert digest(mine, "logs", "data") == digest(mine, "logs", "-f", "data") == wanted


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("bashrc", ["exec zsh", "exec fish", "exec sh", "exit 0", "echo no entry; exit 1"])
def test_a_start_up_file_that_runs_something_else(machine: Machine, laptop: Laptops, bashrc: str, known: bool) -> None:
    """Whatever reads our request in the place of our script runs nothing of it."""
    mine = laptop(machine)
    if known:
        assert mine("run", "job", TALKS).status == 0
    machine.write(".bashrc", bashrc + "\n")
    commands = [
        ["run", "other", EXECUTES],
        ["run", "another", "true", "--env", f"A={EXECUTES}", "--wait"],
        ["send", "job", "x\ntouch ~/executed"],
        ["status"],
        ["cancel", "job"],
    ]
    if "exit" in bashrc:
        commands += [["logs", "job"], ["logs", "-f", "job"], ["wait", "job"]]
    for words in commands:
        done = mine(*words, timeout=30)
        assert done.status == (255 if words[0] == "wait" else 1), (words, done)
        assert "box did not run what it was asked to" in done.err and "executed" not in done.err, (words, done)
        assert "orch doctor box" in done.err
    assert not (machine.home / "executed").exists()
    (machine.home / ".bashrc").unlink()
    assert [job["name"] for job in mine("status", "--json").json["jobs"]] == (["job"] if known else [])


@pytest.mark.parametrize(
    "guard", ["[ -t 1 ] && exec zsh", "case $- in *i*) exec fish ;; esac", "[ -z $PS1 ] && return"]
)
def test_a_start_up_file_with_a_guard(machine: Machine, laptop: Laptops, guard: str) -> None:
    machine.write(".bashrc", guard + "\necho interactive\n")
    lives(laptop(machine))


@pytest.mark.parametrize("shell", ["zsh", "fish", "dash"])
def test_another_login_shell(machines: Machines, laptop: Laptops, terminal: Terminal, shell: str) -> None:
    mine = laptop(machines(shell=shell))
    lives(mine)
    terminal.start([str(word) for word in mine.argv("attach", "job")], mine.env)
    terminal.shows("ready")
    terminal.types("it's $HOME")
    terminal.keys("Enter")
    terminal.shows("got <it's $HOME>")
    terminal.keys("C-b", "d")
    terminal.shows("[ended 0]")
    assert mine("cancel", "job").status == 0


def with_orch_home(machine: Machine, laptop: Laptops, place: str) -> Laptop:
    mine = laptop(machine)
    mine.config.write_text(mine.config.read_text() + f'orch_home = "{place}"\n')
    return mine


def test_a_home_that_may_not_be_written(machine: Machine, laptop: Laptops) -> None:
    machine.home.chmod(0o555)
    mine = laptop(machine)
    for words in (["run", "job", "true"], ["status"], ["logs", "job"]):
        done = mine(*words)
        assert (done.status, done.out) == (1, "")
        assert "cannot put the agent on box" in done.err and 'orch_home = "DIR" under [hosts.box]' in done.err
    mine = with_orch_home(machine, laptop, "/tmp/deep/er")
    lives(mine)
    assert mine("show", "job.1", "--json").json["job"]["log_path"].startswith("/tmp/deep/er/")
    assert sorted(path.name for path in machine.home.iterdir()) == [".ssh"]


def test_a_home_that_became_read_only(machine: Machine, laptop: Laptops) -> None:
    """The agent is there, and nothing can be written any more."""
    mine = laptop(machine)
    assert mine("run", "job", "echo said", "--wait").status == 0
    machine.run("chmod -R a-w ~/.orch ~/logs ~")
    done = mine("run", "other", "true")
    assert (done.status, done.out) == (1, "") and "/home/me/" in done.err, done
    assert 'orch_home = "DIR" under [hosts.box]' in done.err
    machine.run("chmod -R u+w ~ ~/.orch ~/logs")
    assert mine("logs", "job").out == "said\n"


@pytest.mark.parametrize("setting", ["SetEnv HOME=", "SetEnv HOME=/nowhere/me"], ids=["none", "one that is not there"])
def test_an_account_without_a_home(machines: Machines, laptop: Laptops, setting: str) -> None:
    machine = machines(sshd=[setting])
    done = laptop(machine)("run", "job", "true")
    assert (done.status, done.out) == (1, "") and "orch_home" in done.err, done
    mine = with_orch_home(machine, laptop, "/tmp/orch")
    assert mine("run", "job", "pwd; echo said", "--cwd", "/tmp", "--follow").out == "/tmp\nsaid\n"
    (row,) = mine("status", "--json").json["jobs"]
    assert row["state"] == "COMPLETED"


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["fast", "slow"])
def test_a_clock_that_is_an_hour_off(machines: Machines, laptop: Laptops, seconds: int) -> None:
    """Nothing is cancelled here: with libfaketime Python 3.9 cannot sleep."""
    machine = machines(sshd=[wrong_clock(seconds)])
    mine = laptop(machine)
    assert mine("run", "job", "echo said; read -r line; exit 3").status == 0
    eventually(lambda: mine("logs", "job", "--since", "10m").out == "said\n", "it was said just now")
    eventually(lambda: mine("logs", "job", "--since", "1s").out == "", "it was said long ago")
    assert mine("wait", "job", "--timeout", "0.5s").status == 255
    with mine.popen("wait", "job", "--timeout", "30m") as waiting:
        assert mine("run", "short", "exit 5", "--wait").status == 5
        assert waiting.poll() is None, "half an hour is not over"
        assert mine("send", "job", "").status == 0
        assert waiting.wait(60) == 3
    job, short = sorted(mine("status", "--json").json["jobs"], key=lambda one: str(one["name"]))
    assert job["started_at"] <= short["started_at"] <= short["ended_at"] <= job["ended_at"]
    assert mine("status").status == 0
    machine.stop_sshd()
    done = mine("status")
    assert done.status == 1 and "job" in done.out and "s ago" in done.out, done
