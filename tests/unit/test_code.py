"""What is in a snapshot, and what it is called; with real git."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orch.code import Snapshot, base, code_of, laptop, note, take
from orch.code.own import Own
from orch.code.tree import normalized
from orch.errors import ConfigError, OrchError
from orch_agent.check import check_code
from tests.support.worktree import Worktree, contents, git

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % ("a" * 64)


@pytest.fixture
def tree(home: Path) -> Worktree:
    """An empty repository."""
    return Worktree(home / "project")


def names(snapshot: Snapshot) -> set[str]:
    return {os.fsdecode(path) for path in contents(snapshot)}


def test_what_is_there_now_goes_along_and_the_repository_stays_as_it_is(tree: Worktree) -> None:
    tree.write("committed", "first")
    tree.write("staged", "first")
    tree.write("removed")
    tree.write(".gitignore", "*.log\n")
    head = tree.commit()
    tree.write("committed", "now")
    tree.write("staged", "then")
    tree.git("add", "staged")
    tree.write("staged", "now")
    (tree.top / "removed").unlink()
    tree.write("run", "#!/bin/sh\n", 0o755)
    tree.write("new/untracked")
    tree.write("noise.log")
    (tree.top / "dangling").symlink_to("nowhere")
    (tree.top / "absolute").symlink_to("/etc")
    before, status = tree.kept(), tree.status()
    snapshot = take(str(tree.top))
    assert contents(snapshot) == {
        b".gitignore": ("100644", b"*.log\n"),
        b"committed": ("100644", b"now"),
        b"staged": ("100644", b"now"),
        b"run": ("100755", b"#!/bin/sh\n"),
        b"new/untracked": ("100644", b"text\n"),
        b"dangling": ("120000", b"nowhere"),
        b"absolute": ("120000", b"/etc"),
    }
    assert (snapshot.branch, snapshot.head, snapshot.changed, snapshot.notes) == ("main", head, 7, ())
    assert (tree.kept(), tree.status()) == (before, status)
    assert check_code(code_of(snapshot))["commit"] == snapshot.commit


def test_the_same_tree_is_the_same_snapshot_also_on_another_laptop(tree: Worktree, monkeypatch) -> None:
    tree.write("a")
    first = take(str(tree.top))
    tree.write("a", "other")
    assert take(str(tree.top)).commit != first.commit
    tree.write("a")
    assert take(str(tree.top)).commit == first.commit
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree.top.parent / "other cache"))
    assert take(str(tree.top)).commit == first.commit


@pytest.mark.parametrize(
    "name",
    [b"-f", b"a\nb", b'"quoted"', b"\xff\xfe", b"tab\there", b" ", b"a\\b", b":(top)x", b"git~1", b"*", b"#x", b"!x"],
)
def test_a_name_may_be_anything(tree: Worktree, name: bytes) -> None:
    top = os.fsencode(tree.top)
    os.mkdir(os.path.join(top, b"d"))
    for path in (name, b"d/" + name):
        with open(os.path.join(top, path), "wb") as file:
            file.write(b"1")
    assert set(contents(take(str(tree.top)))) == {name, b"d/" + name}
    tree.commit()
    assert take(str(tree.top)).changed == 0
    os.unlink(os.path.join(top, name))
    assert set(contents(take(str(tree.top)))) == {b"d/" + name}


def test_what_is_ignored_stays_here_wherever_that_is_said(tree: Worktree, home: Path) -> None:
    (home / "everywhere").write_text("*.swp\n")
    tree.git("config", "--global", "core.excludesFile", str(home / "everywhere"))
    tree.write(".git/info/exclude", "mine\n")
    tree.write(".gitignore", "out/\n*.o\n!keep.o\n")
    tree.write("sub/.gitignore", "local\n")
    tree.write(".orchignore", "# data\r\n/data\r\n\n*.tmp  \n\\#odd\n!mine\n")
    tree.write("data/tracked")
    tree.commit()
    tree.git("add", "-f", tree.write("forced.o").name)
    for name in ("x.swp", "mine", "out/x", "a.o", "keep.o", "sub/local", "local", "x.tmp", "#odd", "sub/data"):
        tree.write(name)
    assert tree.names() == {
        *(".gitignore", "sub/.gitignore", ".orchignore"),
        *("forced.o", "mine", "keep.o", "local", "sub/data"),
    }


def test_what_is_no_longer_tracked_and_ignored_goes_away(tree: Worktree) -> None:
    tree.write("settings")
    tree.write("other")
    tree.commit()
    assert tree.names() == {"settings", "other"}
    tree.git("rm", "-q", "--cached", "settings")
    tree.write(".git/info/exclude", "settings\n")
    assert tree.names() == {"other"}
    tree.git("add", "-f", "settings")
    assert tree.names() == {"settings", "other"}


def test_shared_directories_are_named_and_stay_here_though_tracked(tree: Worktree) -> None:
    tree.write("orch.toml", '[sync]\nshare = [".venv", "data/ra[w]", "link"]\n')
    for name in (".venv/bin/python", "data/ra[w]/x", "data/raw/x", "sub/.venv/x"):
        tree.write(name)
    (tree.top / "link").symlink_to("data")
    tree.commit()
    snapshot = take(str(tree.top / "data"))
    assert names(snapshot) == {"orch.toml", "data/raw/x", "sub/.venv/x"}
    assert (snapshot.share, snapshot.directory) == ((".venv", "data/ra[w]", "link"), "data")


def test_shared_directories_count_from_the_file_that_names_them(tree: Worktree) -> None:
    tree.write("ml/orch.toml", '[sync]\nshare = ["data"]\n')
    for name in ("ml/data/x", "ml/train.py", "data/other"):
        tree.write(name)
    snapshot = take(str(tree.top / "ml"))
    assert names(snapshot) == {"ml/orch.toml", "ml/train.py", "data/other"}
    assert (snapshot.share, snapshot.directory, snapshot.notes) == (("ml/data",), "ml", ())
    Worktree(tree.top / "ml/inner").write("data/x")
    inner = take(str(tree.top / "ml/inner"))
    assert (names(inner), inner.share) == ({"data/x"}, ())
    assert "what it shares outside of" in inner.notes[0]


def test_shared_directories_may_lie_in_another_repository(tree: Worktree) -> None:
    tree.write("orch.toml", '[sync]\nshare = ["my lib/data", "[b]/data"]\n')
    for name in ("my lib", "[b]"):
        Worktree(tree.top / name).write("x")
        tree.write(f"{name}/data/large")
    assert tree.names() == {"orch.toml", "my lib/x", "[b]/x"}


def test_a_pipe_says_nothing_of_what_is_ignored(tree: Worktree) -> None:
    tree.write("a")
    os.mkfifo(tree.top / ".orchignore")
    assert tree.names() == {"a"}


def test_a_file_takes_the_place_of_a_directory_and_the_other_way(tree: Worktree) -> None:
    tree.write("a/b/c")
    tree.write("a/d")
    tree.write("x")
    tree.commit()
    take(str(tree.top))
    (tree.top / "a/b/c").unlink()
    (tree.top / "a/b").rmdir()
    tree.write("a/b", "now a file")
    (tree.top / "x").unlink()
    tree.write("x/y/z", "now deeper")
    assert tree.names() == {"a/b", "a/d", "x/y/z"}
    (tree.top / "a").rename(tree.top / "elsewhere")
    (tree.top / "a").symlink_to("elsewhere")
    assert contents(take(str(tree.top)))[b"a"] == ("120000", b"elsewhere")
    tree.write(".git/info/exclude", "/a\n")  # and where nothing is listed in its place
    assert tree.names() == {"elsewhere/b", "elsewhere/d", "x/y/z"}


def test_only_its_case_is_changed(tree: Worktree) -> None:
    tree.write("Readme")
    tree.commit()
    take(str(tree.top))
    (tree.top / "Readme").rename(tree.top / "README")
    assert tree.names() == {"README"}


def test_a_setting_of_another_disk_hides_no_file(tree: Worktree) -> None:
    """As in a clone that was copied here from a Mac."""
    tree.write("readme")
    tree.commit()
    tree.git("config", "core.ignoreCase", "true")
    tree.write("README")
    assert tree.names() == {"readme", "README"}


def test_names_that_differ_only_in_case_are_told(tree: Worktree) -> None:
    tree.write("Makefile")
    tree.write("makefile")
    snapshot = take(str(tree.top))
    assert names(snapshot) == {"Makefile", "makefile"}
    assert snapshot.notes == ("makefile: names that a Mac takes for the same",)


def test_the_bytes_on_disk_go_whatever_git_would_make_of_them(tree: Worktree, home: Path) -> None:
    tree.git("config", "--global", "core.autocrlf", "true")
    tree.git("config", "filter.shout.clean", f"tr a-z A-Z; echo ran > {home}/ran")
    tree.git("config", "filter.shout.smudge", f"tr A-Z a-z; echo ran > {home}/ran")
    tree.git("config", "filter.shout.process", f"echo ran > {home}/ran; exit 1")
    tree.git("config", "filter.shout.required", "true")
    tree.write(".gitattributes", "*.shout filter=shout\n*.c text eol=lf ident\n*.u16 working-tree-encoding=UTF-16\n")
    wanted = {
        "x.shout": b"quiet\r\n",
        "x.c": b"$Id: 1 $\r\n",
        "x.u16": "\ufeffhé".encode("utf-16-le"),
        "x.txt": b"a\r\n",
    }
    for name, content in wanted.items():
        tree.write(name, content)
    found = contents(take(str(tree.top)))
    assert {name: found[name.encode()][1] for name in wanted} == wanted
    assert not (home / "ran").exists()


def test_what_git_converts_is_not_counted_as_changed(tree: Worktree) -> None:
    tree.write(".gitattributes", "*.txt text\n")
    tree.write("a.txt", "one\r\n")
    tree.write("b.txt", "one\r\n")
    tree.commit()
    assert take(str(tree.top)).changed == 0
    tree.write("b.txt", "two\r\n")
    tree.write("new")
    assert take(str(tree.top)).changed == 2


def test_hooks_and_what_they_set_are_no_matter(tree: Worktree, home: Path, monkeypatch) -> None:
    other = Worktree(home / "other")
    other.write("theirs")
    other.commit()
    tree.write("ours")
    tree.commit()
    for name in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        hook = home / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {home}/ran\n")
        hook.chmod(0o755)
    (home / ".gitconfig").write_text(f"[core]\n\thooksPath = {home}/hooks\n\tfsmonitor = touch {home}/ran\n")
    before = other.kept(), tree.kept()
    with monkeypatch.context() as set_by_hook:
        set_by_hook.setenv("GIT_DIR", str(other.top / ".git"))
        set_by_hook.setenv("GIT_WORK_TREE", str(other.top))
        set_by_hook.setenv("GIT_INDEX_FILE", str(other.top / ".git/index.tmp"))
        set_by_hook.setenv("GIT_OBJECT_DIRECTORY", str(home / "nowhere"))
        snapshot = take(str(tree.top))
    assert (other.kept(), tree.kept()) == before
    assert not (home / "ran").exists()
    (home / ".gitconfig").unlink()
    assert names(snapshot) == {"ours"}


def test_an_empty_repository_and_one_without_a_commit(tree: Worktree) -> None:
    empty = take(str(tree.top))
    assert contents(empty) == {}
    assert (empty.branch, empty.head, empty.changed) == ("main", None, None)
    tree.write("first")
    assert tree.names() == {"first"}
    (tree.top / "first").unlink()
    assert take(str(tree.top)).commit == empty.commit


def test_a_detached_head_a_worktree_and_a_shallow_clone(tree: Worktree, home: Path) -> None:
    tree.write("a", "1")
    first = tree.commit()
    tree.write("a", "2")
    second = tree.commit()
    tree.git("checkout", "-q", first)
    assert take(str(tree.top))[5:8] == (None, first, 0)
    tree.git("worktree", "add", "-q", "-b", "side", str(home / "side"), second)
    side = Worktree(home / "side", is_git=False)
    side.write("new")
    snapshot = take(str(side.top))
    assert snapshot[5:8] == ("side", second, 1)
    assert contents(snapshot) == {b"a": ("100644", b"2"), b"new": ("100644", b"text\n")}
    assert take(str(tree.top))[5:8] == (None, first, 0)
    git(home, "clone", "-q", "--depth", "1", "-b", "side", f"file://{tree.top}", "shallow")
    shallow = take(str(home / "shallow"))
    assert (shallow[5:8], names(shallow)) == (("side", second, 0), {"a"})


def test_a_repository_of_longer_names_of_objects(home: Path) -> None:
    top = home / "project"
    git(home, "init", "-q", "--object-format=sha256", str(top))
    tree = Worktree(top, is_git=False)
    tree.write("a")
    tree.commit()
    snapshot = take(str(top))
    assert (names(snapshot), snapshot.changed, len(snapshot.commit)) == ({"a"}, None, 40)


def test_conflicts_go_as_they_are_and_are_told(tree: Worktree) -> None:
    for branch, text in (("main", "0\n"), ("left", "1\n"), ("right", "2\n")):
        if branch != "main":
            tree.git("checkout", "-q", "-b", branch, "main")
        tree.write("a", text)
        tree.commit()
    with pytest.raises(AssertionError, match="merge"):
        tree.git("merge", "left")
    assert b"<<<<<<<" in (tree.top / "a").read_bytes()
    before = tree.kept()
    snapshot = take(str(tree.top))
    assert contents(snapshot)[b"a"] == ("100644", (tree.top / "a").read_bytes())
    assert "a: in conflict" in snapshot.notes[0]
    assert tree.kept() == before


def test_submodules_and_other_repositories_go_as_plain_files(tree: Worktree, home: Path) -> None:
    inner, library = Worktree(home / "inner"), Worktree(home / "library")
    inner.write("deep")
    inner.commit()
    library.write("lib.c")
    library.write(".gitignore", "*.o\n")
    library.git("submodule", "--quiet", "add", str(inner.top), "inner")
    library.commit()
    tree.git("submodule", "--quiet", "add", str(library.top), "library")
    tree.git("submodule", "--quiet", "add", str(inner.top), "absent")
    tree.write(".orchignore", "/library/secret\n*.tmp\n")
    tree.commit()
    tree.git("submodule", "--quiet", "deinit", "-f", "absent")
    tree.git("submodule", "--quiet", "update", "--init", "--recursive", "library")
    snapshot = take(str(tree.top))
    assert names(snapshot) == {
        *(".gitmodules", ".orchignore"),
        *("library/lib.c", "library/.gitignore", "library/.gitmodules", "library/inner/deep"),
    }
    assert snapshot.notes == ("absent: not checked out here, nor there: git submodule update --init --recursive",)
    assert snapshot.changed == 0
    for name in ("library/x.o", "library/new", "library/secret", "library/x.tmp", "vendored/code", "vendored/x.tmp"):
        tree.write(name)
    git(tree.top / "vendored", "init", "-q")
    assert tree.names() - names(snapshot) == {"library/new", "vendored/code"}


def test_a_repository_inside_that_git_does_not_read_is_told(tree: Worktree) -> None:
    inner = Worktree(tree.top / "inner")
    inner.write(".gitignore", "*.log\n")
    inner.write("kept.log")
    inner.git("add", "-f", "kept.log")
    inner.commit()
    assert take(str(tree.top)).notes == ()
    (inner.top / ".git/index").write_bytes(b"garbage")
    snapshot = take(str(tree.top))
    assert names(snapshot) == {"inner/.gitignore"}
    assert snapshot.notes[0].startswith("inner: a repository that git does not read")


def test_pointers_of_lfs_are_told_and_what_is_checked_out_goes(tree: Worktree) -> None:
    tree.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    tree.write("absent.bin", POINTER)
    tree.write("here.bin", b"\0" * 5000)
    tree.write("text", POINTER)
    tree.commit()
    snapshot = take(str(tree.top))
    assert snapshot.notes == ("absent.bin: only Git LFS's pointers to it are here, and will be there: git lfs pull",)
    assert contents(snapshot)[b"here.bin"] == ("100644", b"\0" * 5000)


def test_a_sparse_checkout_goes_as_it_is_and_is_told(tree: Worktree) -> None:
    tree.write("in/a")
    tree.write("out/b")
    tree.commit()
    tree.git("sparse-checkout", "set", "in")
    snapshot = take(str(tree.top))
    assert names(snapshot) == {"in/a"}
    assert "sparse" in snapshot.notes[0]


def test_a_directory_without_git(home: Path) -> None:
    tree = Worktree(home / "project", is_git=False)
    tree.write("orch.toml", '[sync]\nshare = ["data"]\n')
    tree.write(".gitignore", "*.log\n")
    tree.write(".orchignore", "/cache\n")
    for name in ("a.py", "x.log", "cache/x", "data/x", "deep/er/b.py"):
        tree.write(name)
    snapshot = take(str(tree.top / "deep/er"))
    assert names(snapshot) == {"orch.toml", ".gitignore", ".orchignore", "a.py", "deep/er/b.py"}
    assert (snapshot.top, snapshot.directory, snapshot.name) == (str(tree.top), "deep/er", "project")
    assert (snapshot.branch, snapshot.head, snapshot.changed) == (None, None, None)
    (tree.top / "deep/er/b.py").unlink()
    bare = take(str(tree.top / "deep/er"))
    assert names(bare) == names(snapshot) - {"deep/er/b.py"}
    assert bare.notes == ("deep/er: nothing in it goes along, so there is no such directory there",)


def test_what_is_no_place_to_take_a_snapshot_of(home: Path, tree: Worktree) -> None:
    for place, words in (("/", "root of this machine"), (str(home), "home directory")):
        with pytest.raises(OrchError, match=words):
            take(place)
    tree.git("init", "-q", "--bare", str(home / "bare.git"))
    for place in (home / "bare.git", tree.top / ".git", tree.top / ".git/refs"):
        with pytest.raises(OrchError, match="in no working tree of it"):
            take(str(place))
    with pytest.raises(OrchError, match="is no directory"):
        take(str(home / "absent"))
    (tree.top / ".git").rename(home / "moved")
    (tree.top / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(OrchError, match="not a git repository: /nowhere"):
        take(str(tree.top))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tree: Worktree) -> None:
    tree.write("orch.toml", '[sync]\nmax_file = "1M"\n')
    tree.write("small", b"x" * (1 << 20))
    take(str(tree.top))
    with open(tree.top / "model.bin", "wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(OrchError) as told:
        take(str(tree.top))
    assert "model.bin (2,048.0MB)" in told.value.message
    assert all(word in told.value.hint for word in ("share", "orch push", "max_file"))
    written = sum(path.stat().st_size for path in Path(Own(str(tree.top)).directory).rglob("*") if path.is_file())
    assert written < 1 << 20
    tree.write(".orchignore", "*.bin\n")
    assert "small" in tree.names()
    tree.write("orch.toml", '[sync]\nmax_file = "lots"\n')
    with pytest.raises(ConfigError, match="lots"):
        take(str(tree.top))


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("git@github.com:me/x.git", "git://github.com/me/x"),
        ("https://user:secret@GitHub.com/me/x", "git://github.com/me/x"),
        ("ssh://git@github.com:22/me/x/", "git://github.com/me/x"),
        ("ssh://git@ssh.github.com:443/me/x.git", "git://github.com/me/x"),
        ("host:~me/x", "git://host/~me/x"),
        ("/srv/x.git", "/srv/x"),
        ("../x", "../x"),
        ("file:///srv/x.git/", "/srv/x"),
    ],
)
def test_addresses_of_one_repository(url: str, same: str) -> None:
    assert normalized(url) == same


def test_clones_of_one_repository_have_one_store(tree: Worktree, home: Path) -> None:
    alone = take(str(tree.top))
    assert alone.store.startswith("project-")
    other = Worktree(home / "my copy.git")
    tree.git("remote", "add", "upstream", "https://example.com/other")
    tree.git("remote", "add", "origin", "git@github.com:me/My.Tool.git")
    other.git("remote", "add", "origin", "gh:me/My.Tool")
    other.git("config", "url.https://github.com/.insteadOf", "gh:")
    one, two = take(str(tree.top)), take(str(other.top))
    assert (one.store, one.name) == (two.store, two.name) == (one.store, "My-Tool")
    assert one.store.startswith("My-Tool-")
    assert one.store != alone.store
    assert check_code(code_of(two))
    assert socket.gethostname() not in one.store


def test_a_laptop_has_one_name(home: Path) -> None:
    name = laptop()
    assert len(name) == 16
    assert int(name, 16) >= 0
    assert laptop() == name


def test_what_a_host_has_is_noted(tree: Worktree) -> None:
    snapshot = take(str(tree.top))
    assert base(snapshot, "gpu") is None
    note(snapshot, "gpu")
    assert base(snapshot, "gpu") == snapshot.commit
    assert base(snapshot, "other") is None
