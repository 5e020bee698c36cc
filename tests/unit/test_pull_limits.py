"""``orch pull`` from hosts that send more than they said, and beside others who change what is here meanwhile."""

from __future__ import annotations

import errno
import os
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orch.errors import OrchError
from orch.ops import manifest, pull, receiving
from orch_agent import parts
from orch_agent.sparse import Sum

from .fakes import FakeStream, FakeTransport, remote
from .test_pull import BEGUN, HEADER, Saying, bring, file_entry, left, lines, sent

END = {"mode": 0o640, "mtime_ns": 10**18}


def here(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()}


class Meanwhile(Saying):
    """A host that does something between what it says: ``steps`` are bytes, and what is done behind them."""

    def __init__(self, *entries: dict[str, Any], steps: list[tuple[bytes, Callable[[], object]]]) -> None:
        super().__init__(*entries)
        self.steps = steps

    def _pull(self, request: dict[str, Any]) -> FakeStream:
        return _Doing(lines({}), self.steps) if "files" in request else super()._pull(request)


class _Doing(FakeStream):
    def __init__(self, data: bytes, steps: list[tuple[bytes, Callable[[], object]]]) -> None:
        super().__init__(data, chunk=1 << 20)
        self.steps = list(steps)

    def read(self) -> bytes:
        data = super().read()
        if not data and self.steps:
            data, work = self.steps.pop(0)
            work()
        return data


# More than was said


@pytest.mark.parametrize("more", [lines({"bytes": 9}) + b"123456789", lines({"hole": 9})])
def test_no_more_comes_than_a_file_had_when_it_was_opened(tmp_path: Path, more: bytes) -> None:
    begun = lines(BEGUN, {"bytes": 4}) + b"hell"
    said = begun + more * 50 + lines({"sha256": "0" * 64, **END})
    brought = bring(Saying(file_entry("x"), file_entry("y"), contents=said + sent(b"hello")), tmp_path)
    assert left(brought) == {"x": "more has come than the 5 bytes that it is said to have"}
    assert here(tmp_path) == {"y": b"hello"}


def test_one_that_has_grown_comes_as_it_was_when_it_was_opened(tmp_path: Path) -> None:
    said = sent(b"hello, world", changed=True)
    brought = bring(Saying(file_entry("log"), contents=said), tmp_path)
    assert here(tmp_path) == {"log": b"hello, world"} and brought.changed == ["log"]


def test_all_of_them_grow_within_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they may become twice as long as they were listed; what goes beyond that is left."""
    monkeypatch.setattr(receiving, "_GROWTH", 3)
    names = ("a", "b", "c", "d")
    grown = sent(b"x" * 11) + sent(b"x" * 20) + sent(b"x" * 18) + sent(b"x" * 7)
    brought = bring(Saying(*map(file_entry, names), contents=grown), tmp_path)
    assert {name: len(data) for name, data in here(tmp_path).items()} == {"a": 11, "c": 18}
    assert left(brought) == {
        "b": "it has 20 bytes by now, and had 5 when it was listed",
        "d": "it has 7 bytes by now, and had 5 when it was listed",
    }


def test_a_huge_hole_costs_nothing(tmp_path: Path) -> None:
    """It would be hashed for an hour; and another pull, which finds it here, does not go through it either."""
    size, sum_ = 4 << 40, Sum()
    sum_.skip(size)
    said = lines({"from": 0, "size": size}, {"hole": size}, {"sha256": sum_.hexdigest(), **END})
    brought = bring(Saying(file_entry("x", size), contents=said), tmp_path)
    assert not brought.left and (tmp_path / "to/x").stat().st_size == size
    host = Saying(file_entry("x", size))
    host.said[1] = lines({}, {"sha256": sum_.hexdigest(), "size": size})
    again = pull.Pull(remote(host), "train", ["x"], str(tmp_path / "to"))
    assert (again.same, again.count) == (1, 0)
    (tmp_path / "to/x").rename(tmp_path / "to" / os.fsdecode(parts.aside(b"x")))
    rest = lines({"from": size, "size": size}, {"sha256": sum_.hexdigest(), **END})
    host = Saying(file_entry("x", size), contents=rest)
    assert not bring(host, tmp_path).left and host.asked[-1][1]["files"][0][2:] == [size, sum_.hexdigest()]


# What somebody does here meanwhile


@pytest.mark.parametrize("sha256", ["", "0" * 64])
@pytest.mark.parametrize("becomes", ["nothing", "directory", "another"])
def test_a_part_that_somebody_removes_holds_up_no_other(tmp_path: Path, sha256: str, becomes: str) -> None:
    part = tmp_path / "to" / os.fsdecode(parts.aside(b"x"))

    def removed() -> None:
        if part.exists() and part.is_file():
            part.unlink()
            if becomes == "directory":
                part.mkdir()
            elif becomes == "another":
                part.write_text("not ours")

    begun, end = sent(b"hello", sha256)[:-30], sent(b"hello", sha256)[-30:]
    host = Meanwhile(file_entry("x"), file_entry("y"), steps=[(begun, lambda: None), (end + sent(b"hello"), removed)])
    brought = bring(host, tmp_path)
    assert "x" in left(brought) and (tmp_path / "to/y").read_text() == "hello"
    if becomes == "another" and not sha256:
        assert part.read_text() == "not ours"
    assert not (tmp_path / "to/x").exists()


def test_descriptors_do_not_pile_up(tmp_path: Path, few: int) -> None:
    """However many files come wrong, and however many parts lie here."""
    entries = [file_entry(f"x{number}") for number in range(few)]
    wrong = Saying(*entries, contents=sent(b"hello", sha256="0" * 64) * few)
    assert len(left(bring(wrong, tmp_path))) == few and here(tmp_path) == {}
    for entry in entries:
        (tmp_path / "to" / os.fsdecode(parts.aside(entry["path"].encode()))).write_bytes(b"hel")
    right = Saying(*entries, contents=sent(b"hello") * few)
    brought = bring(right, tmp_path)
    assert not brought.left and here(tmp_path) == {entry["path"]: b"hello" for entry in entries}
    asked = right.asked[-1][1]["files"]
    assert 0 < sum(size == 3 for _, _, size, _ in asked) < few


@pytest.fixture
def few() -> Iterator[int]:
    """As many descriptors more than are open; as many files are then too many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 64, hard))
    yield 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_comes_to_be_in_between_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """In the last moment, behind the look whether there is one; where there are no links, before that."""
    real, look = os.link, parts.Part._is_taken

    def link(*words: Any, **more: Any) -> None:
        if not has_links:
            raise OSError(errno.EPERM, "Operation not permitted")
        (tmp_path / "to/x").write_text("mine")
        real(*words, **more)

    def looked(part: parts.Part) -> bool:
        if not has_links and not (tmp_path / "to/x").exists():
            (tmp_path / "to/x").write_text("mine")
        return look(part)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(parts.Part, "_is_taken", looked)
    brought = bring(Saying(file_entry("x"), contents=sent(b"hello")), tmp_path)
    assert left(brought) == {"x": "something of this name has come to be here meanwhile"}
    assert here(tmp_path) == {"x": b"mine"}


def test_a_file_system_without_links_takes_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert not bring(Saying(file_entry("x"), contents=sent(b"hello")), tmp_path).left
    assert here(tmp_path) == {"x": b"hello"}


# How much is listed


class Listing(FakeTransport):
    """A host that lists without an end."""

    def __init__(self, record: dict[str, Any]) -> None:
        super().__init__({"pull": lambda _: _Endless(lines(HEADER, {"base": "/work"}), lines(record))})


class _Endless(FakeStream):
    def __init__(self, data: bytes, more: bytes) -> None:
        super().__init__(data)
        self.more = more

    def read(self) -> bytes:
        return super().read() or self.more


def test_a_list_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "MOST", 1000)
    with pytest.raises(OrchError, match="more than 1,000 files and directories are there") as caught:
        bring(Listing(file_entry("x")), tmp_path)
    assert caught.value.kind == "refused" and "orch pull train.3 PATH..." in caught.value.hint
    monkeypatch.setattr(manifest, "MOST", 1000)
    with pytest.raises(OrchError, match="makes no sense: there are too many directories"):
        bring(Listing({"base": "/work"}), tmp_path)
    monkeypatch.setattr(pull, "MOST", 10)
    entries = [file_entry(f"x{number}") for number in range(10)]
    assert len(left(bring(Saying(*entries, contents=lines({"gone": "it went"}) * 10), tmp_path))) == 10


@pytest.mark.parametrize("key", ["path", "kind", "target"])
def test_no_name_is_longer_than_any_is(tmp_path: Path, key: str) -> None:
    link = {"path": "x", "kind": "link", "target": "y", "below": 0}
    with pytest.raises(OrchError, match=f"makes no sense: {key} has 9000 characters"):
        bring(Saying({**link, key: "x" * 9000}), tmp_path)


def test_what_is_listed_costs_little(tmp_path: Path) -> None:
    count = 5000
    entries = (file_entry(f"x{number}", number << 20, why="w" * 5000) for number in range(count))
    said = lines(*entries)
    host = FakeTransport(
        {"pull": lambda _: FakeStream(lines(HEADER, {"base": "/work"}) + said + lines({}), chunk=1 << 16)}
    )
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    found = pull.Pull(remote(host), "train", ["x"], str(tmp_path / "to"))
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert found.count == count and after - before < 1000 * count
