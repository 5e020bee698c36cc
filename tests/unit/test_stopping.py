"""Around a stop: no job may come to a host that GitHub, or AWS, has begun to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orch.cli import waking
from orch.errors import OrchError
from orch.model import Host
from orch.ops import machines
from orch.providers.base import Tell, under_way
from orch.providers.codespaces import gh, power
from orch.remote import Remote
from orch.transport import Closed, LinkDown, Off
from tests.unit.fakes import FakeTransport

HOST = Host("box", "ec2")


class Cloud:
    """A provider whose stop does as it is told, and which says in turn what the host is instead of running."""

    def __init__(self, stopped: Callable[[Tell], None] = lambda tell: None, states: Sequence[str] = ()) -> None:
        self._stopped = stopped
        self._states = iter(states)
        self.started = 0
        self.asked = 0

    def must_run(self, host: Host) -> None:
        self.asked += 1
        state = next(self._states)
        if state == "?":
            raise LinkDown("GitHub does not answer")
        if state:
            raise Off(host.name, state)

    def start(self, host: Host, tell: Tell) -> None:
        self.started += 1

    def stop(self, host: Host, tell: Tell) -> None:
        self._stopped(tell)

    def usd_per_hour(self, host: Host, state: str) -> float | None: ...
    def loss(self, host: Host) -> Sequence[tuple[str, str]]: ...
    def down(self, host: Host, snapshot: bool, tell: Tell) -> None: ...


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cloud], FakeTransport]:
    """Makes ``box`` a host of that cloud; its agent answers."""

    def made(cloud: Cloud) -> FakeTransport:
        monkeypatch.setattr(machines, "provider_of", lambda host: cloud)
        transport = FakeTransport(
            {"close": lambda asked: {"names": []}, "status": lambda asked: {"jobs": [], "host": {}}}
        )
        monkeypatch.setattr(machines, "connect", lambda host: Remote(host, transport))
        return transport

    return made


def told_then(error: BaseException) -> Callable[[Tell], None]:
    def stopped(tell: Tell) -> None:
        tell("machine", "stopping")
        raise error

    return stopped


def not_told(tell: Tell) -> None:
    raise LinkDown("GitHub does not answer")


@pytest.mark.parametrize(
    ("stopped", "opens"),
    [
        (told_then(OrchError("refused", "no")), True),
        (told_then(OrchError("not_authorised", "not you")), True),
        (not_told, True),
        (told_then(LinkDown("no answer")), False),
        (told_then(OrchError("host", "box is still ShuttingDown")), False),
        (told_then(KeyboardInterrupt()), False),
        (lambda tell: tell("machine", "stopping"), False),
    ],
)
def test_it_is_opened_again_only_if_nothing_was_done_to_it(
    at: Callable[[Cloud], FakeTransport], stopped: Callable[[Tell], None], opens: bool
) -> None:
    transport = at(Cloud(stopped))
    try:
        machines.stop(HOST, False, lambda what, status: None)
    except (OrchError, KeyboardInterrupt):
        pass
    closed = [asked.get("seconds") for verb, asked in transport.asked if verb == "close"]
    assert closed == ([600.0, 0] if opens else [600.0])


def test_a_denial_while_it_is_waited_for_is_none_of_the_stop() -> None:
    for error in (OrchError("not_authorised", "the session has expired", "log in"), LinkDown("no answer")):
        with pytest.raises(OrchError) as raised, under_way("box was told to stop"):
            raise error
        assert raised.value.kind == "host"
    with pytest.raises(Off), under_way("box was told to stop"):
        raise Off("box", "absent")


def test_a_denied_look_at_a_codespace_that_stops(gh_says: Callable[..., None]) -> None:
    gh_says(("GET", "Available"), ("POST", "ShuttingDown"), ("GET", "HTTP 403"))
    with pytest.raises(OrchError, match="was told to stop") as raised:
        power.stop("box", "fluffy-1", lambda what, status: None)
    assert raised.value.kind == "host"


@pytest.fixture
def gh_says(monkeypatch: pytest.MonkeyPatch, home: Any) -> Callable[..., None]:
    """What GitHub says of a codespace, call by call: its state, or that it is denied."""

    def prepare(*calls: tuple[str, str]) -> None:
        answers = iter(calls)

        def api(path: str, method: str = "GET", fields: object = None) -> dict[str, str]:
            expected, said = next(answers)
            assert method == expected
            if said.startswith("HTTP"):
                raise gh.Failure("refused", "GitHub says: no", "", int(said[5:]))
            return {"name": "fluffy-1", "state": said}

        monkeypatch.setattr(gh, "api", api)

    return prepare


@pytest.mark.parametrize(
    ("said", "state"), [("ShuttingDown", "stopping"), ("Shutdown", "stopped"), ("Deleted", "absent")]
)
def test_whether_a_codespace_runs_is_asked_anew(gh_says: Callable[..., None], said: str, state: str) -> None:
    gh_says(("GET", "Available"), ("GET", said))
    power.must_run("box", "fluffy-1")
    with pytest.raises(Off) as off:
        power.must_run("box", "fluffy-1")
    assert off.value.state == state


# Work for a host that takes no jobs


def test_what_the_agent_refuses_so_is_closed() -> None:
    def refuse(asked: dict[str, Any]) -> Any:
        raise OrchError("stopped", "this host is about to stop, and takes no jobs meanwhile", "the same again")

    with pytest.raises(Closed, match="is about to stop") as closed:
        Remote(HOST, FakeTransport({"submit": refuse})).call("submit", {})
    assert (closed.value.host, closed.value.kind) == ("box", "stopped")


class Work:
    """Is refused so many times."""

    def __init__(self, refusals: float) -> None:
        self.left = refusals
        self.done = 0

    def __call__(self) -> str:
        self.done += 1
        if self.done <= self.left:
            raise Closed("box", "box is about to stop, and takes no jobs meanwhile", "")
        return "done"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "_PAUSE", 0.0)


def test_one_that_is_stopping_is_started_whatever_its_agent_would_say_next(
    at: Callable[[Cloud], FakeTransport],
) -> None:
    cloud, work = Cloud(states=["", "?", "stopping"]), Work(3)
    at(cloud)
    assert waking.awake({"box": HOST}, work) == "done"
    assert (cloud.asked, cloud.started, work.done) == (3, 1, 4)


def test_one_that_opens_again_needs_no_start(at: Callable[[Cloud], FakeTransport]) -> None:
    cloud, work = Cloud(states=["", ""]), Work(2)
    at(cloud)
    assert waking.awake({"box": HOST}, work) == "done"
    assert (cloud.asked, cloud.started) == (2, 0)


def test_it_is_waited_for_longer_than_a_host_is_closed(
    at: Callable[[Cloud], FakeTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waking._CLOSING > machines._CLOSED
    monkeypatch.setattr(waking, "_CLOSING", -1.0)
    at(Cloud(states=[""]))
    with pytest.raises(Closed):
        waking.awake({"box": HOST}, Work(float("inf")))
