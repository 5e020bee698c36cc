"""Snapshots whose link is cut, whose disk is full, whose runner dies, whose store is pruned: whole, or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch_agent import files, pruning, stores
from tests.faults import mounts
from tests.faults.test_disk import break_ledger, fill
from tests.support.agent import Agent, Refused, eventually, is_unsupervised
from tests.support.snapshots import LAPTOP, STORE, Tree, ask

DAY = 86400.0


@pytest.fixture
def tree(home: Path) -> Tree:
    return Tree(home / "lros")


def store(agent: Agent) -> Path:
    return agent.root / "code" / STORE


def left(agent: Agent) -> list[str]:
    """What is in a store besides what belongs there."""
    found = [one.name for one in store(agent).iterdir() if one.name not in ("git", "lock", "share", "pruned")]
    packs = [one.name for one in (store(agent) / "git" / "objects" / "pack").iterdir()]
    return [*found, *(one for one in packs if not one.startswith("pack-"))]


def make_old(path: Path, seconds: float = 40 * DAY) -> None:
    then = time.time() - seconds
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(one, (then, then), follow_symlinks=False)


def fsck(agent: Agent) -> None:
    done = subprocess.run(["git", "--git-dir", store(agent) / "git", "fsck", "--strict", "--full"], capture_output=True)
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_a_pack_that_is_cut_leaves_nothing(agent: Agent, tree: Tree) -> None:
    tree.write("x", os.urandom(200_000))
    tree.write("y", "text\n" * 1000)
    commit = tree.take()
    data = tree.pack(commit)
    request = {"pack": tree.fields(commit, len(data))}
    for cut in (0, 1, 4, 11, 12, 13, 200, len(data) // 2, len(data) - 21, len(data) - 1):
        with pytest.raises(Refused, match=f"{len(data) - cut} of {len(data)} bytes did not come"):
            ask(agent, "receive", request, data[:cut])
        assert left(agent) == []
    wrong = {
        "changed": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "another": b"x" * len(data),
        "shorter": data[:-30] + b"0" * 30,
    }
    for what, bad in wrong.items():
        with pytest.raises(Refused, match="git cannot take what was sent"):
            ask(agent, "receive", request, bad)
        assert left(agent) == [], what
    other = tree.commit(tree.tree(("100644", b"z", tree.blob(b"1"))))
    with pytest.raises(Refused) as refused:  # a sound pack, which has not what it is said to have
        ask(agent, "receive", {"pack": tree.fields(other, len(data))}, data)
    assert refused.value.kind == "no_code" and left(agent) == []
    with pytest.raises(Refused) as refused:
        ask(agent, "receive", {"store": STORE, "commit": commit})
    assert refused.value.kind == "no_code"
    for _ in range(2):  # the second is the same again
        assert ask(agent, "receive", request, data)["received"]
    fsck(agent)


def test_an_agent_that_is_killed_leaves_nothing_for_long(agent: Agent, tree: Tree) -> None:
    tree.write("x", os.urandom(1_000_000))
    commit = tree.take()
    data = tree.pack(commit)
    for part in (0, 1000, len(data) // 2, len(data) - 1):
        process = agent.popen("receive", {"pack": tree.fields(commit, len(data)), "announce": True})
        assert process.stdin and process.stdout and process.stderr
        with process:
            assert b"ready" in process.stdout.readline()
            process.stdin.write(data[:part])
            process.stdin.flush()
            eventually(lambda: list(store(agent).glob("incoming-*")), "it has begun")
            process.kill()
    assert tree.send(agent, commit)["received"]
    eventually(lambda: not left(agent), "the next one has tidied up")
    fsck(agent)


def test_an_agent_that_is_killed_anywhere_leaves_a_store_that_works(agent: Agent, tree: Tree) -> None:
    """At moments spread over all that a submission with its code does."""
    tree.write("x", os.urandom(100_000))
    commit = tree.take()
    data = tree.pack(commit)
    spec = {"name": "train", "command": "wc -c < x", "code": tree.code(commit)}
    began = time.monotonic()
    ask(agent, "submit", {"id": "first", "spec": spec, "pack": tree.fields(commit, len(data))}, data)
    whole = time.monotonic() - began
    agent.wait("train")
    for number in range(9):
        shutil.rmtree(store(agent))
        request = {"id": f"k{number}", "spec": {**spec, "name": f"k{number}"}, "pack": tree.fields(commit, len(data))}
        process = agent.popen("submit", request)
        assert process.stdin and process.stdout and process.stderr
        with process:
            process.stdin.write(data)
            process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(whole * number / 7)
            process.kill()
        job = ask(agent, "submit", request, data)["job"]
        assert agent.wait(f"k{number}")["state"] == "COMPLETED", agent.show(f"k{number}")
        assert (store(agent) / "git" / "refs" / "orch" / "jobs" / job["id"]).read_text().strip() == commit
    fsck(agent)


def test_what_others_left_on_the_way_goes_when_it_is_old(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1")
    tree.send(agent, tree.take())
    for name in ("fresh-1-aa", "git.123", "incoming-1-aa"):
        (store(agent) / name).mkdir()
    (store(agent) / "ref.123").write_text("")
    tree.write("x", "2")
    tree.send(agent, tree.take())
    assert sorted(left(agent)) == ["fresh-1-aa", "git.123", "ref.123"]  # somebody may be at it
    for name in left(agent):
        make_old(store(agent) / name, 2 * DAY)
    tree.write("x", "3")
    tree.send(agent, tree.take())
    assert left(agent) == []


def test_two_laptops_at_once(agent: Agent, tree: Tree) -> None:
    """The first that this repository's store hears of, from both; and the same pack twice."""
    other = Tree(agent.home / "other", laptop="ff" * 8)
    tree.write("x", os.urandom(300_000))
    other.write("x", os.urandom(300_000))
    mine, yours = tree.take(), other.take()
    sent = [(tree, mine), (tree, mine), (other, yours), (other, yours)] * 2
    processes = []
    for one, commit in sent:
        data = one.pack(commit)
        process = agent.popen("receive", {"pack": one.fields(commit, len(data)), "announce": True})
        processes.append((process, data))
    for process, data in processes:
        out, err = process.communicate(data, timeout=60)
        assert b'"received":true' in out, (out, err)
    refs = store(agent) / "git" / "refs" / "orch" / "laptops"
    assert {one.name: one.read_text().strip() for one in refs.iterdir()} == {LAPTOP: mine, other.laptop: yours}
    assert left(agent) == []
    fsck(agent)


@pytest.fixture
def small(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The agent keeps everything on a disk of 8 MB."""
    with mounts.of_agent(agent, monkeypatch, "8m") as disk:
        yield disk


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def test_a_pack_that_does_not_fit_is_refused_in_words(agent: Agent, small: Path, tree: Tree) -> None:
    """Where its size says so, and where only git finds out."""
    agent.submit("keeper", "sleep 300")
    agent.running("keeper")
    tree.write("x", os.urandom(9 << 20))
    commit = tree.take()
    before = free(small)
    for said in (len(tree.pack(commit)), 1 << 20):
        with pytest.raises(Refused, match=r"the disk that holds .* is full|git cannot take") as refused:
            ask(agent, "receive", {"pack": tree.fields(commit, said)}, tree.pack(commit)[:said])
        assert refused.value.kind == "host"
    big = tree.pack(commit)
    with (small / "filler").open("wb") as file:
        file.write(b"\0" * (before - (4 << 20)))
    tree.write("x", "y" * (8 << 20))  # a pack of 8 KB, and then there is more to come
    tree.write("z", os.urandom(2_200_000))
    other = tree.take()
    data = tree.pack(other)
    process = agent.popen("receive", {"pack": tree.fields(other, len(data)), "announce": True})
    assert process.stdin and process.stdout and process.stderr
    with process:
        assert b"ready" in process.stdout.readline()
        filler = fill(small)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.close()
        said = process.stdout.read()
        assert b"is full" in said and b'"host"' in said, said
    assert left(agent) == []
    filler.unlink()
    assert agent.show("keeper")["job"]["state"] == "RUNNING"
    assert tree.send(agent, other)["received"] and len(big) > 8 << 20


def test_code_that_does_not_fit_waits_for_room(agent: Agent, small: Path, tree: Tree) -> None:
    tree.write("x", "y" * (3 << 20))
    (small / "filler").write_bytes(b"\0" * (free(small) - (2 << 20)))
    tree.submit(agent, "train", "wc -c < x", tree.take())
    said = eventually(lambda: "no room for its code: " in str(agent.show("train")["job"]["reason"]), "it says so")
    assert said and agent.show("train")["job"]["state"] == "PENDING"
    assert "MB left, and it takes 4" in agent.show("train")["job"]["reason"]
    (status,) = agent.call("status", names=["train"])["jobs"]
    assert "no room for its code" in status["reason"]
    (small / "filler").unlink()
    assert agent.wait("train")["state"] == "COMPLETED"
    assert agent.log("train").split() == [b"%d" % (3 << 20)]


class Gate:
    """Holds up whoever lays code out, between the list of what there is and the first file, until it is opened."""

    def __init__(self, agent: Agent) -> None:
        self.place = agent.home / "gate"
        self.place.mkdir()
        real, git = shutil.which("git"), self.place / "bin" / "git"
        git.parent.mkdir()
        waits = f"touch {self.place}/$PPID; until [ -e {self.place}/open ]; do sleep 0.05; done"
        git.write_text(f'#!/bin/sh\n[ "$3" != cat-file ] || {{ {waits}; }}\nexec {real} "$@"\n')
        git.chmod(0o755)
        agent.env["PATH"] = f"{git.parent}:{os.environ['PATH']}"

    def runner(self) -> int:
        """The pid of one who stands there and lives."""
        return eventually(self._runner, "somebody lays it out")

    def _runner(self) -> int | None:
        pids = [int(one.name) for one in self.place.iterdir() if one.name.isdigit()]
        return next((pid for pid in pids if Path(f"/proc/{pid}").exists()), None)

    def open(self) -> None:
        """Everybody may go on."""
        (self.place / "open").touch()


@pytest.fixture
def gate(agent: Agent) -> Iterator[Gate]:
    one = Gate(agent)
    yield one
    one.open()


def test_a_disk_that_fills_meanwhile_leaves_no_half_of_it(agent: Agent, gate: Gate, small: Path, tree: Tree) -> None:
    """Somebody else takes the room that there was, while the code is laid out."""
    for number in range(300):
        tree.write(f"d{number % 30}/{number}", str(number) * 2000)
    job = tree.submit(agent, "train", "ls d*/* | wc -l", tree.take())
    gate.runner()
    code = small / "jobs" / job["id"]
    assert (code / "code.new").is_dir()
    filler = fill(small)
    gate.open()
    eventually(lambda: not (code / "code.new").exists(), "what there was of it is gone")
    assert not (code / "code").exists() and agent.show("train")["job"]["state"] == "PENDING"
    filler.unlink()
    assert agent.wait("train")["state"] == "COMPLETED"
    assert agent.log("train").split()[-1] == b"300"


def many(tree: Tree) -> str:
    for number in range(300):
        tree.write(f"d{number % 20}/{number}", str(number))
    return tree.take()


@pytest.mark.parametrize("tasks", [None, "0-3"])
def test_a_runner_that_dies_while_it_lays_out_is_followed_by_another(
    agent: Agent, gate: Gate, tree: Tree, tasks: str | None
) -> None:
    more = {"array": tasks} if tasks else {}
    job = tree.submit(agent, "train", "find . -type f -path './d*' | wc -l", many(tree), **more)
    for _ in range(2):
        pid = gate.runner()
        assert (agent.root / "jobs" / (job["array_id"] or job["id"]) / "code.new" / "d7").is_dir()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "it is dead")  # type: ignore[misc]
    gate.open()
    agent.wait("train")
    for run in range(1, 5 if tasks else 2):
        assert agent.log(f"train.{run}").split() == [b"300"]


def test_a_job_is_cancelled_while_its_code_is_laid_out(agent: Agent, gate: Gate, tree: Tree) -> None:
    job = tree.submit(agent, "train", "touch ~/began", many(tree))
    runner = gate.runner()
    shown = agent.show("train")["job"]
    assert (shown["state"], shown["reason"]) == ("PENDING", "its code is laid out")
    assert agent.call("cancel", jobs=["train"])["jobs"][0]["state"] == "CANCELLED"
    assert Path(f"/proc/{runner}").exists()  # nobody waited for that
    gate.open()
    eventually(lambda: not Path(f"/proc/{runner}").exists(), "its runner has gone")
    assert not (agent.root / "jobs" / job["id"] / "code.new").exists() and not (agent.home / "began").exists()


def test_a_task_is_cancelled_while_it_lays_out_for_all(agent: Agent, gate: Gate, tree: Tree) -> None:
    """The others get the code nevertheless."""
    tree.submit(agent, "sweep", "find . -type f -path './d*' | wc -l", many(tree), array="0-2")
    runner = gate.runner()
    words = Path(f"/proc/{runner}/comm").read_text()
    (ref,) = [ref for ref in ("sweep.1", "sweep.2", "sweep.3") if ref in words]
    assert agent.call("cancel", jobs=[ref])["jobs"][0]["state"] == "CANCELLED"
    gate.open()
    agent.wait("sweep")
    for run in (1, 2, 3):
        if f"sweep.{run}" != ref:
            assert agent.log(f"sweep.{run}").split() == [b"300"]


@pytest.mark.parametrize(
    ("place", "becomes"),
    [("code", "COMPLETED"), ("code/src", "leads out of its code, to "), (".", "has become a link")],
)
def test_a_retry_begins_nowhere_that_a_link_leads_to(agent: Agent, tree: Tree, place: str, becomes: str) -> None:
    """Whatever the first attempt has made of its tree: what the second would do there, it would do elsewhere."""
    tree.write("src/x", "1\n")
    elsewhere, go = agent.home / "elsewhere", agent.home / "go"
    (elsewhere / "src").mkdir(parents=True)
    command = f"pwd -P; touch mine; until [ -e {go} ]; do sleep 0.05; done; [ $ORCH_JOB_ATTEMPT = 2 ]"
    job = tree.submit(agent, "train", command, tree.take(), retries=1, retry_delay=0.01, cwd="src")
    path = agent.root / "jobs" / job["id"] / place
    eventually(lambda: agent.log("train"), "it runs")
    away = agent.home / "away"
    path.rename(away)
    path.symlink_to(away if place == "." else elsewhere)
    go.touch()
    ended = agent.wait("train")
    assert becomes in f"{ended['state']} {ended['reason']}"
    assert sorted(one.name for one in elsewhere.rglob("*")) == ["src"]


def test_a_tree_of_an_earlier_boot_counts_only_if_it_had_come_to_the_disk(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\n")
    commit = tree.take()
    for name, mark in (("kept", b"kept"), ("lost", b"another boot"), ("none", None)):
        directory = agent.root / "jobs" / name
        (directory / "code").mkdir(parents=True)
        (directory / "code" / "x").write_text("half")
        if mark:
            (directory / "code.mark").write_bytes(mark)
        data = tree.pack(commit)
        spec = {"name": name, "command": "cat x", "code": tree.code(commit)}
        ask(agent, "submit", {"id": name, "spec": spec, "pack": tree.fields(commit, len(data))}, data)
        agent.wait(name)
    assert [agent.log(name).strip() for name in ("kept", "lost", "none")] == [b"half", b"1", b"1"]
    eventually(lambda: (agent.root / "jobs" / "lost" / "code.mark").read_text() == "kept", "it is on the disk")


def test_a_damaged_store_ends_the_job_in_words(agent: Agent, tree: Tree) -> None:
    tree.write("x", os.urandom(50_000))
    tree.write("y", os.urandom(50_000))
    commit = tree.take()
    tree.send(agent, commit)
    (pack,) = (store(agent) / "git" / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(60_000)
        file.write(b"\0" * 1000)
    job = agent.finished("train", "touch ~/began", code=tree.code(commit))
    assert job["state"] == "NODE_FAIL" and "the store that has the snapshot is damaged" in job["reason"]
    assert not (agent.home / "began").exists() and not (agent.root / "jobs" / job["id"] / "code").exists()


# What is old


def pass_of(agent: Agent, monkeypatch: pytest.MonkeyPatch, before: float | None = None) -> None:
    """A pass over the stores, and what git does after it."""
    for name in os.listdir(agent.root / "code"):
        for mark in ("pruned", "git/HEAD"):
            with contextlib.suppress(FileNotFoundError):
                path = agent.root / "code" / name / mark
                make_old(path, max(2 * DAY, time.time() - path.stat().st_mtime))
    monkeypatch.setattr(pruning.detach, "aside", lambda work: work())
    for _ in pruning.steps(time.time() - 30 * DAY if before is None else before):
        pass


def has(agent: Agent, commit: str) -> bool:
    done = subprocess.run(["git", "--git-dir", store(agent) / "git", "cat-file", "-e", commit], capture_output=True)
    return done.returncode == 0


def forget(agent: Agent, job: dict[str, Any]) -> None:
    """As retention does."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(agent.root / "ledger.db", timeout=30)) as database, database:
        database.execute("DELETE FROM jobs WHERE id = ?", [job["id"]])
    shutil.rmtree(agent.root / "jobs" / job["id"])


def test_a_snapshot_goes_with_its_job_and_no_other_does(
    agent: Agent, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, jobs = [], []
    for number in range(3):
        tree.write("x", f"{number}\n" * 100)
        commits.append(tree.take())
        jobs.append(tree.submit(agent, f"j{number}", "cat x | head -1", commits[-1]))
    agent.wait("j0", "j1", "j2")
    eventually(lambda: is_unsupervised(agent.root), "nobody else is at work")
    forget(agent, jobs[0])
    pass_of(agent, monkeypatch)
    assert all(has(agent, one) for one in commits)  # a day is not over
    for one in (store(agent) / "git" / "objects").rglob("*"):
        make_old(one, 2 * DAY)
    pass_of(agent, monkeypatch)
    assert [has(agent, one) for one in commits] == [False, True, True]
    assert len(list((store(agent) / "git" / "objects" / "pack").glob("*.pack"))) == 1
    agent.finished("again", "cat x | head -1", code=tree.code(commits[1]))
    assert agent.log("again").strip() == b"1"
    fsck(agent)


def test_a_store_that_nobody_names_goes_but_for_what_runs_share(
    agent: Agent, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("x", "1")
    commit = tree.take()
    job = tree.submit(agent, "train", "echo > data/kept", commit, "data", "empty/one")
    agent.wait("train")
    eventually(lambda: is_unsupervised(agent.root), "nobody else is at work")
    forget(agent, job)
    pass_of(agent, monkeypatch)
    assert (store(agent) / "git").is_dir()
    for _ in range(2):
        make_old(store(agent))
        pass_of(agent, monkeypatch)
    assert not (store(agent) / "git").exists() and (store(agent) / "share" / "data" / "kept").exists()
    (store(agent) / "share" / "data" / "kept").unlink()
    (store(agent) / "share" / "empty" / "link").symlink_to(agent.home)
    make_old(store(agent))
    pass_of(agent, monkeypatch)
    assert (store(agent) / "share" / "empty" / "link").is_symlink()
    (store(agent) / "share" / "empty" / "link").unlink()
    make_old(store(agent))
    pass_of(agent, monkeypatch)
    assert not store(agent).exists()
    assert tree.send(agent, commit)["received"]


def test_who_prunes_waits_for_who_submits(agent: Agent, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at what is here and the row, nothing of it is removed, and no ref dropped."""
    tree.write("x", "1\n")
    commit = tree.take()
    tree.send(agent, commit)
    (store(agent) / "git" / "refs" / "orch" / "laptops" / LAPTOP).unlink()
    for one in (store(agent) / "git" / "objects").rglob("*"):
        make_old(one, 2 * DAY)
    with stores.kept("someone", tree.code(commit)):
        pass_of(agent, monkeypatch)
        assert stores.refs(STORE, "jobs") == {"someone": commit} and has(agent, commit)
        with pytest.raises(BlockingIOError), stores.held(STORE, fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
    agent.call("status", names=[])
    pass_of(agent, monkeypatch)
    assert stores.refs(STORE, "jobs") == {}


def test_submissions_and_pruning_at_once(agent: Agent, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old snapshots that nothing names are used again while they are removed: each is refused, or whole."""
    agent.finished("first", "true")
    eventually(lambda: is_unsupervised(agent.root), "nobody else is at work")
    refused = ran = 0
    for number in range(6):
        tree.write("x", f"{number}\n")
        commit = tree.take()
        tree.send(agent, commit)
        (store(agent) / "git" / "refs" / "orch" / "laptops" / LAPTOP).unlink()
        for one in (store(agent) / "git" / "objects").rglob("*"):
            make_old(one, 2 * DAY)
        spec = {"name": f"j{number}", "command": "cat x", "code": tree.code(commit)}
        process = agent.popen("submit", {"id": f"j{number}", "spec": spec})
        time.sleep(0.02 * number)  # so that they meet at different places
        pass_of(agent, monkeypatch)
        out, err = process.communicate(timeout=60)
        assert not err, err
        if b'"no_code"' in out:
            refused += 1
        else:
            ran += 1
            assert agent.wait(f"j{number}")["state"] == "COMPLETED", agent.show(f"j{number}")
            assert agent.log(f"j{number}").split() == [b"%d" % number]
        fsck(agent)
    assert refused + ran == 6


def test_a_tree_that_cannot_be_written_is_removed_and_no_link_followed(home: Path) -> None:
    spared = home / "spared"
    spared.mkdir()
    (spared / "file").write_text("")
    code = home / "code"
    (code / "locked" / "deep").mkdir(parents=True)
    (code / "locked" / "deep" / "file").write_text("")
    (code / "locked" / "out").symlink_to(spared)
    (code / "out").symlink_to(spared)
    for one in (code / "locked" / "deep", code / "locked"):
        one.chmod(0o500 if one.name == "deep" else 0)
    program = "import sys; sys.path.insert(0, sys.argv[1]); from orch_agent import files; [*files.removal(sys.argv[2])]"
    words = [sys.executable, "-c", program, str(Path(files.__file__).parents[1]), str(code)]
    if os.getuid() == 0:  # which may do anything, unless it is told not to
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
    subprocess.run(words, check=True)
    assert not code.exists() and (spared / "file").exists()


# What somebody else does to all this meanwhile


def test_a_store_that_is_removed_while_jobs_wait(agent: Agent, tree: Tree) -> None:
    """Who has its code goes on with it; who has not ends in words; and all is sent anew to whoever comes next."""
    tree.write("x", "1\n")
    commit, go = tree.take(), agent.home / "go"
    wait = f"touch been; until [ -e {go} ]; do sleep 0.05; done"
    tree.submit(agent, "first", f"[ -e been ] || {{ {wait}; exit 1; }}; cat x", commit, retries=1, retry_delay=0.01)
    tree.submit(agent, "second", "touch ~/began", commit, after=["first"])
    agent.running("first")
    shutil.rmtree(store(agent))
    go.touch()
    assert agent.wait("first")["state"] == "COMPLETED" and agent.log("first") == b"1\r\n"
    ended = agent.wait("second")
    assert ended["state"] == "NODE_FAIL" and "is damaged" in ended["reason"] and "sends all anew" in ended["reason"]
    assert not (agent.home / "began").exists()
    with pytest.raises(Refused) as refused:
        agent.submit("third", "cat x", code=tree.code(commit))
    assert refused.value.kind == "no_code"
    tree.submit(agent, "third", "cat x", commit)
    assert agent.wait("third")["state"] == "COMPLETED" and agent.log("third") == b"1\r\n"


def test_the_tasks_of_an_array_get_anew_what_one_has_taken_away(agent: Agent, tree: Tree) -> None:
    """Each with its retry; what leads elsewhere is none of theirs."""
    tree.write("x", "1\n")
    elsewhere, go = agent.home / "elsewhere", agent.home / "go"
    elsewhere.mkdir()
    wait = f"until [ -e {go} ]; do sleep 0.05; done"
    command = f"cat x && pwd -P && touch $ORCH_ARRAY_TASK.$ORCH_JOB_ATTEMPT; {wait}; [ $ORCH_JOB_ATTEMPT = 2 ]"
    job = tree.submit(agent, "sweep", command, tree.take(), array="0-2%1", retries=1, retry_delay=0.01)
    code = agent.root / "jobs" / job["array_id"] / "code"
    eventually((code / "0.1").exists, "the first runs")
    code.rename(agent.home / "away")
    code.symlink_to(elsewhere)
    go.touch()
    agent.wait("sweep")
    for run in (1, 2, 3):
        assert agent.show(f"sweep.{run}")["job"]["state"] == "COMPLETED"
        assert agent.log(f"sweep.{run}").split() == [b"1", os.fsencode(code)] * 2
    assert os.listdir(elsewhere) == [] and not code.is_symlink()
    assert {one.name for one in code.iterdir()} == {"x", "0.2", "1.1", "1.2", "2.1", "2.2"}


def test_a_ledger_that_is_lost_loses_no_code(agent: Agent, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits gets what it was submitted with, though somebody prunes; who asks again is told of that very job."""
    tree.write("x", "1\n")
    commit, go = tree.take(), agent.home / "go"
    agent.submit("first", f"until [ -e {go} ]; do sleep 0.05; done")
    job = tree.submit(agent, "second", "cat x", commit, "data", after=["first"], array="0-1")
    agent.running("first")
    break_ledger(agent, "random bytes")
    assert agent.call("status")["jobs"]
    pass_of(agent, monkeypatch)
    spec = {"name": "second", "command": "cat x", "after": ["first"], "array": "0-1"}
    code = {**tree.code(commit, "data"), "branch": "other"}
    again = agent.call("submit", id=job["array_id"], spec={**spec, "code": code})
    assert (again["created"], again["job"]["id"]) == (False, job["id"])
    with pytest.raises(Refused, match=f"submitted with the snapshot {commit[:7]}"):
        tree.write("x", "2\n")
        other = tree.take()
        tree.send(agent, other)
        agent.call("submit", id=job["array_id"], spec={**spec, "code": tree.code(other, "data")})
    go.touch()
    agent.wait("first", "second")
    assert [agent.log(f"second.{run}") for run in (1, 2)] == [b"1\r\n"] * 2


@pytest.mark.parametrize(
    "path", ["", ".", "..", "../x", "/etc", "a/../../x", "a//b", "a/", "./a", ".git", ".GIT/hooks", "a/.git/x", "a\0b"]
)
def test_a_shared_directory_is_below_the_top(agent: Agent, tree: Tree, path: str) -> None:
    tree.write("x", "1\n")
    with pytest.raises(Refused) as refused:
        tree.submit(agent, "train", "touch ~/began", tree.take(), "data", path)
    assert refused.value.kind == "usage"
    assert not (agent.root / "code" / STORE / "share").exists() and not (agent.home / "began").exists()


def test_a_shared_directory_that_is_none_on_this_host(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\n")
    commit = tree.take()
    tree.send(agent, commit)
    share = store(agent) / "share"
    share.mkdir(exist_ok=True)
    (share / "data").write_text("a file")
    (share / "gone").symlink_to(agent.home / "nowhere")
    for name in ("data", "data/below", "gone"):
        tree.submit(agent, "train", "touch ~/began", commit, name)
        ended = agent.wait("train")
        assert ended["state"] == "NODE_FAIL" and f"share '{name}', and on this host" in ended["reason"]
    assert not (agent.home / "began").exists() and (share / "data").read_text() == "a file"
