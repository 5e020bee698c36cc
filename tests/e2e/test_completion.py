"""Tab, in each shell as people run it: on a terminal, with the script that `orch completion` prints."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Orch
from tests.support.terminal import Terminal

END = "@"  # typed behind a completion, to see the blank before it
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(orch completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -D -u && source <(orch completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "orch completion fish | source"),
}


@pytest.fixture
def path(orch: Orch, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on PATH that has `orch`."""
    tools = orch.home / "tools"
    tools.mkdir()
    program = tools / "orch"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, orch.argv()))} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return tools


@pytest.fixture
def jobs(orch: Orch) -> None:
    """Two jobs that status has seen."""
    for name in ("train-big", "report"):
        orch("run", name, "true", "--wait")
    orch("status")


@pytest.mark.parametrize("shell", SHELLS)
def test_tab(orch: Orch, path: Path, jobs: None, terminal: Terminal, shell: str) -> None:
    argv, setting_up = SHELLS[shell]
    (orch.home / "some-file").touch()
    terminal.start(argv, {"PS1": "% ", "TERM": "screen"})
    terminal.types(setting_up + " && echo set''up")
    terminal.keys("Enter")
    terminal.shows("setup")
    for typed, completed in (
        ("orch stat", "orch status "),
        ("orch logs tr", "orch logs train-big "),
        ("orch run --no-t", "orch run --no-tty "),
        ("orch wait report tr", "orch wait report train-big "),
        ("orch status --host lo", "orch status --host local "),
        ("orch ssh lo", "orch ssh local "),
        ("orch doctor lo", "orch doctor local "),
        ("orch completion fi", "orch completion fish "),
        ("orch run new --cwd some-f", "orch run new --cwd some-file "),
    ):
        terminal.types(typed)
        terminal.keys("Tab")
        terminal.types(END)
        terminal.shows(completed + END)
        terminal.keys("C-u")
    terminal.types("orch ")
    terminal.keys("Tab", "Tab")
    terminal.shows("attach")


def test_fish_knows_what_things_are(orch: Orch, path: Path, jobs: None) -> None:
    script = "orch completion fish | source; complete -C 'orch stat'; complete -C 'orch logs tr'"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("status\tShow jobs")
    assert lines[1] == "train-big\tjob"


def test_bash_function_alone(orch: Orch, path: Path, jobs: None) -> None:
    script = (
        "source <(orch completion bash); COMP_WORDS=(orch logs ''); COMP_CWORD=2; _orch;"
        'printf "%s\\n" "${COMPREPLY[@]}"; complete -p orch'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["report", "train-big", "complete -o default -F _orch orch"]


def test_every_script_is_sound(orch: Orch, path: Path) -> None:
    for shell in SHELLS:
        script = orch("completion", shell).out
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    done = orch("completion", "tcsh")
    assert (done.status, "bash, zsh and fish" in done.err) == (2, True)
