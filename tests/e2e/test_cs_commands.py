"""The commands of ``cs`` around a job: a codespace made and enlarged after asking, seen from two laptops, deleted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.github import REPOSITORY, GitHub, GitHubLaptop
from tests.support.terminal import Terminal

pytestmark = pytest.mark.timeout(240)
FOLDER = REPOSITORY.partition("/")[2]


@pytest.fixture
def laptop(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> GitHubLaptop:
    return at_github()


def clone(laptop: GitHubLaptop) -> Path:
    """A clone of the repository, as far as anybody looks."""
    place = laptop.home / "clone"
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(["git", "-C", place, "remote", "add", "origin", f"git@github.com:{REPOSITORY}.git"], check=True)
    return place


def spaces(laptop: GitHubLaptop) -> list[dict[str, object]]:
    return laptop.cs("status", "--json").json["codespaces"]


def test_a_person_is_asked_before_one_is_made(laptop: GitHubLaptop, terminal: Terminal) -> None:
    here = clone(laptop)
    refused = laptop.cs("run", "echo hello", cwd=here)
    assert refused.status == 1 and "this has to be agreed to" in refused.err
    assert "cs run --yes 'echo hello'" in refused.err and not spaces(laptop)
    argv = ["env", "-C", here, *laptop.cs.argv("run", "-f", "--", "echo", "hello")]
    terminal.start([str(word) for word in argv], {**os.environ, **laptop.env})
    terminal.shows(f"Make a codespace for {REPOSITORY}?")
    assert "4-core/16GB" in terminal.screen() and "0.36 USD an hour" in terminal.screen()
    terminal.types("y\n")
    terminal.shows("[ended 0]")
    assert "COMPLETED" in terminal.screen()
    (space,) = spaces(laptop)
    assert (space["machine"], space["idle_timeout_minutes"], space["retention_minutes"]) == (
        "standardLinux32gb",
        240,
        7 * 24 * 60,
    )


def test_what_is_said_of_it_is_typed_as_cs(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    github.becomes(space, "Available")
    done = laptop.cs("run", "cd /workspaces/video-marketing-ai && python3 -c 'print(6 * 7)'")
    assert (
        done.out
        == f"video-marketing-ai-python3.1 submitted to {space.name}; follow it: cs logs -f video-marketing-ai-python3\n"
    )
    assert laptop.cs("wait", "video-marketing-ai-python3").status == 0
    assert laptop.cs("logs", "video-marketing-ai-python3").out == "42\n"
    again = laptop.cs("run", "--name", "train", "sleep 300")
    assert again.status == 0
    refused = laptop.cs("run", "--name", "train", "sleep 300")
    assert refused.status == 1 and "cs run --name train --replace" in refused.err and "orch" not in refused.err
    assert laptop.cs("cancel", "train").status == 0
    mistaken = laptop.cs("status", FOLDER)
    assert mistaken.status == 1 and mistaken.err.splitlines()[-1] == f"  cs status -c {FOLDER}"
    shown = laptop.cs("status").out.splitlines()
    assert shown[0].split()[:4] == ["NAME", "STATE", "MACHINE", "IDLE"]
    assert shown[1].split()[:3] == ["video-marketing-ai", "Available", "2-core/8GB"]
    assert [line.split()[:2] for line in shown if line.startswith("train")] == [["train", "CANCELLED"]]
    rows = laptop("status").out.splitlines()
    assert any(line.split()[:2] == ["train", space.name] for line in rows)


def test_a_deleted_codespace_leaves_what_was_kept(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    github.becomes(space, "Available")
    laptop.cs("run", "--name", "one", "echo remember me", "--wait")
    laptop.cs("run", "--name", "live", "sleep 300")
    asked = laptop.cs("delete")
    assert asked.status == 1 and "live.1: they end with --force alone" in asked.out, asked.err
    refused = laptop.cs("delete", "--yes")
    assert refused.status == 1 and "cs delete" in refused.err and "--force" in refused.err
    gone = laptop.cs("delete", "--yes", "--force")
    assert gone.status == 0 and "ledger and logs" in gone.out
    assert laptop.cs("logs", "one").out == "remember me\n"
    assert laptop.cs("status").out.startswith("no codespaces")
    assert laptop("status").err.startswith("no jobs") and space.name not in laptop("hosts").out


def test_one_that_is_too_small_becomes_larger_but_not_under_a_job(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create(machine="standardLinux32gb")
    github.becomes(space, "Available")
    laptop.cs("run", "--name", "busy", "sleep 300")
    refused = laptop.cs("run", "--name", "big", "--mem", "20G", "--yes", "true")
    assert refused.status == 1 and "busy" in refused.err
    assert spaces(laptop)[0]["machine"] == "standardLinux32gb"
    laptop.cs("cancel", "busy")
    unasked = laptop.cs("run", "--name", "big", "--mem", "20G", "true")
    assert "8-core/32GB costs 0.72 USD an hour in place of 0.36" in unasked.err
    assert unasked.err.splitlines()[-1] == "  cs run --yes --name big --mem 20G true"
    assert laptop.cs("run", "--name", "big", "--mem", "14G", "--yes", "true", "--wait").status == 0
    assert spaces(laptop)[0]["machine"] == "standardLinux32gb"
    done = laptop.cs("run", "--name", "big", "--machine", "heavy", "--yes", "true", "--wait")
    assert done.status == 0, done.err
    assert spaces(laptop)[0]["machine"] == "premiumLinux"
    github.offer(REPOSITORY, "basicLinux32gb", "standardLinux32gb")
    missing = laptop.cs("run", "--name", "big", "--machine", "xheavy", "--yes", "true")
    assert missing.status == 1 and "does not offer" in missing.err and "standardLinux32gb (4-core/16GB)" in missing.err


def test_what_is_to_be_typed_is_what_was_typed(github: GitHub, laptop: GitHubLaptop) -> None:
    """And not less of it, which would make another codespace, nor the dearest."""
    for words, hint in (
        (["create", "-R", REPOSITORY, "--mem", "15G"], f"cs create --yes -R {REPOSITORY} --mem 15G"),
        (["run", "-c", REPOSITORY, "--machine", "heavy", "echo 'a b'"], ""),
    ):
        refused = laptop.cs(*words)
        again = hint or f"""cs run --yes -c {REPOSITORY} --machine heavy 'echo '"'"'a b'"'"''"""
        assert refused.status == 1 and refused.err.splitlines()[-1] == f"  {again}", refused.err
    github.offer(REPOSITORY, "premiumLinux", "largePremiumLinux")
    for words, hint in (
        (["create", "-R", REPOSITORY, "--machine=standard", "--yes"], "--machine premiumLinux -R {} --yes"),
        (["create", "-R", REPOSITORY, "--mem", "900G"], "--machine largePremiumLinux --mem 62.5G -R {}"),
    ):
        refused = laptop.cs(*words)
        assert refused.err.splitlines()[-1] == f"  cs create {hint.format(REPOSITORY)}", refused.err
    for words in (
        ["create", "-R", "octo/nosuch"],
        ["secret", "list", "-R", "octo/nosuch"],
        ["run", "-c", "octo/nosuch", "x"],
    ):
        unknown = laptop.cs(*words)
        assert unknown.status == 1 and "GitHub knows no repository octo/nosuch" in unknown.err
    assert not spaces(laptop)
    done = laptop.cs("run", "-c", REPOSITORY, "--machine", "heavy", "--yes", "--wait", "true")
    assert done.status == 0 and spaces(laptop)[0]["machine"] == "premiumLinux", done.err


def test_the_contract_for_programs_is_true(github: GitHub, laptop: GitHubLaptop) -> None:
    github.create()
    text = laptop.cs("help", "agents").out
    assert len(text) < 6000 and "-c HOST" not in text
    assert all(key in text for key in spaces(laptop)[0])
    commands = [line.split()[0] for line in laptop.cs("help").out.splitlines() if line.startswith("  ")]
    assert all(f"cs {name}" in text for name in commands if name not in ("attach", "completion", "help"))
    assert "cs help agents" in laptop.cs("help").out and "cs help agents" in laptop("help", "agents").out
    wrong = laptop.cs("run", "python", "train.py")
    assert (
        wrong.status == 2 and wrong.err.splitlines()[-1] == '  cs run "python train.py"   or: cs run -- python train.py'
    )
    assert wrong.err.startswith("cs: cs run has no use for 'train.py': cs run ")


def test_a_codespace_is_looked_at_by_its_short_name(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    assert laptop.cs("run", "--name", "one", "--wait", "true").status == 0
    seen = laptop.cs("doctor", FOLDER)
    assert seen.out.splitlines()[0] == space.name and "connect" in seen.out, seen.err
    assert laptop.cs("stop").status == 0
    visits = len(github.events.of("connection"))
    assert [*laptop.cs("doctor")] == [0, "", ""]
    rests = laptop.cs("doctor", FOLDER)
    assert rests.status == 1 and f"{space.name} is stopped" in rests.out
    assert len(github.events.of("connection")) == visits and space.state == "Shutdown"


def test_two_laptops_see_the_same(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> None:
    one, other = at_github(), at_github()
    space = github.create()
    github.becomes(space, "Available")
    one.cs("run", "--name", "job", "echo from one", "--wait")
    assert not other("status", "--json").json["jobs"]
    assert other.cs("logs", "job").out == "from one\n"
    assert other.cs("show", "job", "--json").json["job"]["state"] == "COMPLETED"
    assert other("status", "--json").json["jobs"]  # it is known to be in use now


def test_who_was_never_used_is_left_alone(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    github.becomes(space, "Available")
    assert laptop.cs("status").status == 0
    assert laptop.cs("logs", "nothing").status == 1
    assert laptop.cs("ssh", "--", "ls -d /workspaces/.orch").status != 0
    assert laptop.cs("stop").status == 0


def test_a_slow_codespace_is_waited_for_and_a_failed_one_told(github: GitHub, laptop: GitHubLaptop) -> None:
    github.knobs.queued = github.knobs.provisioning = 1.0
    done = laptop.cs("create", "-R", REPOSITORY, "--yes")
    assert done.status == 0 and all(state in done.err for state in ("Queued", "Provisioning", "Available"))
    laptop.cs("delete", "--yes")
    github.knobs.creation_fails = True
    failed = laptop.cs("create", "-R", REPOSITORY, "--yes")
    assert failed.status == 1 and "could not set up" in failed.err and "gh codespace logs" in failed.err


def test_one_that_gets_no_job_stops_itself(github: GitHub, laptop: GitHubLaptop) -> None:
    """What made it has raised GitHub's own timer: from then on there is ours."""
    laptop.set(idle_stop="3s")
    assert laptop.cs("create", "-R", REPOSITORY, "--yes").status == 0
    (space,) = github.fleet
    github.becomes(space, "Shutdown")
    assert github.events.stops(space.name) == ["from inside"]
    github.knobs.image = frozenset({"gh"})
    told = laptop.cs("create", "-R", REPOSITORY, "--yes")
    assert told.status == 1 and "no SSH server" in told.err and "GitHub after 240 minutes" in told.err


def test_who_follows_does_not_wake_what_somebody_stops(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    github.becomes(space, "Available")
    laptop.cs("run", "--name", "long", "echo begun; sleep 300")
    with laptop.cs.popen("logs", "-f", "long") as following:
        assert following.stdout is not None and following.stdout.read1() == b"begun\n"
        assert laptop.cs("stop", "--force").status == 0
        _, err = following.communicate(timeout=60)
    assert following.returncode == 1 and b"is stopped" in err
    states = github.events.states(space.name)
    assert states[-1] == "Shutdown" and states.count("Available") == 1
