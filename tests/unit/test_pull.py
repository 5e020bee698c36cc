"""``orch pull`` with hosts that say what a test wants them to, or what a real agent would over a link that breaks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orch.errors import OrchError
from orch.ops import patience
from orch.ops.pull import Pull
from orch.transport import LOST
from orch_agent import contents, wire

from .fakes import FakeStream, FakeTransport, job, remote

HEADER = {"job": job("train", 3), "directory": "/work"}
BEGUN = {"from": 0, "size": 5}


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(wire.encode(record) for record in records)


def file_entry(path: str, size: int = 5, **more: Any) -> dict[str, Any]:
    return {"path": path, "kind": "file", "mode": 0o640, "size": size, "mtime_ns": 10**18, "below": 0, **more}


def sent(data: bytes, sha256: str = "", mode: int = 0o640, **more: Any) -> bytes:
    """As a file's contents come."""
    end = {"sha256": sha256 or hashlib.sha256(data).hexdigest(), "mode": mode, "mtime_ns": 10**18, **more}
    return lines({"from": 0, "size": len(data)}, {"bytes": len(data)}) + data + lines(end)


class Saying(FakeTransport):
    """A host that lists these entries, and then says these bytes, whatever it is asked."""

    def __init__(self, *entries: dict[str, Any], contents: bytes = b"", ends: bool = True) -> None:
        super().__init__({"pull": self._pull})
        listed = lines(HEADER, {"base": "/work"}, *entries, *([{}] if ends else []))
        self.said = [listed, lines({}) + contents]

    def _pull(self, request: dict[str, Any]) -> FakeStream:
        said = self.said["files" in request]
        return FakeStream(said, chunk=7 if len(said) < 10_000 else 1 << 16)


def bring(host: FakeTransport, to: Path, *paths: str, **options: Any) -> Pull:
    pull = Pull(remote(host), "train", paths or ["out"], str(to / "to"))
    pull.bring(**options)
    return pull


def left(pull: Pull) -> dict[str, str]:
    return {one.path: one.why for one in pull.left}


def test_a_file_with_its_mode_and_its_time(tmp_path: Path) -> None:
    host = Saying(file_entry("out/a"), contents=sent(b"hello", mode=0o6751))
    pull = Pull(remote(host), "train", ["out"], str(tmp_path / "to"))
    seen: list[int] = []
    assert (pull.count, pull.total, pull.bring(progress=seen.append)) == (1, 5, (1, 5))
    file = tmp_path / "to/out/a"
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"hello", 0o751)
    assert file.stat().st_mtime_ns == 10**18 and seen[-1] == 5 and not pull.left
    assert sorted(os.listdir(tmp_path / "to/out")) == ["a"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../out", "out/../../x", "out/..", ".", "out//x", "out/x/", "a\0b", ".orch-part-0123"]
)
def test_a_path_that_leads_elsewhere_is_left_out(tmp_path: Path, path: str) -> None:
    host = Saying(file_entry(path), file_entry("good"), contents=sent(b"hello"))
    pull = bring(host, tmp_path)
    assert list(left(pull)) == [path]
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == ["to", "to/good"]


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit"])
def test_nothing_becomes_the_inside_of_a_repository(tmp_path: Path, name: str) -> None:
    """There the next git would run it. Told once for all that is inside."""
    directory = {"path": f"deep/{name}/hooks", "kind": "directory", "mode": 0o755, "below": 0}
    listed = [directory, *(file_entry(f"deep/{name}/{one}") for one in ("hooks/post-checkout", "config"))]
    pull = bring(Saying(*listed, file_entry("deep/.gitignore"), contents=sent(b"hello")), tmp_path)
    assert list(left(pull)) == [f"deep/{name}"] and "git here would run" in pull.left[0].why and len(pull.left) == 1
    assert [str(file.relative_to(tmp_path / "to")) for file in (tmp_path / "to").rglob("*")] == [
        "deep",
        "deep/.gitignore",
    ]


@pytest.mark.parametrize("target", ["/etc", "..", "../../x", "a/..", "a/../b", "", "./../x", "a\0"])
def test_a_link_that_leads_elsewhere_is_left_out(tmp_path: Path, target: str) -> None:
    host = Saying({"path": "l", "kind": "link", "target": target, "below": 0})
    pull = bring(host, tmp_path)
    assert list(left(pull)) == ["l"] and "outside" in left(pull)["l"]
    assert not os.path.lexists(tmp_path / "to/l")


@pytest.mark.parametrize(("path", "target"), [("l", "a"), ("l", "./a//b"), ("d/l", "../a"), ("d/e/l", "../../x")])
def test_a_link_that_leads_inside_is_kept(tmp_path: Path, path: str, target: str) -> None:
    entry = {"path": path, "kind": "link", "target": target, "below": 0}
    bring(Saying(entry), tmp_path)
    assert os.readlink(tmp_path / "to" / path) == target
    again = Pull(remote(Saying(entry)), "train", ["l"], str(tmp_path / "to"))
    assert (again.same, again.count) == (1, 0)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to/mine").symlink_to(tmp_path / "elsewhere")
    entries = [file_entry("mine/x"), {"path": "mine/sub", "kind": "directory", "mode": 0o755, "below": 0}]
    pull = bring(Saying(*entries, contents=sent(b"hello")), tmp_path)
    assert "mine is no directory here, or a link to one" in left(pull).values() and len(pull.left) == 2
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "whatever", ""])
def test_what_is_no_file_is_left_out(tmp_path: Path, kind: str) -> None:
    why = {"why": "Permission denied"} if not kind else {}
    host = Saying({"path": "x", "kind": kind, "below": 0, **why}, file_entry("y"), contents=sent(b"hello"))
    pull = bring(host, tmp_path)
    assert left(pull) == {"x": f"it is a {kind}" if kind else "Permission denied"}
    assert os.listdir(tmp_path / "to") == ["y"]


def test_two_that_would_come_to_one_place(tmp_path: Path) -> None:
    entries = [file_entry("x"), file_entry("x"), {"base": "/other"}, file_entry("x", below=1)]
    pull = bring(Saying(*entries, contents=sent(b"hello")), tmp_path)
    assert list(left(pull)) == ["x"] and "in /work, comes to the same place" in left(pull)["x"]


@pytest.mark.parametrize(
    "entry",
    [
        *({"path": 3, "kind": "file"}, {"path": "x"}, {"path": "x", "kind": "file", "mode": -1, "size": 1}),
        *(
            file_entry("x", size=-1),
            file_entry("x", size=1.5),
            file_entry("x", mtime_ns="now"),
            file_entry("x", mode=[]),
        ),
        *(file_entry("x", below=1), file_entry("\ud800"), {"path": "l", "kind": "link"}, {"base": 3}),
    ],
)
def test_a_list_that_makes_no_sense(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(OrchError) as caught:
        bring(Saying(entry), tmp_path)
    assert caught.value.kind == "host" and "box" in caught.value.message
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "said",
    [
        *(b"junk\n", b"[]\n", b"{}\n", lines({"from": 3}), lines({"from": -1}), lines({"from": 0})),
        *(lines({**BEGUN, "size": -1}), lines({**BEGUN, "from": 6}), lines(BEGUN, {"bytes": -5})),
        *(lines(BEGUN, {"hole": "x"}), lines(BEGUN, {"sha256": "0" * 64}), b"{" * 3_000_000),
    ],
)
def test_contents_that_make_no_sense(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(OrchError) as caught:
        bring(Saying(file_entry("x"), contents=said), tmp_path)
    assert caught.value.kind == "host" and "box" in caught.value.message


def test_an_error_in_the_middle_is_the_hosts(tmp_path: Path) -> None:
    said = lines(BEGUN, {"error": {"kind": "refused", "message": "this host is tired"}})
    with pytest.raises(OrchError, match="this host is tired"):
        bring(Saying(file_entry("x"), contents=said), tmp_path)


def test_a_file_that_goes_or_that_the_disk_does_not_give(tmp_path: Path) -> None:
    said = lines({"gone": "No such file"}, BEGUN, {"bytes": 2}) + b"ab" + lines({"gone": "Input/output error"})
    pull = bring(Saying(file_entry("x"), file_entry("y"), file_entry("z"), contents=said + sent(b"hello")), tmp_path)
    assert left(pull) == {"x": "No such file", "y": "Input/output error"}
    assert os.listdir(tmp_path / "to") == ["z"]


def test_a_hash_that_is_not_the_bytes(tmp_path: Path) -> None:
    host = Saying(file_entry("x"), contents=sent(b"hello", sha256="0" * 64))
    pull = bring(host, tmp_path)
    assert left(pull) == {"x": "what came is not what was sent, by its hash"}
    assert os.listdir(tmp_path / "to") == [] and len(host.asked) == 4


@pytest.mark.parametrize("count", [1 << 61, (1 << 63) - 1])
def test_a_file_larger_than_any_holds_up_no_other(tmp_path: Path, count: int) -> None:
    begun = {"from": 0, "size": (1 << 63) - 1}
    huge = lines(begun, {"hole": count}, {"hole": count}, {"sha256": "", "mode": 0, "mtime_ns": 0})
    pull = bring(Saying(file_entry("x", begun["size"]), file_entry("y"), contents=huge + sent(b"hello")), tmp_path)
    assert list(left(pull)) == ["x"] and os.listdir(tmp_path / "to") == ["y"]


def test_something_that_has_come_here_meanwhile_stays(tmp_path: Path) -> None:
    pull = Pull(remote(Saying(file_entry("x"), contents=sent(b"hello"))), "train", ["x"], str(tmp_path / "to"))
    (tmp_path / "to/x").write_text("mine")
    pull.bring()
    assert "meanwhile" in left(pull)["x"]
    assert [path.read_text() for path in (tmp_path / "to").iterdir()] == ["mine"]


def test_names_that_are_one_here_are_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where upper and lower case are one: the second finds what the first has become."""
    pull = Pull(remote(Saying(file_entry("x"), file_entry("X"), contents=sent(b"hello") * 2)), "t", [], str(tmp_path))
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: real(path.lower() if path == b"X" else path, **more))
    pull.bring()
    assert list(left(pull)) == ["X"]


def test_what_differs_is_asked_for(tmp_path: Path) -> None:
    to = tmp_path / "to"
    to.mkdir()
    (to / "longer").write_text("mine is longer")
    (to / "l").symlink_to("mine")
    (to / "d").mkdir()
    entries = [file_entry("longer"), {"path": "l", "kind": "link", "target": "x", "below": 0}, file_entry("d")]
    with pytest.raises(OrchError) as caught:
        bring(Saying(*entries), tmp_path)
    assert (caught.value.kind, caught.value.message) == (
        "refused",
        "here and not the same, 1 of them changed later than there: longer, l",
    )
    assert (to / "longer").read_text() == "mine is longer" and os.readlink(to / "l") == "mine"
    pull = bring(Saying(*entries, contents=sent(b"hello")), tmp_path, overwrite=True)
    assert (to / "longer").read_text() == "hello" and os.readlink(to / "l") == "x" and (to / "d").is_dir()
    assert left(pull) == {"d": "here it is a directory"}


def test_what_is_as_long_is_compared(tmp_path: Path) -> None:
    host, to = Saying(file_entry("same"), file_entry("other")), tmp_path / "to"
    host.said[1] = lines({}, *({"sha256": hashlib.sha256(b"hello").hexdigest(), "size": 5} for _ in range(2)))
    to.mkdir()
    (to / "same").write_text("hello")
    (to / "other").write_text("olleh")
    os.utime(to / "other", ns=(1, 1))
    pull = Pull(remote(host), "train", ["x"], str(to))
    assert (pull.same, pull.differing, pull.warning) == (1, ["other"], "here and not the same: other")


def test_there_is_nothing(tmp_path: Path) -> None:
    absent = {"path": "nope*", "kind": "", "absent": True, "why": "there is none"}
    with pytest.raises(OrchError) as caught:
        bring(Saying(absent), tmp_path, "nope*")
    assert caught.value.kind == "not_found" and caught.value.message == "train.3 has no nope* in /work on box"
    with pytest.raises(OrchError) as caught:
        Pull(remote(Saying()), "train", [], str(tmp_path / "to"))
    assert "train.3 has put nothing into $ORCH_OUT on box" in caught.value.message
    assert "orch pull train.3 PATH..." in caught.value.hint and "/work" in caught.value.hint
    assert left(bring(Saying(absent, file_entry("y"), contents=sent(b"hello")), tmp_path)) == {"nope*": "there is none"}


@pytest.mark.parametrize("to", ["file", "file/below", "a\0b"])
def test_a_directory_that_cannot_be(tmp_path: Path, to: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OrchError, match="nothing can be brought to") as caught:
        Pull(remote(Saying(file_entry("x"))), "train", ["x"], str(tmp_path / to))
    assert caught.value.kind == "refused"


# Over links that break


class Breaking(FakeTransport):
    """A real sender's files, over a link that breaks after each of ``cuts`` bytes and then holds."""

    def __init__(self, there: Path, files: dict[str, bytes], cuts: list[int]) -> None:
        super().__init__({"pull": self._pull})
        self.there, self.files, self.cuts = there, files, cuts
        self.sent = 0
        there.mkdir(exist_ok=True)
        for name, data in files.items():
            (there / name).write_bytes(data)

    def _pull(self, request: dict[str, Any]) -> FakeStream:
        if "files" in request:
            said = self._contents(request)
        else:
            listed = [file_entry(name, len(data)) for name, data in self.files.items()]
            said = lines(HEADER, {"base": str(self.there)}, *listed, {})
        if not self.cuts:
            return FakeStream(said, chunk=1 << 16)
        cut = self.cuts.pop(0)
        return FakeStream(said[:cut], LOST if cut < len(said) else 0, chunk=1 << 16)

    def _contents(self, request: dict[str, Any]) -> bytes:
        out = io.BytesIO(b"")
        out.write(lines({}))
        for base, path, size, sha256 in request["files"]:
            contents.send(os.fsencode(os.path.join(request["bases"][base], path)), contents.Have(size, sha256), out)
        self.sent += len(out.getvalue())
        return out.getvalue()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    return lambda: None


FILES = {"small": b"x", "empty": b"", "large": random.Random(1).randbytes(900_000), "last": b"end\n" * 9}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(12))
def test_links_that_break_anywhere(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    cuts = [10**9, *(chance.choice([0, 20, 200, chance.randrange(1_000_000)]) for _ in range(20))]
    pull = bring(Breaking(tmp_path / "there", FILES, cuts), tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == FILES
    assert not pull.left


@pytest.mark.usefixtures("at_once")
def test_nothing_comes_twice(tmp_path: Path) -> None:
    host = Breaking(tmp_path / "there", {"large": FILES["large"]}, [10**9, *[300_000] * 5])
    seen: list[int] = []
    bring(host, tmp_path, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == len(FILES["large"])
    sizes = [request["files"][0][2] for verb, request in host.asked if "files" in request]
    assert sizes == sorted(sizes) and sizes[0] == 0 and sizes[-1] > 700_000


def broken_off(tmp_path: Path, data: bytes) -> Path:
    """A pull whose agent died at two thirds; what is left of it here."""
    host = Breaking(tmp_path / "there", {"large": data}, [])
    host.cuts = [10**9, 600_000]
    real = host.open
    host.open = lambda *words: _dies(real(*words))  # type: ignore[assignment,method-assign]
    with pytest.raises(OrchError, match="gave no answer"):
        bring(host, tmp_path)
    (part,) = (tmp_path / "to").iterdir()
    assert part.name.startswith(".orch-part-") and 400_000 < part.stat().st_size < 600_000
    return part


def _dies(stream: FakeStream) -> FakeStream:
    stream.status = 1 if stream.status == LOST else 0
    return stream


@pytest.mark.parametrize("changed", [False, True])
def test_another_pull_goes_on_where_one_stopped(tmp_path: Path, changed: bool) -> None:
    broken_off(tmp_path, FILES["large"])
    data = FILES["large"] if not changed else b"!" + FILES["large"][1:]
    host = Breaking(tmp_path / "there", {"large": data}, [])
    bring(host, tmp_path)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "to").iterdir()] == [("large", data)]
    assert (host.sent > 900_000) == changed


def test_what_is_planted_in_the_place_of_a_part_is_not_written_to(tmp_path: Path) -> None:
    part = broken_off(tmp_path, FILES["large"])
    for plant in (part.symlink_to, part.hardlink_to):
        (tmp_path / "victim").write_text("untouched")
        part.unlink()
        plant(tmp_path / "victim")
        bring(Breaking(tmp_path / "there", {"large": FILES["large"]}, []), tmp_path)
        assert (tmp_path / "victim").read_text() == "untouched"
        assert (tmp_path / "to/large").read_bytes() == FILES["large"]
        (tmp_path / "to/large").rename(part)


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    part = broken_off(tmp_path, FILES["large"])
    import fcntl

    with part.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        pull = bring(Breaking(tmp_path / "there", {"large": FILES["large"], "small": b"x"}, []), tmp_path)
    assert left(pull) == {"large": "another orch is just bringing it"}
    assert part.exists() and (tmp_path / "to/small").exists()


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError) as caught:
        bring(Saying(file_entry("x"), contents=sent(b"hello")), tmp_path)
    assert caught.value.filename == str(tmp_path / "to")


def test_many_directories(tmp_path: Path) -> None:
    """More than are kept open, and each with its mode, also where nobody may write."""
    made = [f"d{number}" for number in range(100)]
    entries = [{"path": path, "kind": "directory", "mode": 0o550, "below": 0} for path in made]
    files = [file_entry(f"{path}/x") for path in made]
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    pull = bring(Saying(*entries, *files, contents=sent(b"hello") * 100), tmp_path)
    assert not pull.left
    assert {(path.name, stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "to").iterdir()} == {
        (path, 0o550) for path in made
    }
    assert not before or len(os.listdir("/proc/self/fd")) == len(before)


@pytest.fixture(autouse=True)
def removable(tmp_path: Path) -> Iterator[None]:
    yield
    for path in tmp_path.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def test_the_document_takes_any_name(tmp_path: Path) -> None:
    """As JSON, names that are no UTF-8 come through."""
    pull = bring(Saying(file_entry("\udcff\n"), contents=lines({"gone": "it went"})), tmp_path)
    assert json.loads(json.dumps(left(pull))) == {"\udcff\n": "it went"}


def test_a_directory_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It is listed before that is known; what is beside it comes."""
    closed = {"path": "out/closed", "kind": "directory", "mode": 0o700, "below": 0}
    unread = {"path": "out/closed", "kind": "", "why": "Permission denied", "below": 0}
    pull = bring(Saying(closed, unread, file_entry("out/x"), contents=sent(b"hello")), tmp_path)
    assert left(pull) == {"out/closed": "Permission denied"} and (tmp_path / "to/out/x").exists()
