"""Edits that hardly show: the size stays, the times are set back, another edit came a moment before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from orch.code import take
from orch.code.doubts import Doubts
from orch.code.own import Own, owned
from tests.support.worktree import Worktree, contents


@pytest.fixture
def tree(home: Path) -> Worktree:
    one = Worktree(home / "project")
    one.write("a")
    one.commit()
    return one


def bytes_of(tree: Worktree, name: str = "x") -> bytes:
    return contents(take(str(tree.top)))[os.fsencode(name)][1]


def test_a_file_of_the_same_size_and_time_is_seen(tree: Worktree) -> None:
    """As ``cp -p`` of one configuration after the other, each time within the second of a snapshot."""
    for number in range(10):
        path = tree.write("x", f"lr: 0.{number}")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert bytes_of(tree) == f"lr: 0.{number}".encode()


def test_a_file_in_the_place_of_another_that_changes_while_it_is_read(tree: Worktree, home: Path) -> None:
    """The second reading within one snapshot is no less exact than the first."""
    path = tree.write("x", "before")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    (home / "bin").mkdir()
    script = f"""#!/bin/sh
        {shutil.which("git")} "$@" || exit
        [ "$3" != update-index ] || [ -e {home}/done ] && exit
        touch {home}/done; printf behind > {path}; touch -d @1700000000 {path}
    """
    (home / "bin/git").write_text(script)
    (home / "bin/git").chmod(0o755)
    os.environ["PATH"], before = f"{home}/bin:{os.environ['PATH']}", os.environ["PATH"]
    try:
        assert bytes_of(tree) == b"behind"
    finally:
        os.environ["PATH"] = before


OURS, ANOTHER = 0, 1


@pytest.mark.parametrize(("disk", "age", "is_sure"), [(OURS, 3, True), (OURS, 1, False), (ANOTHER, 3, False)])
def test_the_clock_of_another_disk_is_not_believed(
    tree: Worktree, monkeypatch: pytest.MonkeyPatch, disk: int, age: int, is_sure: bool
) -> None:
    """A file there is in doubt until by our own clock there has been time enough; ``age``: seconds by its times."""
    found = os.lstat(tree.write("x"))

    def doubts(seconds: float) -> Doubts:
        now = found.st_ctime_ns + int(seconds * 1e9)
        monkeypatch.setattr(Own, "clock", lambda _: (now, found.st_dev + disk))
        return Doubts(own)

    with owned(str(tree.top), lambda: None) as own:
        own.prepare("")
        doubts(age).end({b"x": found})
        assert doubts(age).paths == (set() if is_sure else {b"x"})
        doubts(age + 1).end({b"x": found})
        assert doubts(age).paths == (set() if disk == OURS else {b"x"})
        doubts(age + 3.5).end({b"x": found})
        assert doubts(age).paths == set()


@pytest.mark.parametrize("damage", ["index is gone", "doubts are gone", "doubts are cut"])
def test_without_its_notes_nothing_is_certain(tree: Worktree, damage: str) -> None:
    for number in range(20):
        tree.write(f"d/{number}", str(number))
    first = take(str(tree.top))
    index, doubts = (Path(Own(str(tree.top)).directory) / name for name in ("index", "doubts"))
    if damage == "doubts are cut":
        doubts.write_bytes(doubts.read_bytes().rpartition(b"\0")[0])
    else:
        (index if damage == "index is gone" else doubts).unlink()
    assert take(str(tree.top)).commit == first.commit
    (tree.top / "d/19").unlink()
    assert len(contents(take(str(tree.top)))) == 20


def test_a_file_is_in_doubt_until_it_is_known_how_it_looked(tree: Worktree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed behind git's reading: what comes then is seen."""
    os.utime(tree.write("x", "AAAA"), (1_700_000_000, 1_700_000_000))
    with monkeypatch.context() as patched:
        patched.setattr(Doubts, "end", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take(str(tree.top))
    os.utime(tree.write("x", "BBBB"), (1_700_000_000, 1_700_000_000))
    assert bytes_of(tree) == b"BBBB"


def test_a_link_in_the_place_of_a_directory_that_has_the_same_files(tree: Worktree) -> None:
    tree.write("d/x")
    tree.write("e/x")
    take(str(tree.top))
    os.rename(tree.top / "d", tree.top / "f")
    (tree.top / "d").symlink_to("f")
    assert tree.names() == {"a", "d", "e/x", "f/x"}
