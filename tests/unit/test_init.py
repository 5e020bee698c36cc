from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from orch import config
from orch.model import Host
from orch.ops import hosts

ORCH = [sys.executable, "-c", "from orch.cli.main import orch; orch()"]


def init(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [*ORCH, "init", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def init_on_a_terminal(answers: str) -> tuple[int, str]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(ORCH[0], [*ORCH, "init"])
    os.write(terminal, answers.encode())
    said = b""
    try:
        while block := os.read(terminal, 4096):
            said += block
    except OSError:
        pass  # Linux says EIO at a terminal's end
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def file(home: Path) -> Path:
    return home / ".config" / "orch" / "config.toml"


def test_the_defaults(home: Path) -> None:
    status, said = init("--yes")
    assert status == 0 and str(file(home)) in said
    assert config.load() == (
        {"local": Host("local", "local", {}, str(file(home)))},
        "local",
    )
    hosts.load()


def test_without_a_terminal_nobody_is_asked(home: Path) -> None:
    status, said = init()
    assert status == 1 and "orch init --yes" in said
    assert not file(home).exists()


def test_what_exists_stays(home: Path) -> None:
    file(home).parent.mkdir(parents=True)
    file(home).write_text("# mine\n")
    assert init("--yes")[0] == 1
    status, said = init_on_a_terminal("\n")
    assert status == 0 and "nothing was changed" in said
    assert file(home).read_text() == "# mine\n"


def test_with_the_person(home: Path) -> None:
    assert init_on_a_terminal("laptop\n")[0] == 0
    assert config.load().default_host == "laptop"
    assert init_on_a_terminal("yes\nbox\n")[0] == 0
    assert config.load().default_host == "box"
    assert init_on_a_terminal("yes\nmy box\n")[0] == 2
    assert config.load().default_host == "box"


def test_nobody_there_after_all(home: Path) -> None:
    status, said = init_on_a_terminal("\x04")
    assert status == 1 and "nothing was written" in said


def test_a_place_that_cannot_be_written(home: Path) -> None:
    (home / ".config").write_text("")
    status, said = init("--yes")
    assert status == 1 and "cannot write" in said and "ORCH_CONFIG" in said
