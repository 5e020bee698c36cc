"""Whatever a host calls its files, and wherever its links lead: nothing outside of the directory is touched."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch_agent.landing import Place, stays_inside, steps
from orch_agent.parts import Unfit, aside

NAMES = [b"a", b"b", b"c", b"..", b".", b"", b"\xff\n", b"x" * 300, b"\0", aside(b"a"), b"victim"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=5).map(b"/".join)
TARGETS = st.builds(
    lambda start, names: start + b"/".join(names),
    st.sampled_from([b"", b"", b"/", b"../", b"../../", b"./"]),
    st.lists(st.sampled_from([b"a", b"b", b"..", b".", b"", b"outside", b"victim"]), max_size=4),
)
DEEDS = st.one_of(
    st.tuples(st.just("file"), PATHS, st.booleans()),
    st.tuples(st.just("directory"), PATHS, st.sampled_from([0o777, 0o000, 0o4755])),
    st.tuples(st.just("link"), PATHS, TARGETS),
    st.tuples(st.just("link over"), PATHS, TARGETS),
)


@contextmanager
def world() -> Iterator[Path]:
    """A directory with ``outside/victim`` and, beside it, ``to``, in which a person has a link that leads out."""
    with tempfile.TemporaryDirectory(prefix="orch-pull-", dir="/tmp") as name:
        root = Path(name).resolve()
        for directory in ("outside/a/b", "to"):
            (root / directory).mkdir(parents=True)
        for file in ("outside/victim", "victim", "outside/a/victim"):
            (root / file).write_text("untouched")
        (root / "to/c").symlink_to(root / "outside")
        yield root


def outside(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything that is not below ``to``: its mode, its links, its bytes."""
    found = [path for path in [root, *root.rglob("*")] if root / "to" not in [path, *path.parents]]
    whole = {path: path.lstat() for path in found}
    return {
        str(path): (stat.st_mode, stat.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path, stat in whole.items()
    }


def write(place: Place, path: bytes, over: bool) -> None:
    part = place.part(path)
    part.write(memoryview(b"pulled"))
    try:
        part.finish(0o644, 10**18, over)
    except Unfit:
        part.drop()
        raise


def leads_somewhere(link: Path) -> bool:
    """Not in a circle, of which ``realpath`` says anything."""
    try:
        link.stat()
    except OSError as error:
        return error.errno != errno.ELOOP
    return True


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DEEDS, max_size=8))
def test_nothing_outside_is_touched(deeds: list[tuple[str, bytes, object]]) -> None:
    with world() as root:
        before = outside(root)
        place = Place(str(root / "to"))
        for kind, path, more in deeds:
            with suppress(Unfit):
                place.look(path)
                place.is_begun(path)
            with suppress(Unfit):
                if kind == "file":
                    write(place, path, bool(more))
                elif kind == "directory":
                    assert isinstance(more, int)
                    place.make(path, more)
                else:
                    assert isinstance(more, bytes)
                    place.link(path, more, kind == "link over")
        place.close()
        assert outside(root) == before
        made = [path for path in (root / "to").rglob("*") if path.is_symlink() and path != root / "to/c"]
        for link in filter(leads_somewhere, made):  # as the kernel follows them
            assert f"{os.path.realpath(link)}/".startswith(f"{root}/to/"), (link, os.readlink(link))


@given(PATHS, TARGETS)
def test_what_stays_inside_does_so_whatever_the_names_on_the_way_are(path: bytes, target: bytes) -> None:
    """Even where each name on the way is a link to the directory itself, from which one step up leads out."""
    if not stays_inside(path, target):
        return
    depth = path.count(b"/")
    for name in target.split(b"/"):
        if name == b"..":
            depth -= 1
        elif name not in (b"", b"."):
            depth = 0  # the worst that a link can do
        assert depth >= 0


@given(PATHS)
def test_a_path_that_is_taken_is_one_below(path: bytes) -> None:
    with suppress(Unfit):
        assert b"/".join(steps(path)) == os.path.normpath(path) and not path.startswith((b"/", b".."))
