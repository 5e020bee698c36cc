"""Running, following and leaving, as the command line does it, against hosts that answer as told."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch.cli import following, main, watch
from orch.errors import OrchError
from orch.model import Host, HostStatus
from orch.ops import cache
from orch.ops import hosts as ops_hosts
from orch.ops.logs import Log

from .fakes import FakeStream, FakeTransport, hosts, job, remote


def log_of(*chunks: bytes, tty: bool = True) -> Any:
    header = {"job": job(), "offset": 0, "size": 0, "tty": tty}
    return lambda _: FakeStream(json.dumps(header).encode() + b"\n" + b"".join(chunks), chunk=2)


class Host1(FakeTransport):
    """Takes every job; its log is two lines, its end ``end``."""

    def __init__(self, **end: Any) -> None:
        ended = {"jobs": [job(**{"state": "COMPLETED", **end})], "timed_out": False}
        super().__init__(
            {
                "submit": lambda _: {"job": job(), "created": True},
                "logs": log_of(b"one\r\n", b"two\r\n"),
                "wait": lambda _: ended,
                "show": lambda _: {
                    "job": job(),
                    "spec": {
                        "name": "train",
                        "command": "old",
                        "cwd": "/old",
                        "env": {"A": "1", "B": "2"},
                        "tty": False,
                    },
                },
            }
        )

    @property
    def spec(self) -> dict[str, Any]:
        (request,) = [request for verb, request in self.asked if verb == "submit"]
        spec: dict[str, Any] = request["spec"]
        return spec


@pytest.fixture
def host(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host1]:
    one = Host1()
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(local=one))
    yield one


def test_run_prints_one_line(host: Host1, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.dispatch(["run", "train", "CMD"]) == 0
    assert capsys.readouterr().out == "train.1 submitted to local; follow it: orch logs -f train\n"
    assert cache.names() == ["train"], "a silent host's jobs are shown from there"
    assert host.spec == {"name": "train", "command": "CMD", "cwd": os.getcwd()}


def test_run_in_json(host: Host1, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.dispatch(["run", "train", "CMD", "--json", "--id", "key"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["created"] is True and document["job"]["host"] == "local"
    assert host.asked[0][1]["id"] == "key"


def test_an_argument_vector_is_quoted(host: Host1) -> None:
    main.dispatch(["run", "train", "--", "echo", "a b", "$HOME", "it's", "--json", ""])
    assert host.spec["command"] == """echo 'a b' '$HOME' 'it'"'"'s' --json ''"""


def test_what_the_options_say(host: Host1, home: Path) -> None:
    (home / "sub").mkdir()
    line = ["run", "--cwd", "sub", "train", "--env", "A=1", "--env=B=x=y", "CMD", "--no-tty", "--keep-children"]
    main.dispatch(line)
    assert host.spec == {
        "name": "train",
        "command": "CMD",
        "cwd": str(home / "sub"),
        "env": {"A": "1", "B": "x=y"},
        "tty": False,
        "keep_children": True,
    }


def test_the_repository_says_what_is_left_out(host: Host1, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "orch.toml").write_text('[jobs.train]\ncommand = "make"\nenv = { A = "1", B = "2" }\n')
    (home / "deep").mkdir()
    monkeypatch.chdir(home / "deep")
    main.dispatch(["run", "train", "--env", "B=3"])
    assert host.spec == {"name": "train", "command": "make", "cwd": str(home), "env": {"A": "1", "B": "3"}}


def test_directories_of_another_host(host: Host1, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.here = False
    (home / "repo").mkdir()
    monkeypatch.chdir(home / "repo")
    cases = {"data": "data", "~/data": "~/data", f"{home}/data/../x": "~/x", "/data": "/data", str(home): "~"}
    for given, told in cases.items():
        host.asked.clear()
        main.dispatch(["run", "train", "CMD", "--cwd", given])
        assert host.spec["cwd"] == told
    host.asked.clear()
    main.dispatch(["run", "train", "CMD"])
    assert "cwd" not in host.spec
    (home / "repo" / "orch.toml").write_text('[jobs.train]\n[jobs.far]\ncwd = "/scratch"\n[jobs.up]\ncwd = "~/w"\n')
    for name, told in (("train", "~/repo"), ("far", "/scratch"), ("up", "~/w")):
        host.asked.clear()
        main.dispatch(["run", name, "CMD"])
        assert host.spec["cwd"] == told


def test_a_job_of_this_machine_run_again_on_another(host: Host1, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Host1()
    away.here = False
    host.verbs["status"] = lambda _: {"jobs": [job()], "host": {}}
    away.verbs["status"] = lambda _: {"jobs": [], "host": {}}
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(local=host, box=away))
    shown = host.verbs["show"]({})
    host.verbs["show"] = lambda _: {**shown, "spec": {**shown["spec"], "cwd": f"{home}/work"}}
    main.dispatch(["rerun", "train", "--host", "box"])
    assert away.spec["cwd"] == "~/work"
    main.dispatch(["rerun", "train"])
    assert host.spec["cwd"] == f"{home}/work"


def test_a_directory_that_is_gone(host: Host1, home: Path) -> None:
    (home / "gone").mkdir()
    os.chdir(home / "gone")
    (home / "gone").rmdir()
    with pytest.raises(OrchError, match="current directory does not exist"):
        main.dispatch(["run", "train", "CMD"])
    os.chdir(home)


def test_rerun_changes_what_its_options_say(host: Host1) -> None:
    assert main.dispatch(["rerun", "train.1", "--env", "B=3"]) == 0
    assert host.spec == {"name": "train", "command": "old", "cwd": "/old", "env": {"A": "1", "B": "3"}, "tty": False}


@pytest.mark.parametrize(
    ("end", "status"), [({}, 0), ({"state": "FAILED", "exit_code": 7}, 7), ({"state": "TIMEOUT"}, 124)]
)
def test_following_prints_the_jobs_bytes_and_ends_as_it_did(
    home: Path, capfdbinary: pytest.CaptureFixture[bytes], end: dict[str, Any], status: int
) -> None:
    assert following.follow(remote(Host1(**end)), job()) == status
    assert capfdbinary.readouterr().out == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("tty", "raw", "out"), [(True, False, b"a\nb\r"), (True, True, b"a\r\nb\r"), (False, False, b"a\r\nb\r")]
)
def test_only_a_terminals_newlines_are_undone(
    home: Path, capfdbinary: pytest.CaptureFixture[bytes], tty: bool, raw: bool, out: bytes
) -> None:
    following.copy(Log(remote(FakeTransport({"logs": log_of(b"a\r\nb\r", tty=tty)})), {"job": "train"}), raw)
    assert capfdbinary.readouterr().out == out


def interrupt(_: Any) -> Any:
    raise KeyboardInterrupt


def test_ctrl_c_leaves_the_job_alone_and_says_so(
    host: Host1, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "write", interrupt)
    for line in (["run", "train", "CMD", "-f"], ["logs", "-f", "train"]):
        assert main.dispatch(line) == 130
        assert "train.1 runs on; come back: orch logs -f train" in capfd.readouterr().err
    host.verbs["wait"] = interrupt
    assert main.dispatch(["run", "train", "CMD", "--wait"]) == 130
    assert "runs on" in capfd.readouterr().err
    assert main.dispatch(["wait", "train"]) == 130
    assert not [verb for verb, _ in host.asked if verb == "cancel"]


def test_a_command_from_standard_input(host: Host1, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * 200_000 + b"\necho \xff\n")))
    main.dispatch(["run", "train", "-"])
    assert host.spec["command"] == "x" * 200_000 + "\necho \udcff"


def test_a_mistake_elsewhere_in_orch_toml_is_a_note(
    host: Host1, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "orch.toml").write_text("zz = 1\n")
    assert main.dispatch(["run", "train", "CMD"]) == 0
    assert "unknown key 'zz'; train is not in that file" in capsys.readouterr().err
    with pytest.raises(OrchError, match="unknown key 'zz'"):
        main.dispatch(["run", "train"])


@pytest.mark.parametrize("option", ["--wait", "--follow"])
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"exit_code": 0}, "train.1 COMPLETED, exit status 0"),
        ({"state": "FAILED", "exit_code": 4}, "train.1 FAILED, exit status 4; orch show train"),
        ({"state": "FAILED", "signal": 9}, "train.1 FAILED, signal 9; orch show train"),
        ({"state": "NODE_FAIL"}, "train.1 NODE_FAIL; orch show train"),
    ],
)
def test_staying_ends_with_how_it_ended(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    option: str,
    end: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(local=Host1(**end)))
    main.dispatch(["run", "train", "CMD", option])
    assert capfd.readouterr().err.splitlines()[-1] == said


def test_what_waits_for_input_is_shown(host: Host1, capsys: pytest.CaptureFixture[str]) -> None:
    asks = job("ask", waiting_for_input=True, command="x", log_path="/l")
    host.verbs["show"] = lambda _: {"job": asks, "spec": {"name": "ask", "command": "x"}, "why": None, "log_tail": ""}
    main.dispatch(["show", "ask"])
    assert "  waits for input  orch send ask TEXT\n" in capsys.readouterr().out


def test_waiting_in_json_says_how_it_ended(host: Host1, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.dispatch(["run", "train", "CMD", "--wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["job"]["state"] == "COMPLETED"


def test_a_wait_that_times_out_is_255(host: Host1, capsys: pytest.CaptureFixture[str]) -> None:
    host.verbs["wait"] = lambda _: {"jobs": [job()], "timed_out": True}
    assert main.dispatch(["wait", "train", "--timeout", "5m"]) == 255
    said = capsys.readouterr()
    assert said.out == "" and "orch wait train.1" in said.err
    assert 299 < host.asked[-1][1]["timeout"] <= 300
    assert main.dispatch(["wait", "train", "--timeout", "5m", "--json"]) == 255
    said = capsys.readouterr()
    assert json.loads(said.out)["timed_out"] is True and said.err == ""


def test_without_a_terminal_watching_prints_what_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 0)
    moments = iter([job(cpu_seconds=1), job(cpu_seconds=2), job(state="COMPLETED")])

    def ask() -> list[HostStatus]:
        one = next(moments, None)
        if one is None:
            raise KeyboardInterrupt
        return [HostStatus(Host("local", "local"), [{**one, "host": "local"}], {}, 0.0)]

    with pytest.raises(KeyboardInterrupt):
        watch.watch(ask)
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [block.split()[5] for block in blocks] == ["RUNNING", "COMPLETED"]
