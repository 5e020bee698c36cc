from __future__ import annotations

import json
from typing import Any

import pytest

from orch.errors import OrchError
from orch.remote import MISSING, NO_PYTHON
from orch.transport import Completed

from .fakes import FakeStream, FakeTransport, job, remote

HEADER = json.dumps({"job": job("a")}).encode()


def test_a_missing_agent_is_installed_and_the_request_repeated() -> None:
    transport = FakeTransport({"status": lambda _: {"jobs": [job()]}}, installed=False)
    assert remote(transport).call("status", {})["jobs"][0]["host"] == "box"
    assert transport.installed
    assert [verb for verb, _ in transport.asked] == ["status"]


def test_the_same_for_a_conversation() -> None:
    transport = FakeTransport({"logs": lambda _: FakeStream(HEADER + b"\nbytes")}, installed=False)
    header, stream = remote(transport).open("logs", {"job": "a"})
    assert (header["job"]["name"], header["job"]["host"]) == ("a", "box")
    assert stream.read() == b"bytes"


@pytest.mark.parametrize(
    ("verb", "request_", "read"),
    [
        ("status", {}, False),
        ("submit", {"id": "x", "spec": {"name": "a", "command": "true"}}, False),
        ("submit", {"id": "x", "spec": {"name": "a", "command": "true", "env": {"TOKEN": "hidden"}}}, True),
        ("submit", {"id": "x", "spec": {"name": "a", "command": "true", "secrets": {"TOKEN": "hidden"}}}, True),
        ("send", {"job": "a", "text": "hidden"}, True),
        ("submit", {"id": "x", "spec": {"name": "a", "command": "x" * 16_000}}, False),
        ("submit", {"id": "x", "spec": {"name": "a", "command": "x" * 17_000}}, True),
    ],
)
@pytest.mark.parametrize("how", ["call", "open"])
def test_secrets_and_what_is_long_stay_out_of_the_command_line(
    how: str, verb: str, request_: dict[str, object], read: bool
) -> None:
    class Watched(FakeTransport):
        def _answer(self, script: str, stdin: bytes) -> object:
            assert len(script) < 40_000
            assert stdin.startswith(b"#{") == read
            assert b"hidden".hex() not in script
            return super()._answer(script, stdin)

    transport = Watched({verb: lambda _: {}})
    getattr(remote(transport), how)(verb, request_)
    ((_, asked),) = transport.asked
    assert asked == {"v": 1, **request_}


def test_the_agents_error_is_ours() -> None:
    def refuse(_: object) -> None:
        raise OrchError("name_in_use", "train lives", "orch show train")

    for ask in ("call", "open"):
        with pytest.raises(OrchError) as caught:
            getattr(remote(FakeTransport({"submit": refuse})), ask)("submit", {})
        assert (caught.value.kind, caught.value.message, caught.value.hint) == (
            "name_in_use",
            "train lives",
            "orch show train",
        )


@pytest.mark.parametrize(
    ("here", "hint", "there", "typed"),
    [
        (True, "mkdir -p /x", True, "mkdir -p /x"),
        (False, "mkdir -p /x", True, "orch ssh box -- mkdir -p /x"),
        (False, "mkdir -p '/a b'", True, """orch ssh box -- 'mkdir -p '"'"'/a b'"'"''"""),
        (False, "mv ~/a b && x", True, "orch ssh box -- 'mv ~/a b && x'"),
        (False, "orch show train", False, "orch show train"),
        (False, "", False, ""),
        (False, "ORCH_HOME=DIR names a directory", False, "orch_home names a directory"),
    ],
)
def test_what_is_to_be_typed_there_goes_through_ssh(here: bool, hint: str, there: bool, typed: str) -> None:
    error = {"kind": "refused", "message": "no", "hint": hint, "there": there}
    transport = FakeTransport({"submit": lambda _: {"error": error}})
    transport.here, transport.home_setting = here, "orch_home"
    with pytest.raises(OrchError) as caught:
        remote(transport).call("submit", {})
    assert caught.value.hint == typed


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (Completed(0, b"Welcome to box!\n", b""), "gave no answer (status 0): Welcome to box!"),
        (Completed(0, b"[1, 2]\n", b""), "gave no answer"),
        (Completed(0, b"", b""), "gave no answer (status 0)"),
        (Completed(1, b'{"jobs": ', b"Traceback\nValueError: x\n"), "(status 1): ValueError: x"),
        (Completed(-9, b"", b""), "(status -9)"),
        (Completed(1, b'{"jobs": []}', b""), "gave no answer (status 1)"),
        (Completed(1, b'{"error": "x"}', b""), "does not say why"),
        (Completed(0, b"\xff\xfe", b"\xff\xfe"), "gave no answer"),
        (Completed(0, b"[" * 100_000, b""), "gave no answer"),
    ],
)
def test_garbage_is_an_error_and_never_a_guess(done: Completed, words: str) -> None:
    with pytest.raises(OrchError) as caught:
        remote(FakeTransport({"status": lambda _: done})).call("status", {})
    assert caught.value.kind == "host"
    assert words in caught.value.message
    assert len(caught.value.message) < 500


def test_garbage_in_a_conversation() -> None:
    stream = FakeStream(b"Last login: today\nmore")
    with pytest.raises(OrchError, match="gave no answer"):
        remote(FakeTransport({"logs": lambda _: stream})).open("logs", {})
    assert stream.finished


def test_an_agent_that_dies_in_a_conversation() -> None:
    with pytest.raises(OrchError, match=r"status -9.*Killed"):
        remote(FakeTransport({"logs": lambda _: FakeStream(b"", -9, err=b"Killed")})).open("logs", {})


def test_an_install_that_fails_says_why() -> None:
    class Full(FakeTransport):
        def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
            if b"compileall" in stdin:
                return Completed(1, b"", b"Traceback\n[Errno 30] Read-only file system: '/home/me/.orch'\n")
            return super().run(script, stdin, timeout)

    with pytest.raises(OrchError) as caught:
        remote(Full(installed=False)).call("status", {})
    assert caught.value.kind == "host"
    assert "Read-only file system: '/home/me/.orch'" in caught.value.message
    assert "ORCH_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (b"1000\nPython 3.6.8\n/usr/bin/dnf\n/usr/bin/yum\n", "Python 3.6.8", "-- sudo dnf install -y python3.11"),
        (b"0\nsh: 1: python3: not found\n/usr/bin/apt-get\n", "no Python 3.9", "-- apt-get install -y python3"),
        (b"501\n/opt/homebrew/bin/brew\n", "no Python 3.9", "-- brew install python3"),
        (b"1000\n", "no Python 3.9", "as `python3` on the PATH"),
    ],
)
def test_a_host_without_a_python_gets_the_command_that_installs_one(said: bytes, message: str, hint: str) -> None:
    class Bare(FakeTransport):
        def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
            return Completed(MISSING if self._verb(script) else NO_PYTHON, said, b"")

    with pytest.raises(OrchError) as caught:
        remote(Bare()).call("status", {})
    assert caught.value.kind == "host"
    assert message in caught.value.message
    assert caught.value.hint.endswith(hint)


def test_this_host_has_a_name_where_it_is_another() -> None:
    def lacking(_: Any) -> Any:
        raise OrchError("not_found", "there is no job called a on this host", "orch status --all")

    host = FakeTransport({"show": lacking})
    for host.here, place in ((True, "this host"), (False, "box")):
        with pytest.raises(OrchError, match=f"called a on {place}$"):
            remote(host).call("show", {})


CURVE = ("seconds", "mem_bytes", "cpu_seconds", "host_available_bytes")


@pytest.mark.parametrize(
    "answer",
    [
        {"jobs": None},
        {"jobs": 5},
        {"jobs": {}},
        {"jobs": ["x"]},
        {"jobs": [{"name": "x"}]},
        {"jobs": [job(["x"])]},  # type: ignore[arg-type]
        {"jobs": [job("\x1b[2J")]},
        {"jobs": [job("$(touch x)")]},
        {"jobs": [job(run=0)]},
        {"jobs": [job(run=True)]},
        {"jobs": [job(run="1")]},  # type: ignore[arg-type]
        {"jobs": [job(state="\x1b]0;owned\x07")]},
        {"jobs": [job(state=[])]},  # type: ignore[arg-type]
        {"jobs": [job(mem_bytes=10**400)]},
        {"jobs": [job(cpu_seconds="much")]},
        {"jobs": [job(exit_code="0")]},
        {"jobs": [job(reason=["x"])]},
        {"job": None},
        {"host": []},
        {"offset": "0"},
        {"size": -1},
        {"timed_out": "no"},
        {"spec": {"name": "a"}},
        {"spec": {"name": "a", "command": "x", "env": {"A": 1}}},
        {"log_tail": None},
        {"jobs": [job(prompt=["x"])]},
        {"jobs": [job(stalled_seconds=-1)]},
        {"next": "orch logs x"},
        {"next": {"command": "x\x1b[2J", "there": False}},
        {"autopsy": {"ended_by": None}},
        {"autopsy": {"ended_by": "itself", "peak_processes": [{"pid": "1", "program": "x", "mem_bytes": 1}]}},
        {"autopsy": {"ended_by": "itself", "peak_processes": [], "neighbours": [{"job": 1, "mem_bytes": 1}]}},
        {"autopsy": {"ended_by": "itself", "peak_processes": [], "disk_free_bytes": "much"}},
        {"attempts": None},
        {"attempts": [{"attempt": 1, "state": 5}]},
        {"usage_curve": []},
        {"usage_curve": {**{key: [1] for key in CURVE}, "mem_slope": "steep"}},
        {"usage_curve": {**{key: [1] for key in CURVE}, "mem_slope": 10**400}},
        {"usage_curve": {**{key: [1] for key in CURVE}, "seconds": [1, 2]}},
        {"usage_curve": {key: ["1"] for key in CURVE}},
    ],
)
def test_an_answer_of_another_shape_is_the_hosts_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(OrchError, match="the answer of the agent on box makes no sense") as caught:
        remote(FakeTransport({"status": lambda _: answer})).call("status", {})
    assert (caught.value.kind, caught.value.hint) == ("host", "orch doctor box")
    assert caught.value.message.isprintable()


def test_what_an_answer_lacks_is_the_hosts_failure() -> None:
    answer = remote(FakeTransport({"status": lambda _: {}})).call("status", {})
    with pytest.raises(OrchError, match="on box makes no sense: it lacks jobs") as caught:
        answer["jobs"]
    assert caught.value.kind == "host"


def test_what_a_job_lacks_is_not_known() -> None:
    """An older agent says less."""
    bare = {"name": "a", "run": 2, "state": "FAILED"}
    told = remote(FakeTransport({"show": lambda _: {"job": bare}})).call("show", {})["job"]
    assert told == {**bare, **{key: None for key in told if key not in bare}, "host": "box"}
    assert {"command", "exit_code", "log_path"} <= told.keys()


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1" * 5000])
def test_numbers_that_json_has_not_are_no_answer(word: str) -> None:
    said = Completed(0, b'{"jobs": [], "host": {"idle_seconds": %s}}' % word.encode(), b"")
    with pytest.raises(OrchError, match="gave no answer"):
        remote(FakeTransport({"status": lambda _: said})).call("status", {})


def test_only_measures_of_a_host_are_kept() -> None:
    said = (
        b'{"host": {"cpus": 4, "idle_seconds": 1e999, "mem_total_bytes": %s, "a": "x", "b": true, "c": -1, "d": 0.5}}'
    )
    done = Completed(0, said % (b"9" * 400), b"")
    assert remote(FakeTransport({"status": lambda _: done})).call("status", {})["host"] == {"cpus": 4, "d": 0.5}


@pytest.mark.parametrize(
    ("said", "kind"), [("bug", "host"), ("conflict", "conflict"), (["usage"], "host"), (None, "host")]
)
def test_a_host_speaks_only_of_what_can_be_its_failure(said: object, kind: str) -> None:
    error = {"kind": said, "message": "no"}
    with pytest.raises(OrchError) as caught:
        remote(FakeTransport({"status": lambda _: {"error": error}})).call("status", {})
    assert caught.value.kind == kind


@pytest.mark.parametrize("words", [None, "tmux", [], [1], ["x;y"], ["a b"], ["$(x)"], ["a\n"], [""]])
def test_a_command_line_from_a_host_is_plain_words(words: object) -> None:
    transport = FakeTransport()
    transport.here = False
    with pytest.raises(OrchError, match="argv is no command line") as caught:
        remote(transport).words({"argv": words}, "argv")
    assert caught.value.kind == "host"
    assert remote(transport).words({"argv": ["tmux", "-L", "=a.1:"]}, "argv") == ["tmux", "-L", "=a.1:"]
