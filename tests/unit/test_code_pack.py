"""A snapshot as bytes, and what it costs; what another git makes of these is what a host would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orch import code
from orch.code import Pack, Snapshot, note, pack, take
from orch.code.own import Own
from tests.support.worktree import Worktree, contents, git


class Store:
    """A bare repository, as a host has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "-q", "--bare")

    def receive(self, packed: Pack, commit: str) -> None:
        git(self.path, "index-pack", "--stdin", "--fix-thin", input=packed.file.read())
        packed.file.close()
        git(self.path, "update-ref", f"refs/orch/{commit}", commit)

    def tree(self, commit: str) -> bytes:
        git(self.path, "fsck", "--full", "--strict", "--no-dangling")
        return git(self.path, "ls-tree", "-r", "-z", commit)


@pytest.fixture
def tree(home: Path) -> Worktree:
    one = Worktree(home / "project")
    for number in range(100):
        one.write(f"d{number % 7}/f{number}", os.urandom(300).hex())
    one.write("large", "".join(f"line {number}\n" for number in range(50_000)))
    one.commit()
    return one


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home / "store.git")


def expected(snapshot: Snapshot) -> bytes:
    return git(Path(snapshot.top), "ls-tree", "-r", "-z", snapshot.commit, env={"GIT_DIR": Own(snapshot.top).directory})


def test_a_host_gets_the_whole_once_and_then_what_is_new(tree: Worktree, store: Store) -> None:
    first = take(str(tree.top))
    whole = pack(first, None)
    assert whole.base is None
    store.receive(whole, first.commit)
    assert store.tree(first.commit) == expected(first)
    note(first, "gpu")
    with open(tree.top / "large", "a") as file:
        file.write("one more\n")
    tree.write("new", "text")
    second = take(str(tree.top))
    thin = pack(second, code.base(second, "gpu"))
    assert thin.base == first.commit
    assert thin.size < 2000 < whole.size
    store.receive(thin, second.commit)
    assert store.tree(second.commit) == expected(second)


def test_what_a_host_has_already_is_no_pack(tree: Worktree) -> None:
    snapshot = take(str(tree.top))
    nothing = pack(snapshot, snapshot.commit)
    assert (nothing.base, nothing.size, nothing.file.read()) == (snapshot.commit, 0, b"")


def test_a_base_that_is_gone_here_is_not_leant_on(tree: Worktree, store: Store) -> None:
    snapshot = take(str(tree.top))
    packed = pack(snapshot, "1" * 40)
    assert packed.base is None
    store.receive(packed, snapshot.commit)
    assert store.tree(snapshot.commit) == expected(snapshot)


def test_a_large_pack_waits_on_disk(tree: Worktree) -> None:
    tree.write("noise", os.urandom(3 << 20))
    packed = pack(take(str(tree.top)), None)
    with packed.file as file:
        assert packed.size > 3 << 20
        assert os.fstat(file.fileno()).st_size == packed.size


def test_what_the_person_has_removed_is_no_matter(tree: Worktree, store: Store) -> None:
    """Our repository leans on theirs, which may let go of what only ours knows of."""
    tree.write("staged", os.urandom(100))
    tree.git("add", "staged")
    snapshot = take(str(tree.top))
    tree.git("rm", "-q", "--cached", "staged")
    tree.git("gc", "-q", "--prune=now")
    packed = pack(snapshot, None)
    store.receive(packed, snapshot.commit)
    assert store.tree(snapshot.commit) == expected(snapshot)
    assert take(str(tree.top)).commit == snapshot.commit


@pytest.mark.parametrize("part", ["index", "HEAD", "objects", "refs", "config", "info", "index.lock"])
def test_a_damaged_repository_of_ours_is_made_anew(tree: Worktree, store: Store, part: str) -> None:
    before = take(str(tree.top))
    place = Path(Own(str(tree.top)).directory) / part
    if place.is_dir():
        subprocess.run(["rm", "-r", str(place)], check=True)
    else:
        place.write_bytes(b"garbage")
    tree.write("large", "other")
    tree.write("added")
    snapshot = take(str(tree.top))
    assert snapshot.commit != before.commit
    assert {b"large", b"added", b"d0/f0"} <= set(contents(snapshot))
    store.receive(pack(snapshot, None), snapshot.commit)
    assert store.tree(snapshot.commit) == expected(snapshot)


def test_what_is_committed_is_not_written_again(tree: Worktree) -> None:
    take(str(tree.top))
    own = Path(Own(str(tree.top)).directory)
    written = [path for path in (own / "objects").rglob("*") if len(path.name) == 38]
    assert len(written) == 1  # the commit: the trees are the person's, too


def test_many_new_files_do_not_become_as_many_files_again(tree: Worktree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch.code.changes._MANY", 20)
    wanted = {f"new/{number}".encode(): os.urandom(number) for number in range(30)}
    for path, content in wanted.items():
        tree.write(os.fsdecode(path), content)
    found = contents(take(str(tree.top)))
    assert {path: found[path][1] for path in wanted} == wanted
    objects = Path(Own(str(tree.top)).directory) / "objects"
    assert len(list(objects.glob("pack/*.pack"))) == 1
    assert len(list(objects.glob("??/*"))) < 10  # trees, the commit, a file of no length


def test_our_repository_does_not_grow_without_an_end(tree: Worktree) -> None:
    own = Own(str(tree.top))
    take(str(tree.top))
    for number in range(20):
        path = Path(own.directory) / "objects/17" / f"{number:038x}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (0, 0))
    own.git.environment["GIT_TRACE2_EVENT"] = str(tree.top.parent / "trace")
    own.tidy()
    assert '"gc"' in (tree.top.parent / "trace").read_text()


def test_a_change_takes_few_processes(tree: Worktree, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch.code.doubts._REST", 0)  # nothing is hashed once more
    first = take(str(tree.top))
    note(first, "gpu")
    counted, real = home / "counted", subprocess.check_output(["which", "git"], text=True).strip()
    wrapper = home / "bin/git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {counted}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    assert take(str(tree.top)).commit == first.commit
    assert len(counted.read_text().splitlines()) == 6, counted.read_text()
    counted.unlink()
    tree.write("large", "changed")
    second = take(str(tree.top))
    pack(second, code.base(second, "gpu"))
    note(second, "gpu")
    assert len(counted.read_text().splitlines()) == 10, counted.read_text()
