from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orch.cli import main
from orch.ops import hosts as ops_hosts
from orch.ops.status import status

from .fakes import FakeTransport, hosts, silent

FACTS = {"mem_total_bytes": int(15.6 * 2**30), "mem_available_bytes": 2**30, "cpus": 4, "idle_seconds": 125.0}

Said = Callable[..., tuple[list[list[str]], str]]


def well(**facts: Any) -> FakeTransport:
    return FakeTransport({"status": lambda _: {"jobs": [], "host": {**FACTS, **facts}}})


@pytest.fixture
def said(home: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    def call(**known: FakeTransport) -> tuple[list[list[str]], str]:
        monkeypatch.setattr(ops_hosts, "load", lambda: hosts(**known))
        assert main.dispatch(["hosts"]) == 0
        out, err = capsys.readouterr()
        return [line.split() for line in out.splitlines()], err

    return call


def test_the_table(said: Said) -> None:
    rows, err = said(box=well(), busy=well(idle_seconds=None, mem_total_bytes=300 << 20), old=well(idle_seconds=86400))
    assert err == "" and rows == [
        ["NAME", "PROVIDER", "STATE", "MACHINE", "IDLE", "COST/H"],
        ["box", "*", "ssh", "running", "4-core/16GB", "2m", "-"],
        ["busy", "ssh", "running", "4-core/300MB", "-", "-"],
        ["old", "ssh", "running", "4-core/16GB", "1d", "-"],
    ]


def test_columns_are_aligned_before_anything_is_known(
    home: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well(), two=FakeTransport({"status": silent})))
    assert main.dispatch(["hosts"]) == 0
    header, *rows = sorted(capsys.readouterr().out.splitlines(), key=lambda line: not line.startswith("NAME"))
    for row in rows:
        assert header.index("MACHINE") == row.index("4-core" if "4-core" in row else "-")
        assert header.index("COST/H") == row.rindex("-")


def test_one_host_is_the_default_without_a_mark(said: Said) -> None:
    assert said(box=well())[0][1][:2] == ["box", "ssh"]


def test_a_host_that_cannot_tell_or_tells_nonsense(said: Said) -> None:
    rows, _ = said(a=FakeTransport({"status": lambda _: {"jobs": [], "host": {}}}), b=well(cpus="4", idle_seconds="x"))
    assert [row[-3:] for row in rows[1:]] == [["-", "-", "-"], ["-", "-", "-"]]


def test_a_silent_host_is_shown_as_it_was(said: Said) -> None:
    status(hosts(one=well(), two=well()))
    rows, err = said(one=well(), two=FakeTransport({"status": silent}), three=FakeTransport({"status": silent}))
    assert sorted(rows[1:]) == [
        ["one", "*", "ssh", "running", "4-core/16GB", "2m", "-"],
        ["three", "ssh", "unreachable", "-", "-", "-"],
        ["two", "ssh", "unreachable", "4-core/16GB", "-", "-"],
    ]
    assert "orch: two: no answer within 10 s (last seen 0s ago)\n" in err
    assert "orch: three: no answer within 10 s\n" in err


def test_in_json(home: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well(), two=FakeTransport({"status": silent})))
    assert main.dispatch(["hosts", "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)["hosts"]
    keys = ["name", "default", "provider", "launcher", "state", "address", *sorted(FACTS, key=list(FACTS).index)]
    assert sorted(one) == sorted([*keys, "cost_usd_per_hour", "as_of", "error", "hint"]) and list(one) == list(two)
    assert (one["state"], one["default"], one["idle_seconds"], one["error"]) == ("running", True, 125.0, None)
    assert (two["state"], two["default"], two["as_of"], two["cpus"]) == ("unreachable", False, None, None)
    assert two["error"] == "no answer within 10 s"


def test_one_host_by_name(home: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    known = hosts(one=well(), two=well())
    monkeypatch.setattr(ops_hosts, "load", lambda: known)
    assert main.dispatch(["hosts", "two"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAME", "two"]
    assert known.transports["one"].asked == []
