"""Whatever is done to a working tree: its snapshot is what a walk over the disk finds, and what is git's own stays."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch.code import take
from tests.support.worktree import Contents, Worktree, contents, contents_of

NAMES = st.sampled_from([b"a", b"b", b"A", b"x.log", b"y.skip", b"-n", b'"\n\xff', b"build"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
TEXTS = st.sampled_from([b"", b"1\n", b"2\r\n", b"\0\xff", b"$Id$\n"])
RULES = st.sampled_from([b"*.log\n", b"build/\n", b"/a\n", b"a/b\n", b"*\n!*.log\n!*/\n", b"*.log\n!x.log\n", b""])
HIDDEN = st.sampled_from([b"*.skip\n", b"# none\n"])
ATTRIBUTES = st.sampled_from([b"* text\n", b"*.log ident eol=crlf\n", b""])
DEEDS = st.one_of(
    st.tuples(st.just("write"), PATHS, TEXTS),
    st.tuples(st.just("write"), PATHS, TEXTS),
    st.tuples(st.just("link"), PATHS, st.sampled_from([b"a", b"/etc", b"..", b"nowhere"])),
    st.tuples(st.just("run"), PATHS, st.just(b"")),
    st.tuples(st.just("remove"), PATHS, st.just(b"")),
    st.tuples(st.just("write"), st.sampled_from([b".gitignore", b"a/.gitignore", b".git/info/exclude"]), RULES),
    st.tuples(st.just("write"), st.just(b".orchignore"), HIDDEN),
    st.tuples(st.just("write"), st.just(b".gitattributes"), ATTRIBUTES),
    st.tuples(st.just("track"), PATHS, st.just(b"")),
    st.tuples(st.just("untrack"), PATHS, st.just(b"")),
    st.tuples(st.just("commit"), st.just(b""), st.just(b"")),
    st.tuples(st.just("look"), st.just(b""), st.just(b"")),
)


@contextmanager
def world() -> Iterator[Worktree]:
    with tempfile.TemporaryDirectory(prefix="orch-code-", dir="/tmp") as name:
        yield Worktree(Path(name).resolve() / "project")


def do(tree: Worktree, deed: str, path: bytes, text: bytes) -> None:
    place = os.path.join(os.fsencode(tree.top), path)
    if deed in ("write", "link"):
        clear(tree, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if deed == "link":
            os.symlink(text, place)
        else:
            with open(place, "wb") as file:
                file.write(text)
    elif deed == "remove":
        remove(place)
    elif deed == "run" and os.path.isfile(place) and not os.path.islink(place):
        os.chmod(place, os.stat(place).st_mode ^ 0o111)
    elif deed == "track" and os.path.lexists(place) and is_below(tree, path):
        tree.git("--literal-pathspecs", "add", "-f", "--", path)
    elif deed == "untrack":
        tree.git("--literal-pathspecs", "rm", "-rq", "--cached", "--ignore-unmatch", "--", path)
    elif deed == "commit":
        tree.commit()


def clear(tree: Worktree, path: bytes) -> None:
    """Nothing stands there, nor in the way."""
    steps = path.split(b"/")
    for count in range(1, len(steps) + 1):
        place = os.path.join(os.fsencode(tree.top), *steps[:count])
        if count == len(steps) or os.path.islink(place) or not os.path.isdir(place):
            remove(place)


def remove(place: bytes) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)


def is_below(tree: Worktree, path: bytes) -> bool:
    place = os.path.dirname(os.path.join(os.fsencode(tree.top), path))
    return os.path.realpath(place) == place


def expected(tree: Worktree) -> Contents:
    """What a walk over the disk finds, without what git says is ignored."""
    top, found = os.fsencode(tree.top), {}
    for directory, inner, files in os.walk(top):
        inner[:] = [name for name in inner if name != b".git"]
        for name in [*files, *(name for name in inner if os.path.islink(os.path.join(directory, name)))]:
            place = os.path.join(directory, name)
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                entry = "120000", os.readlink(place)
            else:
                entry = "100755" if mode & 0o100 else "100644", Path(os.fsdecode(place)).read_bytes()
            found[os.path.relpath(place, top)] = entry
    ignored = tree.ignored(set(found))
    hides = (tree.top / ".orchignore").is_file() and (tree.top / ".orchignore").read_bytes() == b"*.skip\n"
    hidden = {path for path in found if hides and any(step.endswith(b".skip") for step in path.split(b"/"))}
    return {path: found[path] for path in found.keys() - ignored - hidden}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DEEDS, min_size=3, max_size=25))
def test_a_snapshot_is_what_is_on_disk(deeds: list[tuple[str, bytes, bytes]]) -> None:
    with world() as tree:
        for deed, path, text in [*deeds, ("look", b"", b"")]:
            do(tree, deed, path, text)
            if deed != "look":
                continue
            before, status = tree.kept(), tree.status()
            snapshot = take(str(tree.top))
            assert (tree.kept(), tree.status()) == (before, status)
            found = contents(snapshot)
            assert found == expected(tree)
            converts = any(path.endswith(b".gitattributes") for path in found)
            if snapshot.head and not converts:
                there = contents_of(tree.top, snapshot.head)
                assert snapshot.changed == len(
                    [path for path in {*there, *found} if there.get(path) != found.get(path)]
                )
