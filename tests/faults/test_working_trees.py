"""What goes on while a snapshot is taken, and what stands in its way."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from orch.code import base, note, take
from orch.code.git import Failed
from orch.code.own import Own
from orch.errors import OrchError
from tests.faults.mounts import tmpfs
from tests.support.agent import eventually
from tests.support.worktree import Worktree, contents

TAKE = "import sys; from orch.code import take; print(take(sys.argv[1]).commit)"


@pytest.fixture
def tree(home: Path) -> Worktree:
    one = Worktree(home / "project")
    one.write("a")
    one.commit()
    return one


class Meanwhile:
    """A git that does something before it reads files, or behind it; ``count`` says how often it was asked to."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bin, self._count = home / "bin", home / "count"
        self._bin.mkdir()
        self._real = shutil.which("git")
        monkeypatch.setenv("PATH", f"{self._bin}:{os.environ['PATH']}")

    def does(self, before: str = ":", behind: str = ":", verb: str = "update-index") -> None:
        script = f"""\
            #!/bin/bash
            if [ "$3" != {verb} ]; then exec {self._real} "$@"; fi
            echo x >> {self._count}
            {before}
            {self._real} "$@"; status=$?
            {behind}
            exit $status
        """
        (self._bin / "git").write_text(textwrap.dedent(script))
        (self._bin / "git").chmod(0o755)

    @property
    def count(self) -> int:
        return len(self._count.read_text().splitlines())


@pytest.fixture
def meanwhile(home: Path, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(home, monkeypatch)


def test_a_file_that_changes_while_it_is_read_is_read_again(tree: Worktree, meanwhile: Meanwhile, home: Path) -> None:
    tree.write("b", "before")
    meanwhile.does(behind=f"[ -e {home}/done ] || {{ touch {home}/done; printf after > {tree.top}/b; }}")
    snapshot = take(str(tree.top))
    assert contents(snapshot)[b"b"] == ("100644", b"after")
    assert (meanwhile.count, snapshot.notes) == (3, ())  # hashed, forgotten, hashed again


def test_a_file_that_never_comes_to_rest_is_told(tree: Worktree, meanwhile: Meanwhile) -> None:
    tree.write("log", "")
    meanwhile.does(behind=f"echo more >> {tree.top}/log")
    snapshot = take(str(tree.top))
    assert snapshot.notes == ("log changed while it was read: the snapshot may have some of both",)
    assert b"log" in contents(snapshot)


def test_what_vanishes_or_becomes_another_thing_meanwhile(tree: Worktree, meanwhile: Meanwhile) -> None:
    for name in ("gone", "d/gone", "link/x", "directory", "stays"):
        tree.write(name)
    deeds = "rm -rf gone d link directory; ln -s . link; mkdir directory; echo x > directory/new"
    meanwhile.does(before=f"cd {tree.top}; [ -e gone ] && {{ {deeds}; }}")
    found = contents(take(str(tree.top)))
    assert b"stays" in found
    assert not {b"gone", b"d/gone", b"link/x", b"directory"} & set(found)
    meanwhile.does()
    assert tree.names() == {"a", "stays", "link", "directory/new"}


def test_pipes_and_sockets_stay_here(tree: Worktree) -> None:
    take(str(tree.top))
    (tree.top / "a").unlink()
    os.mkfifo(tree.top / "a")
    os.mkfifo(tree.top / "untracked")
    snapshot = take(str(tree.top))
    assert contents(snapshot) == {}
    assert snapshot.notes == ("a was left out: it is a named pipe",)


def test_what_looks_like_gits_own_stays_here(tree: Worktree) -> None:
    tree.write("d/.GIT/config")
    snapshot = take(str(tree.top))
    assert set(contents(snapshot)) == {b"a"}
    assert snapshot.notes == ("d/.GIT/config was left out: git keeps its own under that name",)


def as_another(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What it prints for somebody who may not read everything, as root may."""
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    environment = {**os.environ, "XDG_CACHE_HOME": str(home / "their cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*other, sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {TAKE}", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def open_home(home: Path, tree: Worktree) -> Path:
    """A home that somebody else can look into, with a cache that they can write to."""
    home.chmod(0o755)
    (home / "their cache").mkdir()
    (home / "their cache").chmod(0o777)
    tree.git("config", "--global", "safe.directory", "*")
    return home


@pytest.mark.parametrize("name", ["hidden", "d/hidden"])
def test_what_cannot_be_read_is_named(tree: Worktree, open_home: Path, name: str) -> None:
    path = tree.write(name)
    tree.write(".orchignore", "nothing\n")
    closed = path if name == "hidden" else path.parent
    closed.chmod(0)
    told = as_another(open_home, str(tree.top)).stderr.splitlines()[-1]
    closed.chmod(0o755)
    assert f"{closed}" in told
    assert "cannot be read (Permission denied)" in told


def test_a_repository_of_somebody_else_is_explained(tree: Worktree, open_home: Path) -> None:
    if os.getuid() == 0:
        (open_home / ".gitconfig").unlink()
        told = as_another(open_home, str(tree.top))
        assert "belongs to somebody else" in told.stderr
    assert as_another(open_home, "/").returncode == 1


def test_without_git_or_with_an_old_one(tree: Worktree, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "bin").mkdir()
    monkeypatch.setenv("PATH", str(home / "bin"))
    with pytest.raises(OrchError, match="git was not found"):
        take(str(tree.top))
    old = home / "bin/git"
    old.write_text('#!/bin/sh\n[ "$3" = version ] && echo git version 2.17.1 && exit\necho --path-format=absolute\n')
    old.chmod(0o755)
    with pytest.raises(OrchError, match=r"git 2\.17\.1 is too old") as told:
        take(str(tree.top))
    assert "2.31" in told.value.hint


def test_two_at_once_wait_for_each_other(tree: Worktree) -> None:
    take(str(tree.top))
    lock = os.open(os.path.join(Own(str(tree.top)).place, "lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    tree.write("b")
    told: list[tuple[str, str]] = []
    found: list[set[bytes]] = []

    def work() -> None:
        found.append(set(contents(take(str(tree.top), lambda *words: told.append(words)))))

    other = threading.Thread(target=work)
    other.start()
    eventually(lambda: told, "it waits")
    assert not found
    os.close(lock)
    other.join()
    assert (told, found) == ([("snapshot", "waiting for another one of this directory")], [{b"a", b"b"}])


def test_many_at_once_of_a_tree_that_changes(tree: Worktree) -> None:
    for number in range(200):
        tree.write(f"f{number}")
    several = [
        subprocess.Popen([sys.executable, "-c", TAKE, str(tree.top)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {one.communicate()[0].strip() for one in several}
    assert found == {take(str(tree.top)).commit}


@pytest.mark.parametrize("verb", ["update-index", "write-tree", "commit-tree", "diff-files"])
def test_killed_at_any_step_it_does_no_harm(tree: Worktree, meanwhile: Meanwhile, home: Path, verb: str) -> None:
    first = take(str(tree.top))
    note(first, "gpu")
    tree.write("b", "new")
    tree.write("a", "other")
    own = Own(str(tree.top)).directory
    meanwhile.does(before=f"touch {own}/index.lock; touch {home}/there; read < {home}/go", verb=verb)
    os.mkfifo(home / "go")
    killed = subprocess.Popen([sys.executable, "-c", TAKE, str(tree.top)], start_new_session=True)
    eventually((home / "there").exists, "git is at that step")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    (home / "bin/git").unlink()
    found = contents(take(str(tree.top)))
    assert found == {b"a": ("100644", b"other"), b"b": ("100644", b"new")}
    assert base(first, "gpu") == first.commit  # nothing had to be made anew


def test_what_git_still_does_for_one_who_was_killed_is_waited_for(
    tree: Worktree, meanwhile: Meanwhile, home: Path
) -> None:
    take(str(tree.top))
    tree.write("b")
    os.mkfifo(home / "go")
    meanwhile.does(before=f"touch {home}/there; read < {home}/go")
    killed = subprocess.Popen([sys.executable, "-c", TAKE, str(tree.top)])
    eventually((home / "there").exists, "git is at that step")
    killed.kill()
    killed.wait()
    (home / "bin/git").unlink()
    waited: list[str] = []

    def told(_: str, how: str) -> None:
        waited.append(how)
        (home / "go").write_text("\n")

    assert set(contents(take(str(tree.top), told))) == {b"a", b"b"}
    assert waited == ["waiting for another one of this directory"]


def test_a_cache_in_the_tree_stays_out_of_it(tree: Worktree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree.top / ".cache"))
    first = take(str(tree.top))
    assert set(contents(first)) == {b"a"}
    assert take(str(tree.top)).commit == first.commit


def test_the_first_of_many_files_says_what_it_does(tree: Worktree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch.code.changes._MANY", 20)
    monkeypatch.setattr("orch.code.doubts._REST", 0)
    for number in range(20):
        tree.write(f"d/{number}", "")
    told: list[tuple[str, str]] = []
    take(str(tree.top), lambda *words: told.append(words))
    assert told == [("snapshot", "reading 21 files, 0 MB")]
    take(str(tree.top), lambda *words: told.append(words))
    assert len(told) == 1


def test_a_full_disk_is_told_and_what_is_known_of_hosts_stays(
    tree: Worktree, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tmpfs(home / "small", "1m") as disk:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        note(take(str(tree.top)), "gpu")
        noise = tree.write("noise", os.urandom(2 << 20))
        with pytest.raises(OrchError, match="No space left on device") as told:
            take(str(tree.top))
        assert told.value.hint == "df -h"
        noise.unlink()
        snapshot = take(str(tree.top))
        assert contents(snapshot) == {b"a": ("100644", b"text\n")}
        assert base(snapshot, "gpu") == snapshot.commit


@pytest.mark.parametrize("loss", ["the note", "the tidying"])
def test_what_cannot_be_noted_of_a_host_fails_nothing(
    tree: Worktree, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """The host has it by then: who is told of a failure would send the job once more."""
    snapshot = take(str(tree.top))
    git = Path(Own(str(tree.top)).directory)
    if loss == "the note":
        shutil.rmtree(git / "refs/orch/hosts")
        (git / "refs/orch/hosts").write_text("in the way")
    else:
        monkeypatch.setattr("orch.code.own._LOOSE", -1)
        (git / "objects/17").mkdir(exist_ok=True)
        (git / "config").write_text("[gc]\n\tauto = garbage\n")
        with pytest.raises(Failed):
            Own(str(tree.top)).git.run("gc", "--auto")
    note(snapshot, "gpu")
    assert base(snapshot, "gpu") == (None if loss == "the note" else snapshot.commit)


def test_a_cache_that_cannot_be_written_is_named(tree: Worktree, open_home: Path) -> None:
    (open_home / "their cache").chmod(0o555)
    told = as_another(open_home, str(tree.top)).stderr
    assert f"no snapshot can be taken of {tree.top}: Permission denied: {open_home}/their cache/orch" in told
