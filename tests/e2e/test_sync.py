"""``orch run --sync`` and what goes with it, as a person calls it: here and over ssh, with a real git on both sides."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import Agent
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.terminal import Terminal

Laptops = Callable[..., Laptop]
ME = {"GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@x", "GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@x"}


def git(top: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=top, env={**os.environ, **ME, "HOME": str(top.parent)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def top(home: Path) -> Path:
    return repository(home)


def repository(home: Path) -> Path:
    """A repository with a commit, and work that is in none."""
    top = home / "lros"
    (top / "src").mkdir(parents=True)
    git(top, "init", "-q", "-b", "main")
    (top / ".gitignore").write_text("*.log\ndata/\n")
    (top / "src" / "train.py").write_text("print('one')\n")
    (top / "old").write_text("old\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")
    (top / "src" / "train.py").write_text("print('two')\n")
    (top / "src" / "new.sh").write_text("#!/bin/sh\necho new\n")
    (top / "src" / "new.sh").chmod(0o755)
    (top / "old").unlink()
    (top / "noise.log").write_text("noise\n")
    return top


def state(top: Path) -> tuple[dict[Path, int], str, str, str]:
    """All that git knows of it, and each of its files with its time; git renews that of an object that is in use."""
    said = git(top, "--no-optional-locks", "status", "--porcelain=v2", "--branch")
    paths = sorted((top / ".git").rglob("*"))
    files = {path: 0 if "objects" in path.parts else path.lstat().st_mtime_ns for path in paths}
    return files, said, git(top, "for-each-ref"), git(top, "stash", "list")


@pytest.fixture(params=["here", "over ssh"])
def either(request: pytest.FixtureRequest) -> Orch:
    """``orch`` whose host is this machine, or another."""
    if request.param == "here":
        request.getfixturevalue("agent")
        one: Orch = request.getfixturevalue("orch")
        return one
    laptops: Laptops = request.getfixturevalue("laptop")
    return laptops(request.getfixturevalue("machine"))


def test_the_working_tree_as_it_is_now(either: Orch) -> None:
    top = repository(either.home)
    before = state(top)
    done = either("run", "job", "--sync", "--follow", "pwd; ls -A .. .; ./new.sh; python3 train.py", cwd=top / "src")
    assert done.status == 0, done.err
    after = state(top)
    assert [path for path, at in after[0].items() if before[0].get(path) != at] == [], "the repository was touched"
    assert after == before
    lines = done.out.split()
    assert lines[0].endswith("/code/src") and lines[-2:] == ["new", "two"]
    assert "old" not in lines and "noise.log" not in lines and ".gitignore" in lines and ".git" not in lines
    shown = either("show", "job").out
    assert "lros " in shown and "(main " in shown and "3 files changed" in shown


def test_each_job_has_the_code_that_it_was_submitted_with(orch: Orch, agent: Agent, top: Path) -> None:
    """Two in the queue with different code never see each other's, and later edits change nothing."""
    assert orch("run", "first", "until [ -e ~/go ]; do sleep 0.05; done").status == 0
    for number in (1, 2):
        (top / "src" / "train.py").write_text(f"print('number {number}')\n")
        words = ("run", f"job{number}", "--sync", "--after", "first", "python3 src/train.py; echo mark > mark; ls -1")
        assert orch(*words, cwd=top).status == 0
    (top / "src" / "train.py").write_text("print('later')\n")
    (orch.home / "go").touch()
    assert orch("wait", "job1", "job2").status == 0
    for number in (1, 2):
        log = orch("logs", f"job{number}").out.split("\n")
        assert log[0] == f"number {number}" and "mark" in log
    assert not (top / "mark").exists()


def test_again_with_the_code_that_it_had(orch: Orch, agent: Agent, top: Path) -> None:
    words = ("python3 train.py; echo $V; pwd",)
    assert orch("run", "job", "--sync", "--wait", "--env", "V=1", *words, cwd=top / "src").status == 0
    (top / "src" / "train.py").write_text("print('three')\n")
    again = orch("rerun", "job", "--env", "V=2", "--follow").out.split()
    assert again[:2] == ["two", "2"] and again[2].endswith("/code/src")
    fresh = orch("rerun", "job", "--sync", "--follow", cwd=top).out.split()
    assert fresh[0] == "three" and fresh[2].endswith("/code/src")
    without = orch("rerun", "job", "--no-sync", "--follow", cwd=top)
    assert "No such file" in without.out and without.out.split()[-1] == str(orch.home)


def test_the_same_id_again(orch: Orch, agent: Agent, top: Path) -> None:
    """What is safe to be said again stays so where only the history of the tree has moved on."""
    words = ("run", "job", "--sync", "--id", "key", "--json", "cat old src/train.py")
    first = orch(*words, cwd=top).json
    git(top, "commit", "-q", "--allow-empty", "-m", "second")
    git(top, "checkout", "-q", "-b", "other")
    again = orch(*words, cwd=top).json
    assert (again["created"], again["job"]["id"], again["job"]["run"]) == (False, first["job"]["id"], 1)
    (top / "src" / "train.py").write_text("print('three')\n")
    changed = orch(*words, cwd=top)
    assert (changed.status, changed.error["kind"]) == (1, "conflict")
    commit = first["job"]["code"]["commit"]
    assert f"job.1, which was submitted with the snapshot {commit[:7]}" in changed.error["message"]
    assert changed.error["hint"] == "orch diff job.1 ."
    other = orch(*words[:-1], "cat old", cwd=top)
    assert "submitted with another command or options" in other.error["message"]


def test_what_differs(either: Orch) -> None:
    top = repository(either.home)
    assert either("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    (top / "src" / "train.py").write_text("print('three')\n")
    assert either("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    (top / "added").write_text("x\n")
    done = either("diff", "job.1", "job.2", cwd=top)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("diff --git a/src/train.py b/src/train.py")
    assert "-print('two')\n+print('three')\n" in done.out and "added" not in done.out
    assert either("diff", "job", "--name-only", cwd=top).out == "added\n"
    assert either("diff", "job.1", ".", "--name-only", cwd=top).out == "added\nsrc/train.py\n"
    assert either("diff", "job.1", ".", "--name-only", cwd=top / "src").out == "added\nsrc/train.py\n"
    assert either("diff", "job.1", ".", "--stat", "--", "src", cwd=top).out.startswith(" src/train.py | 2 +-")
    assert either("diff", "job.2", "job.2", cwd=top).out == ""


def test_paths_are_those_that_a_person_sees(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    (top / "src" / "train.py").write_text("print('three')\n")
    assert orch("diff", "job", "--name-only", "--", "train.py", cwd=top / "src").out == "src/train.py\n"
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    assert orch("diff", "job.1", "job.2", "--name-only", "--", "../src", cwd=top / "src").out == "src/train.py\n"


def test_a_directory_that_does_not_go_along(orch: Orch, agent: Agent, top: Path) -> None:
    (top / "data").mkdir()
    for words, cwd in ((), top / "data"), (("--cwd", "nosub"), top):
        done = orch("run", "job", "--sync", *words, "pwd", cwd=cwd)
        assert done.status == 1 and "no directory" in done.err and "--cwd" in done.err
    assert orch("status", "--all", "--json").json["jobs"] == []
    (top / "orch.toml").write_text('[sync]\nshare = ["data"]\n')
    assert orch("run", "job", "--sync", "--follow", "pwd", cwd=top / "data").status == 0


def test_what_to_type_after_a_failure_takes_the_mended_code(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "job", "--sync", "--wait", "--timeout", "0.1s", "sleep 60", cwd=top).status == 124
    assert orch("show", "job", "--json").json["next"].startswith("orch rerun job --sync --timeout")


def test_again_in_another_repository(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    other = orch.home / "other"
    other.mkdir()
    (other / "orch.toml").touch()
    done = orch("rerun", "job", "--sync", cwd=other)
    assert done.status == 1 and "another repository" in done.err


def test_worktrees_are_one_repository(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    git(top, "worktree", "add", "-q", "../variant")
    assert orch("diff", "job", "--name-only", cwd=orch.home / "variant").out.split() == [
        "old",
        "src/new.sh",
        "src/train.py",
    ]


def test_results_at_the_end_of_each_run(orch: Orch, agent: Agent, top: Path) -> None:
    """What was brought before gives way to what is newer; what was changed here since does not."""
    words = ("run", "job", "--sync", "--wait", "--pull", "out", "--pull", "$ORCH_OUT")
    for number in (1, 2):
        done = orch(*words, f"mkdir out; echo {number} > out/a; echo {number} > $ORCH_OUT/b", cwd=top)
        assert done.status == 0, done.err
        assert [(top / one).read_text() for one in ("out/a", "b")] == [f"{number}\n"] * 2
    late = time.time() + 1000
    (top / "out" / "a").write_text("mine\n")
    os.utime(top / "out" / "a", (late, late))
    done = orch(*words, "mkdir -p out; echo 3 > out/a; echo 3 > $ORCH_OUT/b", cwd=top)
    assert done.status == 1 and (top / "out" / "a").read_text() == "mine\n" and "--yes" in done.err


def test_a_share_that_is_no_directory(orch: Orch, top: Path) -> None:
    (top / "orch.toml").write_text('[sync]\nshare = ["src/train.py"]\n')
    done = orch("run", "job", "--sync", "true", cwd=top)
    assert done.status == 1 and "src/train.py" in done.err


def test_what_cannot_be_compared(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "plain", "--wait", "true").status == 0
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    done = orch("diff", "plain", cwd=top)
    assert done.status == 1 and "plain.1" in done.err and "--sync" in done.err
    other = orch.home / "other"
    other.mkdir()
    (other / "file").write_text("x")
    (other / "orch.toml").write_text("")
    assert orch("run", "elsewhere", "--sync", "--wait", "true", cwd=other).status == 0
    done = orch("diff", "job", "elsewhere", cwd=top)
    assert done.status == 1 and "job.1" in done.err and "different repositories" in done.err
    assert orch("diff", "job", cwd=other).status == 1
    done = orch("diff", ".", "job", cwd=top)
    assert done.status == 2 and "orch diff job ." in done.err


def test_sync_alone(either: Orch) -> None:
    top = repository(either.home)
    first = either("sync", cwd=top)
    assert first.status == 0 and first.out.startswith("lros ") and "went" in first.out
    assert "it was there already" in either("sync", cwd=top).out
    (top / "src" / "train.py").write_text("print('x')\n")
    said = either("sync", "--json", cwd=top / "src").json
    assert said["code"]["changed"] == 3 and 0 < said["bytes"] < 2000
    done = either("run", "job", "--sync", "--follow", "python3 src/train.py", cwd=top)
    assert (done.status, done.out) == (0, "x\n")


def test_directories_that_runs_share(orch: Orch, agent: Agent, top: Path) -> None:
    (top / "orch.toml").write_text(
        '[sync]\nshare = ["data", "deep/cache"]\n[job.count]\nsync = true\ncommand = "ls data"\n'
    )
    (top / "data").mkdir()
    (top / "data" / "mine").write_text("here only\n")
    done = orch("run", "fill", "--sync", "--follow", "ls data; echo x > data/first; echo y > deep/cache/z", cwd=top)
    assert (done.status, done.out) == (0, "")
    assert orch("run", "count", "--follow", cwd=top / "src").out.split() == ["first"]
    assert orch("run", "z", "--sync", "--follow", "cat deep/cache/z", cwd=top).out == "y\n"


def test_a_directory_without_git(either: Orch) -> None:
    top = either.home / "plain"
    (top / "sub").mkdir(parents=True)
    (top / "orch.toml").write_text('[job.go]\nsync = true\ncommand = "cat kept; ls -A; ls -A sub"\n')
    (top / ".gitignore").write_text("*.tmp\n")
    (top / ".orchignore").write_text("large/\n")
    (top / "large").mkdir()
    for name in ("kept", "x.tmp", "large/x", "sub/y", "sub/y.tmp"):
        (top / name).write_text(f"{name}\n")
    done = either("run", "go", "--follow", cwd=top / "sub")
    assert done.status == 0, done.err
    assert done.out.split() == ["kept", ".gitignore", ".orchignore", "kept", "orch.toml", "sub", "y"]
    assert either("run", "go", "--no-sync", "--wait", cwd=top).status != 99


def test_results_come_back_from_it(either: Orch) -> None:
    top = repository(either.home)
    done = either(
        "run", "job", "--sync", "--wait", "mkdir -p results; echo 1 > results/a; echo 2 > $ORCH_OUT/b", cwd=top
    )
    assert done.status == 0, done.err
    to = either.home / "to"
    assert either("pull", "job", "results/", "--to", str(to)).status == 0
    assert either("pull", "job", "--to", str(to)).status == 0
    assert ((to / "results" / "a").read_text(), (to / "b").read_text()) == ("1\n", "2\n")


def test_where_the_command_line_says_it_begins(orch: Orch, agent: Agent, top: Path) -> None:
    def where(*words: str) -> str:
        return orch("run", "job", "--sync", "--follow", *words, "pwd", cwd=top / "src").out.strip()

    assert where().endswith("/code/src") and where("--cwd", "..").endswith("/code")
    assert where("--cwd", "/tmp") == "/tmp" and where("--cwd", "~") == str(orch.home)
    done = orch("run", "job", "--sync", "--cwd", "../..", "pwd", cwd=top / "src")
    assert done.status == 2 and str(top) in done.err
    assert orch("run", "job", "--sync", "--no-sync", "pwd", cwd=top).status == 2


def test_a_tree_that_shall_not_go(orch: Orch) -> None:
    done = orch("run", "job", "--sync", "true", cwd=orch.home)
    assert done.status != 0 and "Traceback" not in done.err and str(orch.home) in done.err
    top = repository(orch.home)
    with (top / "large.bin").open("wb") as file:
        file.truncate(2 << 30)
    done = orch("run", "job", "--sync", "true", cwd=top)
    assert done.status == 1 and "large.bin" in done.err and "share" in done.err and "orch push" in done.err
    assert orch("status", "--all", "--json").json["jobs"] == []


def test_a_job_knows_which_code_it_runs(orch: Orch, agent: Agent, top: Path) -> None:
    said = orch("run", "job", "--sync", "--follow", "echo $ORCH_CODE_COMMIT $ORCH_CODE_HEAD $ORCH_CODE_BRANCH", cwd=top)
    code = orch("show", "job", "--json").json["job"]["code"]
    assert said.out.split() == [code["commit"], git(top, "rev-parse", "HEAD").strip(), "main"]


def test_an_array_shares_one_tree(orch: Orch, agent: Agent, top: Path) -> None:
    assert orch("run", "job", "--sync", "--array", "0-3", "--wait", "pwd; python3 src/train.py", cwd=top).status == 0
    logs = {orch("logs", f"job.{run}").out for run in range(1, 5)}
    assert len(logs) == 1 and "two" in logs.pop()


def test_a_job_is_tried_again_in_its_own_tree(orch: Orch, agent: Agent, top: Path) -> None:
    words = ("--retries", "1", "--retry-delay", "0", "echo x >> tries; [ $(wc -l < tries) = 2 ]")
    assert orch("run", "job", "--sync", "--wait", *words, cwd=top).status == 0


def test_a_pager_shows_it(orch: Orch, agent: Agent, top: Path, terminal: Terminal) -> None:
    assert orch("run", "job", "--sync", "--wait", "true", cwd=top).status == 0
    (top / "src" / "train.py").write_text("print('three')\n")
    program = orch.argv("diff", "job")
    terminal.start(["env", "-C", str(top), *map(str, program)], {"PAGER": "sed s/three/PAGED/", "TERM": "xterm"})
    assert "\x1b[32m" in terminal.screen("-e") if "PAGED" in terminal.shows("[ended 0]") else False
