from __future__ import annotations

import os
from pathlib import Path

import pytest

from orch.cli import following
from orch.errors import OrchError
from orch.ops import patience
from orch.ops.attach import again, attach, is_same_server, switching

from .fakes import FakeTransport, hosts, job

DEFAULT = f"/tmp/tmux-{os.getuid()}/default"


@pytest.mark.parametrize(
    ("options", "tmux", "same"),
    [
        ([], f"{DEFAULT},1,0", True),
        ([], f"/tmp/tmux-{os.getuid()}/other,1,0", False),
        (["-L", "default"], f"{DEFAULT},1,0", True),
        (["-L", "other"], f"{DEFAULT},1,0", False),
        (["-S", DEFAULT], f"{DEFAULT},1,0", True),
        (["-S", "/other"], f"{DEFAULT},1,0", False),
    ],
)
def test_which_server_is_meant(options: list[str], tmux: str, same: bool) -> None:
    assert is_same_server(["tmux", *options, "attach-session", "-t", "=a"], {"TMUX": tmux}) is same


def test_the_server_of_another_directory() -> None:
    argv = ["tmux", "-L", "x", "attach-session"]
    assert is_same_server(argv, {"TMUX": f"/run/t/tmux-{os.getuid()}/x,1,0", "TMUX_TMPDIR": "/run/t"})


def test_inside_the_same_server_the_client_switches() -> None:
    argv = ["tmux", "-L", "x", "attach-session", "-t", "=attach"]
    assert switching(argv) == ["tmux", "-L", "x", "switch-client", "-t", "=attach"]


def test_what_is_executed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["tmux", "attach-session", "-t", "=a"]
    host = FakeTransport({"attach": lambda _: {"job": job("a"), "argv": argv, "session": "a"}})
    assert attach(hosts(one=host), "a").argv == ["there", *argv]
    monkeypatch.setenv("TMUX", f"{home}/tmux-{os.getuid()}/default,1,0")
    assert attach(hosts(one=host), "a").argv == ["tmux", "switch-client", "-t", "=a"]
    host.here = False
    away = attach(hosts(one=host), "a")
    assert away.argv == ["there", *argv] and "TMUX" not in away.env


def test_a_cut_is_told_once_and_the_way_back_is_attach(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.0,) * 4)
    argv, failures = ["tmux", "attach-session", "-t", "=a"], [0, 1, 1, 1, 0]

    def answer(_: object) -> object:
        if failures.pop():
            raise OrchError("host", "box refuses connections")
        return {"job": job("a"), "argv": argv, "session": "a"}

    host, told = FakeTransport({"attach": answer}), []
    host.here = False
    viewing = attach(hosts(one=host), "a")
    assert again(viewing, told.append).argv == ["there", *argv] and not failures
    assert told == ["one is back"]
    assert following.left(viewing.job, "attach") == 130
    assert "come back: orch attach a;" in capsys.readouterr().err
