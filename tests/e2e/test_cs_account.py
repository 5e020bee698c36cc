"""Secrets and cost, through the real gh."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orch.providers.codespaces import jsonc
from tests.support.agent import eventually
from tests.support.github import LAPTOP, REPOSITORY, GitHub, GitHubLaptop
from tests.support.github.binaries import newest, oldest
from tests.support.github.documents import iso

pytestmark = pytest.mark.timeout(240)
VALUE = "k9-very-secret\nand a second line"


def clone(laptop: GitHubLaptop) -> Path:
    """A clone of the repository, as far as anybody looks."""
    place = laptop.home / "clone"
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(["git", "-C", place, "remote", "add", "origin", f"git@github.com:{REPOSITORY}.git"], check=True)
    return place


@pytest.mark.parametrize("gh", [newest, oldest])
def test_secrets(github: GitHub, at_github: Callable[..., GitHubLaptop], gh: Callable[[], Path]) -> None:
    laptop = at_github(gh())
    github.add_repository("octo/other")
    here = clone(laptop)

    def secret(*words: str, value: str = "") -> str:
        done = laptop.cs("secret", *words, input=value.encode(), cwd=here)
        assert done.status == 0, done.err
        assert "very-secret" not in done.out + done.err
        return done.out

    secret("set", "token", value=VALUE)
    secret("set", "shared", "--user", "--repos", f"octo/other,{REPOSITORY}", value=VALUE)
    secret("set", "key", "-R", REPOSITORY, value=VALUE)
    assert github.secrets.seen_by(github.repository(REPOSITORY)) == dict.fromkeys(("TOKEN", "SHARED", "KEY"), VALUE)
    assert github.secrets.seen_by(github.repository("octo/other")) == {"SHARED": VALUE}
    secret("set", "shared", value="another")
    assert github.secrets.seen_by(github.repository("octo/other")) == {"SHARED": "another"}
    listed = [line.split()[:3] for line in secret("list").splitlines()[1:]]
    assert ["KEY", REPOSITORY, REPOSITORY] in listed and ["TOKEN", "you", REPOSITORY] in listed and len(listed) == 3
    elsewhere = laptop.cs("secret", "rm", "key", cwd=here)
    assert elsewhere.status == 1 and f"cs secret rm KEY -R {REPOSITORY}" in elsewhere.err
    secret("rm", "key", "-R", REPOSITORY)
    secret("rm", "token")
    assert list(github.secrets.seen_by(github.repository(REPOSITORY))) == ["SHARED"]
    gone = laptop.cs("secret", "rm", "token", "--json")
    assert gone.status == 1 and gone.error["kind"] == "not_found" and gone.error["hint"] == "cs secret list"
    nowhere = laptop.cs("secret", "set", "key", "-R", "octo/nowhere", "--json", input=VALUE.encode())
    assert nowhere.error["kind"] == "not_found" and "octo/nowhere" in nowhere.error["message"]
    github.tokens.allow(LAPTOP, "repo")
    refused = laptop.cs("secret", "list", "--user")
    assert refused.status == 4 and "gh auth refresh -h github.com -s codespace" in refused.err


def test_what_github_bills_and_what_it_tells_nobody(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> None:
    laptop = at_github()
    space = github.create(machine="standardLinux32gb")
    github.plan = "pro"
    common = {"date": iso(space.created_at), "product": "codespaces", "unitType": "Hours", "repositoryName": REPOSITORY}
    github.usage = [
        {**common, "sku": "Codespaces compute 4-core", "quantity": 25.0, "grossAmount": 9.0, "netAmount": 0.0},
        {**common, "sku": "Codespaces storage", "quantity": 30.0, "grossAmount": 2.1, "netAmount": 0.7},
        {**common, "product": "actions", "sku": "Actions Linux", "quantity": 9.0, "grossAmount": 9.0, "netAmount": 9.0},
    ]
    told = laptop.cs("cost")
    assert told.status == 0 and told.err == ""
    assert "by GitHub's bill: 100.0 core-hours (9.00 USD), 30.0 GB-months (2.10 USD)" in told.out
    assert "(plan pro): 80.0 of 180 core-hours, 0.0 of 20 GB-months" in told.out
    assert "to be paid: 0.70 USD" in told.out
    github.tokens.allow(LAPTOP, "codespace", "repo", "read:org")
    told = laptop.cs("cost")
    assert told.status == 0 and "by our own count" in told.out and "of 120 core-hours" in told.out
    assert told.err.count("gh auth refresh -h github.com -s user") == 1
    assert not github.events.of("connection") and not github.events.activities(space.name), "nobody went there"


def test_a_larger_machine_for_more_disk_is_told(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> None:
    laptop = at_github()
    here = clone(laptop)
    told = laptop.cs("init", "--yes", cwd=here)
    assert told.status == 0 and "4-core/16GB has 32gb here; for more that takes 8-core/32GB" in told.err
    file = here / ".devcontainer" / "devcontainer.json"
    file.write_text(file.read_text().replace("64gb", "32gb"))
    again = laptop.cs("init", "--yes", cwd=here)
    assert again.err == 'cs: hostRequirements.storage stays "32gb"; jobs are promised 64gb\n'
    assert "has all that jobs need" in again.out


def test_hours_awake_are_counted_and_remembered(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> None:
    laptop = at_github()
    github.knobs.minute = 60.0  # nothing here is about time: GitHub's timer is not to come in between
    space = github.create(machine="premiumLinux")
    assert laptop.cs("run", "-c", space.name, "--name", "one", "--wait", "true").status == 0
    [line] = laptop.cs("cost", "--json").json["codespaces"]
    assert line["hours_awake"] > 0 and line["core_hours"] == pytest.approx(8 * line["hours_awake"])
    assert (line["disk_gb"], line["machine"], line["payer"]) == (64, "premiumLinux", "octo")
    status = laptop.cs("status")
    assert status.out.splitlines()[0].split() == ["NAME", "STATE", "MACHINE", "IDLE", "USED"]
    assert "left of what is free (plan free): 120.0 of 120 core-hours" in status.err
    assert laptop.cs("status", "--json").json["free"]["gb_months_left"] == 15
    assert laptop.cs("stop", space.name).status == 0
    github.becomes(space, "Shutdown")
    visits = len(github.events.of("connection"))
    [kept] = laptop.cs("cost", "--json").json["codespaces"]
    assert (kept["state"], kept["as_of"]) == ("Shutdown", line["as_of"])
    assert kept["hours_awake"] == pytest.approx(line["hours_awake"], abs=0.001)
    assert space.state == "Shutdown" and len(github.events.of("connection")) == visits
    assert laptop.cs("delete", space.name, "--yes").status == 0
    [gone] = laptop.cs("cost", "--json").json["codespaces"]
    assert (gone["state"], gone["hours_awake"]) == ("Deleted", kept["hours_awake"])


def test_what_init_writes_wakes_what_waits(github: GitHub, at_github: Callable[..., GitHubLaptop]) -> None:
    """A start that no laptop of ours has asked for: GitHub calls the command, and that calls orch."""
    laptop = at_github()
    here = clone(laptop)
    assert laptop.cs("init", "--yes", cwd=here).status == 0
    said = jsonc.parse((here / ".devcontainer" / "devcontainer.json").read_text()).value
    github.knobs.post_start, github.knobs.minute = said["postStartCommand"], 60.0
    space = github.create()
    job = "echo once >>/workspaces/ran; [ $(wc -l </workspaces/ran) = 2 ] || sleep 600"
    assert (
        laptop.cs("run", "-c", space.name, "--name", "twice", "--retries", "1", "--retry-delay", "0s", job).status == 0
    )
    ran = space.workspaces / "ran"
    eventually(ran.exists, "the job has begun")
    github.fleet.stop(space, "api")
    github.becomes(space, "Shutdown")
    github.fleet.start(space)
    github.becomes(space, "Available")
    visits = len(github.events.of("connection", name=space.name))
    eventually(lambda: ran.read_text() == "once\nonce\n", "it has begun again")
    assert len(github.events.of("connection", name=space.name)) == visits
    assert laptop.cs("wait", "twice").status == 0
