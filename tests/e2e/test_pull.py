"""``orch pull`` as a person calls it: on this machine, over ssh, over a link that is cut, and while the job runs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]
LEAVES = r"""
mkdir -p results/deep/empty; seq 1000 >results/a.csv; chmod 750 results/a.csv; ln -s ../a.csv results/deep/link
printf x >"results/two
lines"; printf y >"$(printf 'results/\377')"; ln -s /etc results/out; mkfifo results/fifo
echo model >"$ORCH_OUT/model"
"""


def tree(directory: Path) -> dict[str, object]:
    """Everything below, with what it holds; of links where they lead, of the rest its mode too."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(directory))] = what if path.is_symlink() else (mode, what)
    return found


def check(done_in: Path, left: Path) -> None:
    """All of the results are here, but for what leads out and what is no file."""
    wanted = tree(left)
    del wanted["out"]
    wanted = {path: what for path, what in wanted.items() if path != "fifo"}
    assert tree(done_in / "results") == wanted


def test_on_this_machine(orch: Orch, agent: Agent) -> None:
    work, here = orch.home / "work", orch.home / "here"
    work.mkdir()
    here.mkdir()
    assert orch("run", "job", LEAVES, "--wait", cwd=work).status == 0
    assert orch("pull", "job", cwd=here) == (0, "job.1: 1 file, 6B, in .\n", "")
    assert (here / "model").read_text() == "model\n"
    done = orch("pull", "job", "results/", cwd=here)
    assert (done.status, done.out) == (1, "job.1: 4 files, 3.8KB, in .\n")
    assert (
        "results/fifo is left out: it is a fifo" in done.err and "results/out is left out: a link to /etc" in done.err
    )
    check(here, work / "results")
    assert orch("pull", "job", "results/*.csv", cwd=here).out == "job.1: 0 files, 0B, in .; 1 was here already\n"
    (here / "results/a.csv").write_text("mine\n")
    done = orch("pull", "job", "results/a.csv", cwd=here)
    assert (done.status, done.out) == (1, "")
    assert (
        "here and not the same, 1 of them changed later than there: results/a.csv" in done.err and "--yes" in done.err
    )
    assert (here / "results/a.csv").read_text() == "mine\n"
    done = orch("pull", "job", "results/a.csv", "--json", cwd=here)
    assert done.error["kind"] == "refused"
    assert orch("pull", "job", "results/a.csv", "--yes", cwd=here).status == 0
    check(here, work / "results")
    done = orch("pull", "job", "nope")
    assert (done.status, done.err) == (1, f"orch: job.1 has no nope in {work} on local\n  ls -l {work}\n")


def test_the_document(orch: Orch, agent: Agent) -> None:
    orch("run", "job", LEAVES, "--wait")
    done = orch(
        "pull", "job", "results", "--to", "~/there", "--log", "--json", env={"XDG_DATA_HOME": f"{orch.home}/data"}
    )
    assert list(done.json) == ["job", "to", "files", "bytes", "same", "changed", "left", "kept"]
    assert (done.status, done.json["to"], done.json["files"], done.json["same"]) == (1, f"{orch.home}/there", 4, 0)
    assert (done.json["bytes"], done.json["changed"], done.json["job"]["name"]) == (3895, [], "job")
    assert sorted(one["path"] for one in done.json["left"]) == ["results/fifo", "results/out"]
    kept = orch.home / "data/orch/kept/local/job"
    assert done.json["kept"] == {"log": f"{kept}/1.log", "record": f"{kept}/1.json"}
    done = orch("pull", "job", "--log", "--json")
    assert (done.status, done.json["to"], done.json["files"]) == (0, None, 0) and done.json["job"]["name"] == "job"


def test_a_log_is_kept_and_read(orch: Orch, agent: Agent) -> None:
    orch("run", "job", "echo one; echo two; exit 3", "--wait")
    done = orch("pull", "job", "--log")
    log = orch.home / ".local/share/orch/kept/local/job/1.log"
    assert (done.status, done.out) == (0, f"job.1: its log is kept in {log}\n")
    assert log.read_bytes() == b"one\r\ntwo\r\n"
    record = json.loads(log.with_suffix(".json").read_text())
    assert (record["exit_code"], record["state"], record["name"]) == (3, "FAILED", "job")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (log, log.with_suffix(".json"))} == {0o600}


def test_while_the_job_runs(orch: Orch, agent: Agent) -> None:
    """What is written meanwhile is told, or comes the next time; nothing is half a file."""
    orch("run", "job", 'while :; do head -c 1000000 /dev/zero >>"$ORCH_OUT/grows"; done', "--log-max", "1M")
    eventually(lambda: orch("pull", "job", "--to", "first").status == 0, "it has written something")
    first = (orch.home / "first/grows").stat().st_size
    assert first > 0
    done = orch("pull", "job", "--to", "first", "--yes")
    assert done.status == 0 and (orch.home / "first/grows").stat().st_size > first
    assert orch("cancel", "job").status == 0


@pytest.mark.parametrize("answer", ["n", "y"])
def test_in_front_of_a_terminal(orch: Orch, agent: Agent, terminal: Terminal, answer: str) -> None:
    orch("run", "job", 'echo theirs >"$ORCH_OUT/x"; truncate -s 300M "$ORCH_OUT/large"', "--wait")
    (orch.home / "here").mkdir()
    (orch.home / "here/x").write_text("mine")
    terminal.start([str(word) for word in orch.argv("pull", "job", "--to", f"{orch.home}/here")], orch.env)
    assert "here and not the same" in terminal.shows("Write over it? [y/N]:")
    terminal.types(answer)
    terminal.keys("Enter")
    screen = terminal.shows("[ended ")
    assert (orch.home / "here/x").read_text() == ("mine" if answer == "n" else "theirs\n")
    assert ("[ended 1]" in screen and "nothing was brought" in screen) == (answer == "n")
    assert ("[ended 0]" in screen and "job.1: 2 files, 300.0MB, in" in screen) == (answer == "y")


def test_over_ssh(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    assert mine("run", "job", LEAVES, "--cwd", "lab", "--wait").status == 1, "there is no such directory"
    machine.run("mkdir lab")
    assert mine("run", "job", LEAVES, "--cwd", "lab", "--wait").status == 0
    here = mine.home / "here"
    done = mine("pull", "job", "results", f"{mine.home}/lab/results/a.csv", "--to", "here", cwd=mine.home)
    assert (done.status, done.out) == (1, "job.1: 5 files, 7.6KB, in here\n"), "our home in its place is the home there"
    assert (here / "a.csv").read_bytes() == (here / "results/a.csv").read_bytes()
    check(here, machine.home / "lab/results")
    assert mine("pull", "job", "--to", "here", cwd=mine.home).out == "job.1: 1 file, 6B, in here\n"
    assert mine("pull", "job", "nope").err.endswith("orch ssh box -- ls -l /home/me/lab\n")
    assert machine.connections() == 1


def test_many_small_files_are_one_stream(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    many = "mkdir many; cd many; for d in $(seq 20); do mkdir $d; for f in $(seq 100); do echo $d $f >$d/$f; done; done"
    assert mine("run", "job", many, "--wait").status == 0
    before = len(machine.sessions())
    done = mine("pull", "job", "many", "--to", "here", cwd=mine.home)
    assert done.out.startswith("job.1: 2000 files, ") and len(machine.sessions()) - before == 2
    assert tree(mine.home / "here/many") == tree(machine.home / "many")
    done = mine("pull", "job", "many", "--to", "here", cwd=mine.home)
    assert done.out == "job.1: 0 files, 0B, in here; 2000 were here already\n"


SIZE = 24 << 20


@pytest.fixture
def large(links: Callable[..., Link], machines: Machines, laptop: Laptops) -> tuple[Laptop, Machine, Link]:
    """A job that has left a large file, behind a link that takes its time."""
    link = links(0.02)
    machine = machines(link=link)
    mine = laptop(machine)
    leave = (
        f'head -c {SIZE} /dev/urandom >"$ORCH_OUT/large"; echo small >"$ORCH_OUT/small"; sha256sum "$ORCH_OUT/large"'
    )
    assert mine("run", "job", leave, "--wait").status == 0
    return mine, machine, link


def come(mine: Laptop) -> int:
    """How much of the file has come."""
    return sum(path.stat().st_size for path in (mine.home / "here").glob(".orch-part-*"))


def is_whole(mine: Laptop) -> None:
    here = mine.home / "here"
    assert sorted(os.listdir(here)) == ["large", "small"]
    assert hashlib.sha256((here / "large").read_bytes()).hexdigest() == mine("logs", "job").out.split()[0]


def test_a_link_that_is_cut_in_the_middle(large: tuple[Laptop, Machine, Link]) -> None:
    mine, machine, link = large
    with mine.popen("pull", "job", "--to", "here", cwd=mine.home) as pulling:
        eventually(lambda: come(mine) > SIZE // 8, "some of it has come")
        link.cut()
        machine.restart_sshd()  # it forgets the connection, which here is only noticed to be dead
        eventually(lambda: not [p for p in mine.processes() if _is_lane(p)], "the lane's end is noticed", 60)
        assert come(mine) < SIZE
        link.mend()
        out, err = pulling.communicate(timeout=120)
    assert (pulling.returncode, out.decode()) == (0, "job.1: 2 files, 24.0MB, in here\n"), err
    is_whole(mine)


def _is_lane(pid: int) -> bool:
    try:
        return b"ssh" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_another_pull_goes_on(large: tuple[Laptop, Machine, Link], how: str) -> None:
    mine, _, _ = large
    with mine.popen("pull", "job", "--to", "here", cwd=mine.home, start_new_session=True) as pulling:
        eventually(lambda: come(mine) > SIZE // 8, "some of it has come")
        if how == "killed":
            mine.crash()
        else:
            pulling.send_signal(signal.SIGINT)
            _, err = pulling.communicate(timeout=60)
            assert pulling.returncode == 130 and b"the same command goes on with the rest" in err
    before = come(mine)
    assert SIZE // 8 < before < SIZE
    done = mine("pull", "job", "--to", "here", cwd=mine.home, timeout=120)
    assert (done.status, done.out) == (0, "job.1: 2 files, 24.0MB, in here\n")
    is_whole(mine)


def test_at_the_end_of_a_run(orch: Orch, agent: Agent) -> None:
    """What a job has left is brought, however it ended; its own exit status comes first."""
    work, here = orch.home / "work", orch.home / "here"
    work.mkdir()
    here.mkdir()
    leaves = ("job", "mkdir -p results; date +%N >results/x; exit ${CODE:-0}", "--cwd", str(work), "--pull", "results")
    done = orch("run", *leaves, "--wait", cwd=here)
    assert done.status == 0 and done.err.endswith("job.1: 1 file, 10B, in .\n")
    assert (here / "results/x").read_bytes() == (work / "results/x").read_bytes()
    os.utime(here / "results/x", (2e9, 2e9))  # changed here, later than there
    done = orch("run", *leaves, "--follow", cwd=here)
    assert done.status == 1, "the job went well, the pull did not"
    assert "here and not the same" in done.err and "orch pull job.2 results --yes" in done.err
    done = orch("run", *leaves, "--env", "CODE=5", "--wait", cwd=here)
    assert done.status == 5 and "here and not the same" in done.err
    os.utime(here / "results/x", (1e9, 1e9))
    assert orch("rerun", "job", "--wait", "--pull", "results/*", "--pull", "nope", cwd=here).status == 5
    assert (here / "results/x").read_bytes() == (work / "results/x").read_bytes()
    (here / "results/x").unlink()
    done = orch("run", *leaves, "--wait", "--json", cwd=here)
    assert (done.status, done.json["job"]["run"], done.json["pulled"]["files"]) == (0, 5, 1)
    done = orch("run", "job", "true", "--wait", "--json", "--pull", "nope", cwd=here)
    assert (done.status, done.json["pulled"]) == (1, None) and "not pulled: job.6 has no nope" in done.error["message"]


def test_nobody_waits_for_what_is_to_be_pulled(orch: Orch, agent: Agent) -> None:
    done = orch("run", "job", "true", "--pull", "x")
    assert done.status == 2 and "add --wait or --follow" in done.err
    done = orch("run", "job", "true", "--wait", "--pull", "x", "--array", "0-1")
    assert done.status == 2 and "orch pull job.N PATH" in done.err
    assert orch("status", "--all", "--json").json["jobs"] == []
