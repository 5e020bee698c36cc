"""Completion in the real shells, which ask the real ``orch``; names of jobs come from what was last seen."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orch import paths
from orch.cli.complete import candidates


@pytest.fixture
def shell_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (home / "bin").mkdir()
    program = home / "bin" / "orch"
    program.write_text(f"#!{sys.executable}\nfrom orch.cli.main import orch\norch()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    (home / "workdir").mkdir()
    cache = Path(paths.status_cache("local"))
    cache.parent.mkdir(parents=True)
    jobs = [{"name": name, "run": 1, "state": "RUNNING"} for name in ("train", "report")]
    cache.write_text(json.dumps({"as_of": 1, "jobs": jobs, "host": {}}))
    return home


def names(*before: str, word: str = "") -> list[str]:
    return [text for text, _ in candidates(before, word)]


def test_what_comes_next(shell_home: Path) -> None:
    assert names(word="stat") == ["status"]
    assert names("logs") == ["report", "train"]
    assert names("logs", "train") == []
    assert names("wait", "train", word="r") == ["report"]
    assert names("pull") == ["report", "train"] and names("pull", "train") == []
    assert names("logs", "--tail") == []
    assert names("logs", "--tail", "5", word="t") == ["train"]
    assert names("run", "--host") == ["local"]
    assert names("run", word="--no-t") == ["--no-tty"]
    assert names("run", "x", "--", word="-") == []
    assert names("doctor", "--json") == ["local"]
    assert names("doctor", "local") == names("ssh", "local") == names("ssh", "--") == []
    assert names("ssh") == names("stop") == ["local"]
    assert names("completion") == ["bash", "zsh", "fish"]
    assert "agents" in names("help")
    assert names("secret") == ["set", "list", "rm", "send"] and names("secret", "set") == []
    assert names("secret", "send", word="t") == ["train"]
    assert names("nonsense") == names("init") == []


def test_a_broken_configuration_breaks_no_completion(shell_home: Path) -> None:
    (shell_home / ".config" / "orch").mkdir(parents=True)
    (shell_home / ".config" / "orch" / "config.toml").write_text("= =")
    assert names("run", "--host") == []


BASH = """source <(orch completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_orch; printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash(shell_home: Path) -> None:
    def press(*words: str) -> list[str]:
        argv = ["bash", "--norc", "-c", BASH, "bash", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    assert press("orch", "stat") == ["status"]
    assert press("orch", "logs", "") == ["report", "train"]
    assert press("orch", "run", "--keep") == ["--keep-children"]


def test_cs_has_its_own(shell_home: Path) -> None:
    program = shell_home / "bin" / "cs"
    program.write_text(f"#!{sys.executable}\nfrom orch.cli.main import cs\ncs()\n")
    program.chmod(0o755)
    script = (
        "source <(cs completion bash); COMP_WORDS=(cs del); COMP_CWORD=1; _cs; echo ${COMPREPLY[@]}; complete -p cs"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "delete\ncomplete -o default -F _cs cs\n"


def test_fish(shell_home: Path) -> None:
    def press(line: str) -> list[str]:
        program = f"orch completion fish | source; complete -C '{line}'"
        argv = ["fish", "--no-config", "-c", program]
        out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return [row.partition("\t")[0] for row in out.splitlines()]

    assert press("orch stat") == ["status"]
    assert press("orch logs ") == ["report", "train"]
    assert press("orch run x --cwd workd") == ["workdir/"]


def test_zsh(shell_home: Path) -> None:
    assert b"orch status" in zsh("orch stat")
    assert b"orch logs report" in zsh("orch logs re")
    assert b"orch run x --cwd workdir" in zsh("orch run x --cwd workd")


def zsh(line: str) -> bytes:
    """What zsh shows after ``line`` and Tab, and Enter with the line put into an echo."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", ZDOTDIR="/nonexistent")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        setup = b"autoload -Uz compinit; compinit -u -D; source <(orch completion zsh); print rea''dy\r"
        os.write(terminal, setup)
        _read(terminal, b"ready\r\n")
        os.write(terminal, line.encode() + b"\t")
        # Ctrl-A, Ctrl-E: the completed line, printed by the shell itself
        os.write(terminal, b"\x05'\x01print -r -- '<\r")
        return _read(terminal, b"\r\n<orch", more=0.3)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def _read(terminal: int, mark: bytes, more: float = 0.0) -> bytes:
    got, until = b"", time.monotonic() + 20
    while time.monotonic() < until:
        wait = more if mark in got else 0.1
        if mark in got and not more:
            return got
        if select.select([terminal], [], [], wait)[0]:
            got += os.read(terminal, 65536)
        elif mark in got:
            return got.rpartition(mark)[2].join([b"orch", b""]) or got
    raise AssertionError(f"zsh does not show {mark!r}: {got!r}")
