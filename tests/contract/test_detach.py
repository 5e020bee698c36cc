"""Where a runner is put so that no logout ends it. systemd itself is imitated: none runs where the tests do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orch_agent.launch.detach import Login, scoped

HERE = Login(systemd=True, lingers=True, user_bus=True, is_root=False)
WORDS = ["prog", "a b", "c"]


def _scoped(login: Login, can_linger: bool = False) -> list[str]:
    return scoped(WORDS, login, lambda: can_linger)


def test_a_scope_of_the_users_own_where_it_outlives_the_login() -> None:
    for login, can_linger in ((HERE, False), (HERE._replace(lingers=False), True)):
        words = _scoped(login, can_linger)
        assert words[0] == "sh" and "systemd-run --user --scope" in words[2] and words[4:] == WORDS


@pytest.mark.parametrize(
    "login",
    [
        HERE._replace(systemd=False),
        HERE._replace(user_bus=False),
        HERE._replace(is_root=True),
        HERE._replace(lingers=False),  # and linger cannot be switched on: the user's manager would end with the login
    ],
)
def test_elsewhere_the_login_session_is_the_safer_place(login: Login) -> None:
    assert _scoped(login) == WORDS


@pytest.mark.parametrize("status", [0, 1])
def test_the_program_runs_once_whether_the_scope_is_granted_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    fake = tmp_path / "systemd-run"
    grant = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"' if status == 0 else f"exit {status}"
    fake.write_text(f"#!/bin/sh\n{grant}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    out = tmp_path / "out"
    words = scoped(["sh", "-c", 'echo "$@" >> "$0"', str(out), "it's", "one"], HERE, lambda: False)
    subprocess.run(words, check=True)
    assert out.read_text() == "it's one\n"
