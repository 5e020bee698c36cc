from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orch import config
from orch.model import Host
from orch.ops import hosts
from tests.support.typed import typed

ORCH = [sys.executable, "-c", "from orch.cli.main import orch; orch()"]


def init(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [*ORCH, "init", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def init_on_a_terminal(*lines: str) -> tuple[int, str]:
    return typed([*ORCH, "init"], "\n".join([*lines, ""]))


def file(home: Path) -> Path:
    return home / ".config" / "orch" / "config.toml"


def test_the_defaults(home: Path) -> None:
    status, said = init("--yes")
    assert status == 0 and str(file(home)) in said
    assert config.load() == ({"local": Host("local", "local", {}, str(file(home)))}, "local", {})
    hosts.load()


def test_without_a_terminal_nobody_is_asked(home: Path) -> None:
    status, said = init()
    assert status == 1 and "orch init --yes" in said
    assert not file(home).exists()


def test_what_exists_stays(home: Path) -> None:
    file(home).parent.mkdir(parents=True)
    file(home).write_text("# mine\n")
    assert init("--yes")[0] == 1
    status, said = init_on_a_terminal("")
    assert status == 0 and "nothing was changed" in said
    assert file(home).read_text() == "# mine\n"


def test_with_the_person(home: Path) -> None:
    assert init_on_a_terminal("", "laptop")[0] == 0
    assert config.load().default_host == "laptop"
    assert init_on_a_terminal("yes", "here", "box")[0] == 0
    assert config.load().host(None)[:2] == ("box", "local")
    assert init_on_a_terminal("yes", "", "my box")[0] == 2
    assert config.load().default_host == "box"


def test_a_machine_that_ssh_reaches(home: Path) -> None:
    status, said = init_on_a_terminal("me@moon.example", "")
    assert status == 0 and "be called [moon]" in said
    assert "orch ssh moon" in said and "orch doctor moon" in said
    assert hosts.load().config.host(None)[:3] == ("moon", "ssh", {"address": "me@moon.example"})
    assert init_on_a_terminal("yes", "mars", "red-planet")[0] == 0
    assert hosts.load().config.host(None)[:3] == ("red-planet", "ssh", {"address": "mars"})
    file(home).write_text(file(home).read_text().replace("# ssh_", "ssh_"))
    assert "ssh_options" in hosts.load().config.host(None).options


def test_this_machine_and_its_jobs_stay_known(home: Path) -> None:
    assert init("--ssh", "me@moon.example")[0] == 0
    known = config.load()
    assert list(known.hosts) == ["moon", "local"] and known.default_host == "moon"
    assert known.hosts["local"].provider == "local"
    assert init_on_a_terminal("yes", "mars", "local")[0] == 0
    assert {name: host.provider for name, host in config.load().hosts.items()} == {"local": "ssh"}


def test_without_a_question(home: Path) -> None:
    status, said = init("--ssh", "me@moon.example")
    assert status == 0 and f"wrote {file(home)}\n" in said and "orch ssh moon" in said
    before = file(home).read_text()
    status, said = init("--ssh", "mars")
    assert status == 1 and file(home).read_text() == before
    file(home).write_text(before + "\n".join(line[2:] for line in said.partition("add to it:\n")[2].splitlines()))
    assert list(hosts.load().config.hosts) == ["moon", "local", "mars"]


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "two words", ""])
def test_what_is_no_address(home: Path, address: str) -> None:
    status, said = init(f"--ssh={address}")
    assert status in (1, 2) and "address" in said and not file(home).exists()


def test_a_port_is_no_part_of_a_name(home: Path) -> None:
    status, said = init("--ssh", "me@moon.example:2222")
    assert status == 2 and "\n  orch init --ssh ssh://me@moon.example:2222\n" in said and not file(home).exists()
    assert init("--ssh", "ssh://me@moon.example:2222")[0] == 0
    assert init_on_a_terminal("yes", "fe80::1", "")[0] == 0


def test_nobody_there_after_all(home: Path) -> None:
    status, said = init_on_a_terminal("\x04")
    assert status == 1 and "nothing was written" in said


def test_a_place_that_cannot_be_written(home: Path) -> None:
    (home / ".config").write_text("")
    status, said = init("--yes")
    assert status == 1 and "cannot write" in said and "ORCH_CONFIG" in said
