"""Submitting, waiting and cancelling, on one host and on several."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orch.errors import OrchError
from orch.model import Host, HostStatus
from orch.ops import cache
from orch.ops.cancel import cancel
from orch.ops.jobs import send, show
from orch.ops.submit import submit
from orch.ops.wait import wait
from orch.transport import LinkLost
from orch_agent.model import JobRef, JobSpec, Refusal

from .fakes import FakeTransport, hosts, job, remote, silent

pytestmark = pytest.mark.usefixtures("home")
SPEC = JobSpec("train", "true")


def busy(times: int) -> FakeTransport:
    """A host on which the name is taken ``times`` times more."""

    def submitted(_: Any) -> Any:
        nonlocal times
        times -= 1
        if times >= 0:
            raise OrchError("name_in_use", "train lives")
        return {"job": job(), "created": True}

    return FakeTransport({"submit": submitted, "cancel": lambda _: {"jobs": [job()]}})


def test_a_submission_is_the_id_and_the_specification() -> None:
    host = busy(0)
    done = submit(remote(host), SPEC._replace(env={"A": "1"}, tty=False), "key")
    assert done.created and done.job["host"] == "box"
    spec = {"name": "train", "command": "true", "env": {"A": "1"}, "tty": False}
    assert host.asked == [("submit", {"v": 1, "id": "key", "spec": spec})]


def test_a_submission_brings_what_the_configuration_says_of_the_host() -> None:
    host = busy(0)
    box = remote(host)
    for reserve in ("1.5G", "default"):
        box.host = Host("box", "ssh", {"retention": "7d", "memory_reserve": reserve})
        submit(box, SPEC, "key")
    assert [asked["settings"] for _, asked in host.asked] == [
        {"retention": 7 * 86400, "memory_reserve": 3 << 29},
        {"retention": 7 * 86400, "memory_reserve": None},
    ]


def test_replace_cancels_and_submits_the_same_id_again() -> None:
    host = busy(2)
    submit(remote(host), SPEC, "key", replace=True)
    assert [verb for verb, _ in host.asked] == ["submit", "cancel", "submit", "cancel", "submit"]
    assert {asked["id"] for verb, asked in host.asked if verb == "submit"} == {"key"}


def test_without_replace_a_taken_name_is_refused() -> None:
    host = busy(1)
    with pytest.raises(OrchError, match="train lives"):
        submit(remote(host), SPEC, "key")
    assert [verb for verb, _ in host.asked] == ["submit"]


def test_replacing_has_an_end() -> None:
    with pytest.raises(OrchError, match="train lives"):
        submit(remote(busy(100)), SPEC, "key", replace=True)


@pytest.mark.parametrize(
    ("spec", "key"), [(SPEC, "my key"), (SPEC, ""), (SPEC._replace(name="-x"), "k"), (SPEC._replace(command=" "), "k")]
)
def test_what_no_host_could_take_is_not_even_sent(spec: JobSpec, key: str) -> None:
    host = busy(0)
    with pytest.raises(Refusal) as caught:
        submit(remote(host), spec, key)
    assert caught.value.kind == "usage" and not host.asked


def host_with(*names: str, **verbs: Any) -> FakeTransport:
    """A host that knows these jobs, and no others."""

    def status(request: Any) -> Any:
        asked = request.get("names") or names
        if set(asked) - set(names):
            raise OrchError("not_found", "no such job")
        return {"jobs": [job(name) for name in asked], "host": {}}

    def ended(request: Any) -> Any:
        return {
            "jobs": [job(name, state="FAILED", exit_code=len(name)) for name in request["jobs"]],
            "timed_out": False,
        }

    def resolve(request: Any) -> Any:
        raise OrchError("not_found", f"there is no job called {request['jobs'][0]} on this host")

    return FakeTransport({"status": status, "cancel": ended, "wait": ended, "resolve": resolve, **verbs})


def test_one_host_is_asked_only_what_it_is_for() -> None:
    only = host_with("a")
    assert wait(hosts(only=only), ["a"]).jobs[0]["exit_code"] == 1
    assert [verb for verb, _ in only.asked] == ["wait"]


def test_jobs_of_several_hosts_come_back_in_the_order_asked_for() -> None:
    def known() -> Any:
        return hosts(one=host_with("a", "cc"), two=host_with("bb"))

    wanted = [("bb", "two"), ("a", "one"), ("cc", "one")]
    for jobs in (wait(known(), ["bb", "a", "cc", "bb"]).jobs, cancel(known(), ["bb", "a", "cc", "bb"])):
        assert [(one["name"], one["host"]) for one in jobs] == wanted


def test_a_name_on_two_hosts_needs_the_host() -> None:
    known = hosts(one=host_with("a"), two=host_with("a"))
    with pytest.raises(OrchError, match="a lives on one, two") as caught:
        wait(known, ["a"])
    assert caught.value.hint == "say which: --host one"
    assert wait(known, ["a"], host="two").jobs[0]["host"] == "two"


def test_a_job_that_no_host_has(home: Path) -> None:
    with pytest.raises(OrchError, match="there is no job called x on any host"):
        cancel(hosts(one=host_with("a"), two=host_with("b")), ["x"])
    with pytest.raises(OrchError, match="no host that answers has x: two: no answer within 10 s"):
        cancel(hosts(one=host_with("a"), two=host_with("b", status=silent)), ["x"])


def test_a_job_that_one_host_had_is_spoken_of_in_its_words(home: Path) -> None:
    def gone(_: Any) -> Any:
        raise OrchError("not_found", "x.3 is gone", "orch show x")

    with pytest.raises(OrchError, match=r"^x\.3 is gone") as caught:
        cancel(hosts(one=host_with("a"), two=host_with("b", resolve=gone)), ["x.3"])
    assert (caught.value.kind, caught.value.hint) == ("not_found", "orch show x")


def seen(name: str, *jobs: str) -> None:
    """What this laptop last saw on a host."""
    cache.save(HostStatus(Host(name, "fake"), [job(one) for one in jobs], {}, 1.0))


def hanging(_: Any) -> Any:
    """Longer than any test waits."""
    threading.Event().wait(60)


@pytest.mark.parametrize("silence", [silent, hanging])
def test_a_silent_host_is_not_waited_for(home: Path, silence: Any) -> None:
    seen("two", "b")
    began = time.monotonic()
    assert wait(hosts(one=host_with("a"), two=host_with("b", status=silence)), ["a"]).jobs[0]["host"] == "one"
    assert time.monotonic() - began < 8  # a host is given ten seconds


@pytest.mark.parametrize("silence", [silent, hanging])
def test_a_silent_host_that_had_the_name_too_is_not_passed_over(home: Path, silence: Any) -> None:
    seen("two", "a")
    known = hosts(one=host_with("a"), two=host_with("a", status=silence))
    with pytest.raises(OrchError, match="a lives on one and, when last seen, on two, which did not answer") as caught:
        cancel(known, ["a"])
    assert caught.value.hint == "say which: --host one"
    assert "cancel" not in [verb for verb, _ in known.transports["one"].asked]
    assert cancel(known, ["a"], host="one")[0]["host"] == "one"


def test_a_slow_host_that_has_the_name_too_is_heard(home: Path) -> None:
    def slow(request: Any) -> Any:
        time.sleep(0.3)
        return {"jobs": [job("a")], "host": {}}

    with pytest.raises(OrchError, match="a lives on one, two"):
        wait(hosts(one=host_with("a"), two=host_with("a", status=slow)), ["a"])


def test_a_job_of_a_silent_host_fails_as_that_host_does(home: Path) -> None:
    def locked(_: Any) -> Any:
        raise OrchError("not_authorised", "two asks for a password", "orch ssh two")

    seen("two", "b")
    with pytest.raises(OrchError, match="b was on two when that was last seen: two asks for a password") as caught:
        cancel(hosts(one=host_with("a"), two=host_with("b", status=locked)), ["b"])
    assert (caught.value.kind, caught.value.hint) == ("not_authorised", "orch ssh two")


def test_any_does_not_wait_for_the_slower_host() -> None:
    never = threading.Event()

    def slow(request: Any) -> Any:
        never.wait(30)
        return {"jobs": [job(name) for name in request["jobs"]], "timed_out": True}

    waited = wait(hosts(one=host_with("a", wait=slow), two=host_with("b")), ["a", "b"], any_of=True)
    never.set()
    assert [one["name"] for one in waited.jobs] == ["b"] and not waited.timed_out


class FarHost(FakeTransport):
    """A host whose link breaks under the first ``breaks`` requests of ``verb``; meanwhile the name runs anew."""

    here = False
    counts_visits = False

    def __init__(self, verb: str, breaks: int = 1) -> None:
        super().__init__({"resolve": self._resolved, verb: self._ended})
        self.newest, self._breaks = 1, breaks

    def _resolved(self, request: Any) -> Any:
        refs = [JobRef.parse(ref) for ref in request["jobs"]]
        return {"runs": [f"train.{ref.run or self.newest}" for ref in refs]}

    def _ended(self, request: Any) -> Any:
        if self._breaks:
            self._breaks, self.newest = self._breaks - 1, self.newest + 1
            raise LinkLost("the connection broke")
        refs = [JobRef.parse(ref) for ref in request.get("jobs") or [request["job"]]]
        jobs = [job(ref.name, ref.run or self.newest, "COMPLETED") for ref in refs]
        return {"jobs": jobs, "job": jobs[0], "timed_out": False}

    def _answer(self, script: str, stdin: bytes) -> Any:
        answer = super()._answer(script, stdin)
        if answer.get("error", {}).get("message") == "the connection broke":
            raise LinkLost("the connection broke")
        return answer


@pytest.mark.parametrize("ref", ["train", "Train", "train.1"])
@pytest.mark.parametrize("verb", ["wait", "cancel"])
def test_what_is_asked_again_means_the_run_that_was_meant(verb: str, ref: str) -> None:
    far = FarHost(verb)
    jobs = wait(hosts(far=far), [ref]).jobs if verb == "wait" else cancel(hosts(far=far), [ref])
    assert [(one["name"], one["run"]) for one in jobs] == [("train", 1)]
    assert [asked["jobs"] for said, asked in far.asked if said == verb] == [["train.1"]] * 2
    assert [said for said, _ in far.asked].count("resolve") == ("." not in ref)


def test_what_is_typed_goes_to_the_run_that_was_meant() -> None:
    far = FarHost("send", breaks=0)
    assert send(hosts(far=far), "train", "yes")["run"] == 1
    assert far.asked[-1][1]["job"] == "train.1"


def test_names_and_runs_come_back_as_typed() -> None:
    far = FarHost("cancel", breaks=0)
    far.newest = 3
    jobs = cancel(hosts(far=far), ["train.2", "TRAIN", "train.1"])
    assert [one["run"] for one in jobs] == [2, 3, 1]


@pytest.mark.parametrize("verb", ["wait", "cancel"])
def test_a_host_that_tells_of_other_jobs_than_asked_for(verb: str) -> None:
    far = FarHost(verb)
    far.verbs[verb] = lambda _: {"jobs": [], "timed_out": False}
    with pytest.raises(OrchError, match="0 jobs where 1 were asked for") as caught:
        wait(hosts(far=far), ["train"]) if verb == "wait" else cancel(hosts(far=far), ["train"])
    assert caught.value.kind == "host"


def test_show_tells_no_value_of_the_environment() -> None:
    spec = {"name": "a", "command": "x", "env": {"TOKEN": "hunter2", "A": "1"}, "tty": False}
    host = FakeTransport({"show": lambda _: {"job": job("a"), "spec": spec, "why": None, "log_tail": ""}})
    shown = show(hosts(one=host), "a")
    assert shown["env"] == ["A", "TOKEN"] and shown["tty"] is False
    assert "hunter2" not in str(shown)


def test_a_host_that_needs_a_person_is_not_called_silent(home: Path) -> None:
    def refuse(_: object) -> None:
        raise OrchError("not_authorised", "the host key of three has changed", "orch ssh three")

    asked = hosts(one=host_with("a"), two=FakeTransport({"status": silent}), three=FakeTransport({"status": refuse}))
    with pytest.raises(OrchError, match="the host key of three has changed") as caught:
        cancel(asked, ["x"])
    assert (caught.value.kind, caught.value.hint) == ("not_authorised", "orch ssh three")
