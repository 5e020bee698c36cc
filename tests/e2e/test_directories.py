"""Where a job runs on another host: what is below the home here is below the home there."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.laptop import Laptop
from tests.support.machine import Machine

Laptops = Callable[..., Laptop]


@pytest.fixture
def mine(machine: Machine, laptop: Laptops) -> Laptop:
    machine.run("mkdir -p ~/code/deep '/tmp/with blank'")
    return laptop(machine)


def where(mine: Laptop, *words: str, cwd: Path | None = None) -> str:
    """Where a job runs that these words start."""
    done = mine("run", "pwd", *words, "--follow", cwd=cwd or mine.home)
    assert done.status == 0, done.err
    return done.out.strip()


def test_below_the_home_there(mine: Laptop) -> None:
    assert where(mine, "pwd") == "/home/me"
    for given in ("code", "~/code", "./code/deep/..", str(mine.home / "code")):
        assert where(mine, "pwd", "--cwd", given) == "/home/me/code"
    assert where(mine, "pwd", "--cwd", "/tmp/with blank") == "/tmp/with blank"
    assert where(mine, "pwd", "--cwd", "~") == where(mine, "pwd", "--cwd", str(mine.home)) == "/home/me"


def test_the_same_submission_is_the_same_job(mine: Laptop) -> None:
    for given in ("code", "~/code", "/home/me/code"):
        done = mine("run", "once", "true", "--cwd", given, "--id", "key", "--json")
        assert done.json["job"]["cwd"] == "/home/me/code" and done.json["job"]["run"] == 1
    assert mine("run", "once", "true", "--cwd", "code/deep", "--id", "key", "--json").error["kind"] == "conflict"


def test_a_repositorys_own_jobs(mine: Laptop, tmp_path: Path) -> None:
    (mine.home / "code" / "deep").mkdir(parents=True)
    (mine.home / "code" / "orch.toml").write_text('[jobs.pwd]\ncommand = "pwd"\n')
    assert where(mine, cwd=mine.home / "code" / "deep") == "/home/me/code"
    assert where(mine, "--cwd", "code/deep", cwd=mine.home / "code") == "/home/me/code/deep"
    (tmp_path / "orch.toml").write_text('[jobs.pwd]\ncommand = "pwd"\n')
    done = mine("run", "pwd", cwd=tmp_path)
    assert done.status == 1 and f"there is no directory '{tmp_path}' on box" in done.err


def test_a_missing_directory_is_made_as_the_hint_says(mine: Laptop) -> None:
    for given in ("new", "with 'quotes' and blanks"):
        done = mine("run", "pwd", "pwd", "--cwd", given)
        *_, hint = done.err.splitlines()
        assert done.status == 1 and hint.startswith("  orch ssh box -- ") and "mkdir -p" in hint
        _, *words = shlex.split(hint)
        assert mine(*words).status == 0
        assert where(mine, "pwd", "--cwd", given) == f"/home/me/{given}"


def test_another_accounts_home_is_not_looked_up(mine: Laptop) -> None:
    done = mine("run", "x", "true", "--cwd", "~root/x")
    assert done.status == 2 and "'~root/x'" in done.err and "--cwd /" in done.err
