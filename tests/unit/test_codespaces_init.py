from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orch.providers.codespaces import jsonc
from tests.support.typed import typed

CS = [sys.executable, "-c", "from orch.cli.main import cs; cs()", "init"]


@pytest.fixture
def clone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of nothing at GitHub, in a directory below it."""
    subprocess.run(["git", "init", "-q", home / "web"], check=True)
    (home / "web" / "src").mkdir()
    monkeypatch.chdir(home / "web" / "src")
    return home / "web"


def init(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [*CS, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def init_on_a_terminal(line: str) -> tuple[int, str]:
    return typed(CS, f"{line}\n")


def test_it_is_written_once(clone: Path) -> None:
    status, said = init("--yes")
    file = clone / ".devcontainer" / "devcontainer.json"
    assert status == 0 and "wrote ../.devcontainer/devcontainer.json" in said and '+  "image": ' in said
    before = file.read_bytes()
    assert json.loads(b"".join(line for line in before.splitlines() if b"//" not in line))["hostRequirements"]
    status, said = init("--yes")
    assert status == 0 and "has all that jobs need" in said and file.read_bytes() == before
    assert os.listdir(clone / ".devcontainer") == ["devcontainer.json"]


def test_nothing_is_written_that_nobody_agreed_to(clone: Path) -> None:
    status, said = init()
    assert status == 1 and "cs init --yes" in said
    status, said = init("../.devcontainer.json")
    assert status == 1 and "cs init --yes ../.devcontainer.json" in said
    status, said = init_on_a_terminal("n")
    assert status == 0 and "sshd:1" in said and "nothing was written" in said
    assert not (clone / ".devcontainer").exists()
    status, said = init_on_a_terminal("y")
    assert status == 0 and "wrote" in said and (clone / ".devcontainer" / "devcontainer.json").exists()


@pytest.mark.parametrize("place", [".devcontainer.json", ".devcontainer/web/devcontainer.json"])
def test_the_file_that_is_there_is_the_one(clone: Path, place: str) -> None:
    file = clone / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b'{\r\n\t// ours\r\n\t"image": "debian",\r\n}\r\n')
    file.chmod(0o640)
    assert init("--yes")[0] == 0
    assert file.read_bytes().startswith(b'{\r\n\t// ours\r\n\t"image": "debian",\r\n\t// ')
    assert jsonc.parse(file.read_text()).value["image"] == "debian" and file.stat().st_mode & 0o777 == 0o640
    assert len(list(clone.rglob("*devcontainer.json"))) == 1


def test_of_several_one_is_to_be_said(clone: Path) -> None:
    for name in ("a", "b"):
        (clone / ".devcontainer" / name).mkdir(parents=True)
        (clone / ".devcontainer" / name / "devcontainer.json").write_text("{}")
    status, said = init("--yes")
    assert status == 1 and "cs init ../.devcontainer/a/devcontainer.json" in said
    assert init("--yes", "../.devcontainer/b/devcontainer.json")[0] == 0
    assert (clone / ".devcontainer/a/devcontainer.json").read_text() == "{}"
    assert "sshd" in (clone / ".devcontainer/b/devcontainer.json").read_text()


@pytest.mark.parametrize("place", ["README.md", ".devcontainer/README.md", ".devcontainer/a/b/devcontainer.json", "x"])
def test_a_place_where_nobody_looks_is_refused(clone: Path, place: str) -> None:
    status, said = init("--yes", f"{os.path.relpath(clone)}/{place}")
    assert (
        status == 2 and "no place where GitHub looks" in said and "cs init ../.devcontainer/devcontainer.json" in said
    )
    assert not (clone / place).exists()


def test_what_cannot_be_added_to_is_told(clone: Path) -> None:
    (clone / ".devcontainer.json").write_text('{"hostRequirements": 7, "features": []}')
    said = init("--yes", f"{os.path.relpath(clone)}/.devcontainer.json")[1]
    assert "hostRequirements is 7, which it may not be: replaced" in said and "features is" not in said


def test_a_link_stays_one(clone: Path) -> None:
    (clone / "real.json").write_text("{}")
    (clone / ".devcontainer.json").symlink_to("real.json")
    assert init("--yes")[0] == 0
    assert (clone / ".devcontainer.json").is_symlink() and "sshd" in (clone / "real.json").read_text()


@pytest.mark.parametrize("link", [".devcontainer/devcontainer.json", ".devcontainer.json", ".devcontainer"])
@pytest.mark.parametrize("place", ["theirs", "web/.git/theirs"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_that_leads_out_of_the_repository(
    clone: Path, home: Path, link: str, place: str, is_there: bool
) -> None:
    (clone / link).parent.mkdir(exist_ok=True)
    theirs = home / place
    (clone / link).symlink_to(theirs)
    if link == ".devcontainer":
        theirs.mkdir()
        theirs = theirs / "devcontainer.json"
    if is_there:
        theirs.write_text("{}")
    status, said = init("--yes")
    assert status == 1 and f"is {os.path.realpath(theirs)}, which is no file of the repository" in said
    assert theirs.read_text() == "{}" if is_there else not theirs.exists()


def test_a_file_that_is_none(clone: Path) -> None:
    """Nobody writes into it, so who opened it would wait for ever."""
    os.mkfifo(clone / ".devcontainer.json")
    status, said = init("--yes")
    assert status == 1 and "is no plain file" in said


def test_a_file_that_is_too_long_to_be_looked_through(clone: Path) -> None:
    file = clone / ".devcontainer.json"
    file.write_text("{" + " " * (1 << 20) + "}")
    status, said = init("--yes")
    assert status == 1 and "more than 1 MB" in said and file.stat().st_size == (1 << 20) + 2


@pytest.mark.parametrize("text", [b"{", b"[1]", b'{"a": "\xff"}'])
def test_what_cannot_be_read_stays(clone: Path, text: bytes) -> None:
    (clone / ".devcontainer.json").write_bytes(text)
    status, said = init("--yes")
    assert status == 1 and ".devcontainer.json" in said and (clone / ".devcontainer.json").read_bytes() == text


def test_outside_of_a_repository(home: Path) -> None:
    status, said = init("--yes")
    assert status == 1 and "git init" in said and not (home / ".devcontainer").exists()


def test_a_text_that_would_command_a_terminal(clone: Path) -> None:
    (clone / ".devcontainer.json").write_text('{\n  "image": "\x1b[2Jx" // \x07\n}')
    status, said = init("--yes")
    assert status == 0 and "\x1b[2J" not in said and "\x07" not in said
