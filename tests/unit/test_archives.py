"""``orch logs`` of a host that does not run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from orch.cli import logs
from orch.cli.args import parse
from orch.errors import OrchError
from orch.model import Host, HostStatus
from orch.ops import archives, cache
from orch.providers.base import Archive, Archived, Run
from orch.providers.kept import Kept
from orch.transport import Off
from orch_agent.model import JobRef

from .fakes import FakeStream, FakeTransport, hosts, job

pytestmark = pytest.mark.usefixtures("home")
ENDED = {"state": "FAILED", "exit_code": 3, "ended_at": "2026-02-16T14:30:00+00:00"}
LOG = (b"one\r\n", b"two\r\n", b"three\r\n")


class FakeArchive:
    where = "CloudWatch"

    def __init__(self, **runs: Run) -> None:
        self.runs = runs
        self.asked: list[Any] = []

    def find(self, ref: JobRef) -> Run | None:
        return self.runs.get(ref.name)

    def lines(self, run: Run, since: float | None = None, tail: int | None = None) -> Iterator[bytes]:
        self.asked.append((since, tail))
        return iter(LOG if tail is None else LOG[-tail:])

    def stops(self) -> None:
        return None


class FakeProvider:
    def __init__(self, archive: Archive | None) -> None:
        self._archive = archive

    def archive(self, host: Host) -> Archive | None:
        assert host.name == "cloud"
        return self._archive


def off(state: str = "stopped") -> FakeTransport:
    """A machine that does not run."""

    def raised(*_: Any) -> Any:
        raise Off("cloud", state)

    transport = FakeTransport()
    transport.run = transport.open = raised  # type: ignore[method-assign]
    return transport


class Laptop:
    def __init__(self, patch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capfd = patch, capfd
        self.transports: dict[str, FakeTransport] = {"cloud": off()}
        self.archive: Archive | None = FakeArchive(train=Run("train", 3, ENDED, "s"), cut=Run("cut", 1, None, "s"))

    def logs(self, *argv: str) -> tuple[str, str]:
        self._patch.setattr(logs.hosts, "load", lambda: hosts(**self.transports))
        self._patch.setattr(archives, "provider_of", lambda _: FakeProvider(self.archive))
        assert logs.main(parse(logs.COMMAND, argv)) == 0
        return self.said()

    def said(self) -> tuple[str, str]:
        out, err = self._capfd.readouterr()
        return out, err

    def refused(self, *argv: str) -> OrchError:
        with pytest.raises(OrchError) as caught:
            self.logs(*argv)
        return caught.value


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Laptop]:
    with pytest.MonkeyPatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield Laptop(monkeypatch, capfd)
    time.tzset()


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_the_bytes_and_beside_them_the_end(laptop: Laptop, follow: Sequence[str]) -> None:
    out, err = laptop.logs("train", *follow)
    assert out == "one\ntwo\nthree\n"
    assert err == "orch: cloud is stopped; from CloudWatch: train.3 FAILED, exit 3, ended 2026-02-16 14:30:00\n"


@pytest.mark.parametrize("state", ["stopped", "stopping", "terminated", "absent"])
def test_a_run_without_an_end_was_cut_off(laptop: Laptop, state: str) -> None:
    laptop.transports = {"cloud": off(state)}
    told = f"orch: {Off('cloud', state).message}; from CloudWatch: cut.1, whose end was not recorded: "
    assert laptop.logs("cut")[1] == f"{told}it ran when the machine went\n"


def test_a_part_of_it(laptop: Laptop) -> None:
    assert laptop.logs("train", "--grep", "^t.*e$", "--tail", "2")[0] == "three\n"
    assert laptop.logs("train", "--raw", "--tail", "1")[0] == "three\r\n"
    before = time.time()
    laptop.logs("train", "--since", "1m")
    assert isinstance(laptop.archive, FakeArchive)
    (since, _) = laptop.archive.asked[-1]
    assert before - 60 <= since <= time.time() - 60
    assert laptop.refused("train", "--grep", "(").kind == "usage"


def test_what_it_cannot_do(laptop: Laptop) -> None:
    error = laptop.refused("train", "--new", "me")
    assert error.kind == "refused" and "CloudWatch does not know what a reader has seen" in error.message
    error = laptop.refused("nothing")
    assert (error.kind, error.hint) == ("not_found", "orch start cloud")
    assert error.message == "cloud is stopped, and CloudWatch has no log of nothing"


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_host_that_goes_while_its_log_is_followed_is_told_and_nothing_is_printed_twice(
    laptop: Laptop, is_kept: bool
) -> None:
    if not is_kept:
        laptop.archive = Kept(Host("cloud", "fake"))
    transport = off()
    header = json.dumps({"job": job(run=3), "offset": 0, "size": 9}).encode()
    streams = [FakeStream(header + b"\none\n", 255)]
    stopped = transport.open
    transport.open = lambda *asked: streams.pop() if streams else stopped(*asked)  # type: ignore[method-assign]
    laptop.transports = {"cloud": transport}
    error = laptop.refused("-f", "train")
    assert (error.kind, error.message) == ("stopped", "cloud is stopped")
    assert error.hint.startswith("orch logs train.3 --tail 100") == is_kept and "orch start cloud" in error.hint
    assert laptop.said() == ("one\n", "")


def test_without_an_archive_the_host_is_stopped(laptop: Laptop) -> None:
    laptop.archive = None
    error = laptop.refused("train")
    assert (error.kind, error.message, error.hint) == ("stopped", "cloud is stopped", "orch start cloud")


def test_among_several_hosts_the_one_that_had_it(laptop: Laptop) -> None:
    laptop.transports["box"] = FakeTransport(
        {"status": lambda _: {"jobs": [], "host": {}}, "resolve": lambda _: {"runs": ["other.1"]}}
    )
    assert laptop.refused("train").kind == "stopped"  # nobody knows that it was there
    assert laptop.logs("train", "--host", "cloud")[0] == "one\ntwo\nthree\n"
    cache.save(HostStatus(Host("cloud", "fake"), [job(run=3)], {}, time.time()))
    out, err = laptop.logs("train")
    assert out == "one\ntwo\nthree\n" and err.startswith("orch: cloud is stopped; from CloudWatch: train.3 FAILED")
    laptop.archive = None
    error = laptop.refused("train")
    assert error.message == "train was on cloud when that was last seen: cloud is stopped"


def test_who_has_no_archive_is_known() -> None:
    from orch.providers import local

    assert isinstance(FakeProvider(None), Archived)
    assert not isinstance(local.PROVIDER, Archived)
