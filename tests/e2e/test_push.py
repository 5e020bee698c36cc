"""``orch push``: files and directories from here, put on a host."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_pull import tree
from tests.faults import mounts
from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.fragile import Fault, Fragile
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]
OLD = 10**18  # nanoseconds since the epoch


def data(home: Path) -> Path:
    """A directory that holds whatever there can be."""
    place = home / "data"
    (place / "deep/empty").mkdir(parents=True)
    (place / "a.csv").write_text("".join(f"{n}\n" for n in range(1000)))
    (place / "a.csv").chmod(0o751)
    os.utime(place / "a.csv", ns=(OLD, OLD + 7))
    (place / "deep/link").symlink_to("../a.csv")
    (place / "out").symlink_to("/etc/passwd")
    (place / "two\nlines").write_text("x")
    (Path(os.fsdecode(os.fsencode(place) + b"/\xff"))).write_text("y")
    (place / "none").touch()
    (place / "closed").mkdir()
    (place / "closed/x").write_text("in it")
    (place / "closed").chmod(0o555)
    with (place / "holes").open("wb") as file:
        file.seek(2 << 30)
        file.write(b"end")
    return place


def same(here: Path, there: Path) -> None:
    """All of it is there."""
    ours, theirs = (without_holes(directory) for directory in (here, there))
    assert ours == theirs
    found = (there / "holes").stat()
    assert (found.st_size, found.st_blocks * 512 < 1 << 20) == ((2 << 30) + 3, True)
    assert (there / "a.csv").stat().st_mtime_ns == OLD + 7


def without_holes(directory: Path) -> dict[str, object]:
    """The tree; a file of 2 GB would have to be read into memory."""
    aside = directory.parent / f"{directory.name}.holes"
    os.rename(directory / "holes", aside)
    found = tree(directory)
    os.rename(aside, directory / "holes")
    return found


def test_over_ssh(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    place = data(mine.home)
    assert mine("run", "job", "true", "--wait").status == 0
    before = len(machine.sessions())
    done = mine("push", "data", "box:some/where", cwd=mine.home)
    assert (done.status, done.err) == (0, "") and done.out == "8 files, 2.0GB, in box:/home/me/some/where\n"
    assert len(machine.sessions()) - before == 2, "it is looked, and sent"
    same(place, machine.home / "some/where/data")
    assert stat.S_IMODE((machine.home / "some/where").stat().st_mode) == 0o755
    done = mine("push", "data", "box:some/where", cwd=mine.home)
    assert done.out == "0 files, 0B, in box:/home/me/some/where; 8 were there already\n"
    assert mine("push", "data/", "box:flat", cwd=mine.home).status == 0
    same(place, machine.home / "flat")
    done = mine("push", "data/a.csv", "data/none", "box:", cwd=mine.home)
    assert done.out == "2 files, 3.8KB, in box:/home/me/\n" and (machine.home / "a.csv").exists()
    assert mine("push", "data/out", "box:/home/me/abs", cwd=mine.home).status == 0
    assert (machine.home / "abs/out").read_bytes() == Path("/etc/passwd").read_bytes(), "named, a link is what it is to"
    assert machine.connections() == 1


def test_many_small_files(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    for number in range(2000):
        (mine.home / f"many/{number % 20}").mkdir(parents=True, exist_ok=True)
        (mine.home / f"many/{number % 20}/{number}").write_text(str(number))
    assert mine("push", "many", "box:", cwd=mine.home).out.startswith("2000 files, ")
    assert tree(mine.home / "many") == tree(machine.home / "many")
    (mine.home / "many/0/0").write_text("another")
    (mine.home / "many/new").write_text("new")
    before = len(machine.sessions())
    done = mine("push", "many", "box:", "--yes", cwd=mine.home)
    assert done.out == "2 files, 10B, in box:/home/me/; 1999 were there already\n"
    assert len(machine.sessions()) - before == 2 and tree(mine.home / "many") == tree(machine.home / "many")


def test_what_differs_stays(orch: Orch, agent: Agent) -> None:
    there = orch.home / "there"
    there.mkdir()
    (there / "x").write_text("theirs")
    (there / "link").symlink_to("x")
    (there / "taken").mkdir()
    (orch.home / "x").write_text("ours")
    os.utime(orch.home / "x", ns=(OLD, OLD))
    (orch.home / "new").write_text("new")
    done = orch("push", "x", "new", "local:there")
    assert (done.status, done.out) == (1, "") and not (there / "new").exists()
    assert "on local and not the same, 1 of them changed later than here: x" in done.err and "--yes" in done.err
    assert orch("push", "x", "local:there", "--json").error["kind"] == "refused"
    assert orch("push", "x", "new", "local:there", "--yes").out == f"2 files, 7B, in local:{there}\n"
    assert (there / "x").read_text() == "ours" and orch("push", "x", "local:there").status == 0
    (orch.home / "taken").write_text("a file")
    done = orch("push", "new", "taken", "local:there")
    assert (done.status, done.err) == (1, "orch: taken is left out: there it is a directory\n")


def test_up_from_behind_a_link(orch: Orch, agent: Agent) -> None:
    """As for any other program: what the system finds there, and not what the words come to."""
    there, here = orch.home / "data", orch.home / "here"
    (there / "set").mkdir(parents=True)
    (there / "x").write_text("right")
    here.mkdir()
    (here / "x").write_text("wrong")
    (here / "link").symlink_to(there / "set")
    assert orch("push", "link/../x", "local:one", cwd=here).status == 0
    assert (orch.home / "one/x").read_text() == "right"
    assert orch("push", "link/..", "local:here/link/../two", cwd=here).status == 0
    assert sorted(os.listdir(there / "two")) == ["set", "x"] and not (here / "two").exists()
    assert orch("run", "job", "--wait", "touch $ORCH_OUT/out").status == 0
    assert orch("pull", "job", "--to", "link/..", cwd=here).status == 0
    assert (there / "out").exists() and not (here / "out").exists()


def test_links_there_lead_nowhere(orch: Orch, agent: Agent) -> None:
    """No step below the directory goes through a link, and nothing is written through one."""
    (orch.home / "there").mkdir()
    (orch.home / "outside").mkdir()
    (orch.home / "outside/x").write_text("untouched")
    (orch.home / "there/data").symlink_to(orch.home / "outside")
    (orch.home / "there/x").symlink_to(orch.home / "outside/x")
    (orch.home / "data").mkdir()
    for path in ("data/x", "data/y", "x"):
        (orch.home / path).write_text("pushed")
    done = orch("push", "data", "x", "local:there", "--yes", "--json")
    assert done.status == 1 and (done.json["files"], sorted(one["path"] for one in done.json["left"])) == (
        1,
        ["data", "data/x", "data/y"],
    )
    assert os.listdir(orch.home / "outside") == ["x"] and (orch.home / "outside/x").read_text() == "untouched"
    assert (orch.home / "there/x").read_text() == "pushed" and not (orch.home / "there/x").is_symlink()


def test_what_cannot_be_sent_is_told(orch: Orch, agent: Agent) -> None:
    (orch.home / "data").mkdir()
    os.mkfifo(orch.home / "data/fifo")
    (orch.home / "data/x").write_text("x")
    (orch.home / "other").mkdir()
    (orch.home / "other/x").write_text("another")
    done = orch("push", "data/", "other/", "local:there", "--json")
    left = {one["path"]: one["why"] for one in done.json["left"]}
    collides = f"another one of that name, in {orch.home}/data, comes to the same place"
    assert (done.status, done.json["files"], left) == (1, 1, {"fifo": "it is a fifo", "x": collides})
    assert list(done.json) == ["host", "to", "files", "bytes", "same", "changed", "left"]
    assert orch("push", "nope", "local:").err == "orch: there is no nope here\n  ls\n"
    assert orch("push", "data/x/", "local:").status == 1
    for words in (["data"], ["data", "there"], ["data", "./a:b"], ["data", ":there"]):
        assert orch("push", *words).status == 2
    done = orch("push", "data/x", "local:data/x")
    assert done.status == 1 and "nothing can be pushed to" in done.err
    assert orch("upload", "x").err.endswith("did you mean orch push?\n")


def test_what_an_ended_push_left_long_ago_goes(orch: Orch, agent: Agent) -> None:
    (orch.home / "there").mkdir()
    for name, days in ((".orch-part-old", 8), (".orch-part-new", 6)):
        (orch.home / "there" / name).write_text("half")
        then = time.time() - days * 86400
        os.utime(orch.home / "there" / name, (then, then))
    (orch.home / "x").write_text("x")
    assert orch("push", "x", "local:there").status == 0
    assert sorted(os.listdir(orch.home / "there")) == [".orch-part-new", "x"]


def test_a_full_disk(orch: Orch, agent: Agent) -> None:
    """Said in words; what has come stays, whole, and the rest comes when there is room."""
    with mounts.tmpfs(orch.home / "small", "4m") as small:
        (orch.home / "data").mkdir()
        for number, size in enumerate((1 << 20, 8 << 20, 1000)):
            (orch.home / f"data/{number}").write_bytes(os.urandom(size))
        done = orch("push", "data/", "local:small")
        assert done.status == 1 and f"the disk that holds {small} is full; what has come stays" in done.err
        assert f"df -h {small}" in done.err
        assert [name for name in os.listdir(small) if not name.startswith(".")] == ["0"]
        (orch.home / "data/1").write_bytes(b"smaller")
        assert orch("push", "data/", "local:small").status == 0
        assert tree(small) == tree(orch.home / "data")


SIZE = 6 << 20


@pytest.mark.parametrize("seed", range(2))
def test_cut_anywhere(machine: Machine, laptop: Laptops, tmp_path: Path, seed: int) -> None:
    """Three times, wherever that is; the fourth time all of it is there, whole."""
    fragile = Fragile(tmp_path, machine)
    mine = laptop(more='default_host = "box"\n' + machine.config(**fragile.options))
    mine.home.joinpath("data").mkdir()
    for number in range(3):
        (mine.home / f"data/{number}").write_bytes(random.Random(number).randbytes(SIZE // 3))
    assert mine("run", "job", "true", "--wait").status == 0
    assert mine("ssh", "box", "--", "true").status == 0
    for socket in mine.runtime.rglob("*"):
        if socket.is_socket():
            mine.crash()
    chosen = random.Random(seed)
    fragile.fails(*(Fault("up", chosen.randrange(8, SIZE // 4096 // 2)) for _ in range(3)))
    done = mine("push", "data", "box:", cwd=mine.home, timeout=120)
    assert (done.status, done.out) == (0, "3 files, 6.0MB, in box:/home/me/\n"), done.err
    assert fragile.failures() == 3
    assert tree(mine.home / "data") == tree(machine.home / "data")


LARGE = 24 << 20


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_another_push_goes_on(links: Callable[..., Link], machines: Machines, laptop: Laptops, how: str) -> None:
    machine = machines(link=links(0.02))
    mine = laptop(machine)
    (mine.home / "large").write_bytes(os.urandom(LARGE))

    def come() -> int:
        return sum(path.stat().st_size for path in (machine.home / "to").glob(".orch-part-*"))

    with mine.popen("push", "large", "box:to", cwd=mine.home, start_new_session=True) as pushing:
        eventually(lambda: come() > LARGE // 8, "some of it has come")
        if how == "killed":
            mine.crash()
        else:
            pushing.send_signal(signal.SIGINT)
            _, err = pushing.communicate(timeout=60)
            assert pushing.returncode == 130 and b"the same command goes on with the rest" in err
    assert LARGE // 8 < come() < LARGE
    (part,) = (machine.home / "to").glob(".orch-part-*")
    inode = part.stat().st_ino
    done = mine("push", "large", "box:to", cwd=mine.home, timeout=120)
    assert (done.status, done.out) == (0, "1 file, 24.0MB, in box:/home/me/to\n")
    assert os.listdir(machine.home / "to") == ["large"] and (machine.home / "to/large").stat().st_ino == inode
    digests = [hashlib.sha256((home / "large").read_bytes()).digest() for home in (mine.home, machine.home / "to")]
    assert digests[0] == digests[1]


def test_in_front_of_a_terminal(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    (orch.home / "there").mkdir()
    (orch.home / "there/x").write_text("theirs")
    (orch.home / "x").write_text("ours")
    words = orch.argv("push", f"{orch.home}/x", "local:there")
    terminal.start([str(word) for word in words], orch.env)
    assert "on local and not the same" in terminal.shows("Write over it? [y/N]:")
    terminal.types("y")
    terminal.keys("Enter")
    assert "1 file, 4B" in terminal.shows("[ended 0]")
    assert (orch.home / "there/x").read_text() == "ours"
