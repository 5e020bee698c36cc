"""Logs and records that stay on this machine, and where their host's archive finds them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orch import paths
from orch.cli import following, wait
from orch.cli.args import parse
from orch.errors import OrchError
from orch.model import Host
from orch.ops import hosts, kept, patience
from orch.ops.submit import Submitted
from orch.ops.wait import Waited
from orch.providers.base import Archive
from orch.providers.kept import Kept
from orch.remote import Remote
from orch.transport import LOST
from orch_agent import wire
from orch_agent.model import JobRef

from .fakes import FakeStream, FakeTransport, job

SPACE = Host("space", "codespaces")
BOX = Host("box", "ssh")


class Logged(FakeTransport):
    """A host with one run, which has ended unless told otherwise."""

    def __init__(self, log: bytes = b"one\r\ntwo\r\n", run: int = 1, state: str = "FAILED", **more: Any) -> None:
        super().__init__({"logs": self._logs, "wait": self._wait})
        self.log, self.status = log, 0
        self.job = job("train", run, state, ended_at="2026-02-16T14:30:00.000Z", exit_code=3, **more)
        self.tty = True

    def _logs(self, request: dict[str, Any]) -> FakeStream:
        header = {"job": self.job, "offset": 0, "size": len(self.log), "tty": self.tty}
        return FakeStream(wire.encode(header) + (b"" if self.status else self.log), self.status)

    def _wait(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [self.job], "timed_out": False}

    def on(self, host: Host) -> Remote:
        return Remote(host, self)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(patience, "PAUSES", (0.0,) * 3)
    return home


def archive(host: Host = SPACE) -> Archive:
    return Kept(host)


def test_a_log_and_its_record(home: Path) -> None:
    found = kept.keep(Logged().on(SPACE), "train")
    assert found.log == f"{home}/.local/share/orch/kept/space/train/1.log"
    assert Path(found.log).read_bytes() == b"one\r\ntwo\r\n"
    assert json.loads(Path(found.record).read_text())["exit_code"] == 3
    assert sorted(os.listdir(os.path.dirname(found.log))) == ["1.json", "1.log"]
    run = archive().find(JobRef("Train", None))
    assert run and (run.name, run.run, run.tty) == ("train", 1, True)
    assert run.ended and (run.ended["state"], run.ended["exit_code"]) == ("FAILED", 3) and "tty" not in run.ended
    assert list(archive().lines(run)) == [b"one\r\n", b"two\r\n"]
    assert list(archive().lines(run, tail=1)) == [b"two\r\n"] and list(archive().lines(run, tail=0)) == []
    assert archive().stops() is None
    with pytest.raises(OrchError, match="--since has to wait"):
        list(archive().lines(run, since=5.0))


def test_the_run_that_is_meant(home: Path) -> None:
    for number in (2, 10, 9):
        kept.keep(Logged(f"run {number}\n".encode(), number).on(SPACE), "train")
    for ref, run in (("train", 10), ("train.9", 9), ("train.2-9", 9), ("train.3", None), ("other", None)):
        found = archive().find(JobRef.parse(ref))
        assert (found.run if found else None) == run
    assert archive(BOX).find(JobRef.parse("train")) is None


def test_one_that_still_ran_has_no_end_and_is_kept_anew(home: Path) -> None:
    kept.keep(Logged(b"begun\n", state="RUNNING").on(SPACE), "train")
    run = archive().find(JobRef("train", None))
    assert run and run.ended is None
    kept.keep(Logged(b"begun\nended\n").on(SPACE), "train")
    run = archive().find(JobRef("train", None))
    assert run and run.ended and list(archive().lines(run)) == [b"begun\n", b"ended\n"]


def test_a_host_made_anew_takes_nothing_away(home: Path) -> None:
    kept.keep(Logged(b"old\n", id="a").on(SPACE), "train")
    found = kept.keep(Logged(b"new\n", id="b").on(SPACE), "train")
    directory = Path(found.log).parent
    assert {path.name: path.read_text() for path in directory.glob("*.log")} == {"1.log": "new\n", "1.a.log": "old\n"}
    run = archive().find(JobRef("train", None))
    assert run and list(archive().lines(run)) == [b"new\n"]


def test_without_a_terminal_its_own_bytes(home: Path) -> None:
    host = Logged()
    host.tty = False
    kept.keep(host.on(SPACE), "train")
    run = archive().find(JobRef("train", None))
    assert run and run.tty is False


@pytest.mark.parametrize("text", ["", "junk", "[]", "[" * 20000, '{"state": 3}'])
def test_a_record_that_nobody_can_read(home: Path, text: str) -> None:
    found = kept.keep(Logged().on(SPACE), "train")
    Path(found.record).write_text(text)
    run = archive().find(JobRef("train", None))
    assert run and run.ended is None and list(archive().lines(run)) == [b"one\r\n", b"two\r\n"]
    kept.keep(Logged().on(SPACE), "train")
    run = archive().find(JobRef("train", None))
    assert run and run.ended


def test_half_a_log_is_none(home: Path) -> None:
    host = Logged()
    host.status = 1
    with pytest.raises(OrchError):
        kept.keep(host.on(SPACE), "train")
    assert archive().find(JobRef("train", None)) is None
    assert os.listdir(f"{paths.kept('space')}/train") == []


@pytest.mark.parametrize("place", ["", "train", "train/1.log", "train/1.json"])
def test_something_else_in_its_place(home: Path, place: str) -> None:
    there = Path(paths.kept("space")) / place
    if there.suffix:
        there.mkdir(parents=True)
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text("in the way")
    with pytest.raises(
        OrchError, match=r"cannot write .*1\.(log|json): (Is a directory|Not a directory|File exists)"
    ) as caught:
        kept.keep(Logged().on(SPACE), "train")
    assert caught.value.kind == "refused" and (there.is_dir() or there.read_text() == "in the way")
    run = archive().find(JobRef("train", None))
    assert (run is not None) == (place == "train/1.json")


# By itself


def waited(patch: pytest.MonkeyPatch, host: Host, transport: FakeTransport, *jobs: dict[str, Any]) -> int:
    """``orch wait`` that has ended with these jobs."""
    known = hosts.Hosts(hosts.config.Config({host.name: host}, host.name))
    patch.setattr(wait.hosts, "load", lambda: known)
    patch.setattr(wait, "wait", lambda *_: Waited([{**one, "host": host.name} for one in jobs], False))
    patch.setattr(kept, "connect", lambda host: Remote(host, transport))
    return wait.main(parse(wait.COMMAND, ["train"]))


def test_what_was_waited_for_is_kept_where_its_host_may_vanish(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host, is_kept in ((BOX, False), (SPACE, True)):
        transport = Logged()
        for _ in range(2):
            assert waited(monkeypatch, host, transport, transport.job) == 3
        assert len(transport.asked) == is_kept, "once is enough"
        assert (archive(host).find(JobRef("train", None)) is not None) == is_kept
    live = Logged(state="RUNNING")
    assert waited(monkeypatch, SPACE, live, live.job) == 255
    assert live.asked == []


def test_one_that_cannot_be_kept_is_a_note(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for break_it in (lambda _: (home / ".local").write_text("in the way"), lambda host: setattr(host, "status", 1)):
        host = Logged()
        break_it(host)
        assert waited(monkeypatch, SPACE, host, host.job) == 3
        said = capsys.readouterr()
        assert said.out == "train.1 FAILED\n" and "the log of train.1 is not kept on this machine: " in said.err


def test_who_stays_with_a_run_keeps_it_too(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, stay in ((1, following.follow), (2, lambda remote, one: _wait(remote, one))):
        host = Logged(run=number)
        assert stay(host.on(SPACE), host.job) == 3
        run = archive().find(JobRef("train", number))
        assert run and list(archive().lines(run)) == [b"one\r\n", b"two\r\n"]
    assert capfd.readouterr().out == "one\ntwo\n"


def _wait(remote: Remote, one: dict[str, Any]) -> int:
    return following.wait(remote, Submitted(one, True), False)


def test_a_link_that_breaks_for_good_is_a_note_too(home: Path) -> None:
    host, told = Logged(), list[str]()
    host.status = LOST
    kept.keep_one(host.on(SPACE), host.job, told.append)
    assert "is not kept on this machine" in told[-1]
