"""The imitated GitHub does what GitHub does, as far as orch goes by it: the real gh, old and new, is its witness."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.agent import eventually
from tests.support.cli import Done
from tests.support.github import REPOSITORY, Codespace, GitHub, GitHubLaptop
from tests.support.github.binaries import newest, oldest
from tests.support.github.ghwords import kind_of

pytestmark = pytest.mark.timeout(180)
Laptops = Callable[..., GitHubLaptop]
PING = ["-oServerAliveInterval=1"]
CREATE = ["cs", "create", "-R", REPOSITORY, "--devcontainer-path", ".devcontainer.json", "--default-permissions"]


@pytest.fixture(params=["newest", "oldest"])
def each(request: pytest.FixtureRequest, at_github: Laptops) -> GitHubLaptop:
    """A laptop with each gh."""
    return at_github({"newest": newest, "oldest": oldest}[request.param]())


@pytest.fixture
def laptop(at_github: Laptops) -> GitHubLaptop:
    return at_github()


def good(done: Done) -> str:
    assert done.status == 0, (done.out, done.err)
    return done.out


def ssh(laptop: GitHubLaptop, space: Codespace, *options: str) -> list[str]:
    """OpenSSH's way to a codespace, as gh describes it.

    gh as its proxy does not notice that a codespace has stopped before there is something to send.
    """
    config = laptop.home / "ssh_config"
    config.write_text(good(laptop.gh("cs", "ssh", "--config", "-c", space.name)))
    [host] = re.findall(r"^Host (\S+)$", config.read_text(), re.M)
    return ["ssh", "-F", str(config), "-oControlPath=none", *options, host]


def over_ssh(laptop: GitHubLaptop, space: Codespace, command: str) -> subprocess.CompletedProcess[str]:
    argv = [*ssh(laptop, space, *PING), command]
    return subprocess.run(argv, env={**os.environ, **laptop.env}, capture_output=True, text=True, timeout=60)


@contextmanager
def held(laptop: GitHubLaptop, *argv: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs meanwhile, and what it started; its input stays open."""
    env = {**os.environ, **laptop.env}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as one:
        try:
            yield one
        finally:
            if one.poll() is None:
                os.killpg(one.pid, 9)


def test_a_codespace_is_created_and_seen(github: GitHub, each: GitHubLaptop) -> None:
    github.knobs.provisioning = 0.2
    more = ["-m", "standardLinux32gb", "--idle-timeout", "240m", "--retention-period", "168h", "-d", "mine"]
    name = good(each.gh(*CREATE, *more)).strip()
    assert github.events.states(name) == ["Queued", "Provisioning", "Available"]
    fields = "name,displayName,state,machineName,repository"
    expected = {
        "name": name,
        "displayName": "mine",
        "state": "Available",
        "machineName": "standardLinux32gb",
        "repository": REPOSITORY,
    }
    assert json.loads(good(each.gh("cs", "list", "--json", fields))) == [expected]
    fields = "idleTimeoutMinutes,retentionPeriodDays,machineDisplayName"
    assert json.loads(good(each.gh("cs", "view", "-c", name, "--json", fields))) == {
        "idleTimeoutMinutes": 240,
        "retentionPeriodDays": 7,
        "machineDisplayName": "4 cores, 16 GB RAM, 32 GB storage",
    }
    said = each.gh("cs", "list", "--json", "idleTimeoutMinutes")
    assert [said.status, "Unknown JSON field" in said.err] == [1, True]
    good(each.gh("cs", "delete", "-f", "-c", name))
    assert list(github.fleet) == []


def test_every_way_in(github: GitHub, each: GitHubLaptop) -> None:
    space = github.create()
    [name, repository, *_, user] = good(
        each.gh("cs", "ssh", "-c", space.name, "--", "echo $CODESPACE_NAME $GITHUB_REPOSITORY $CODESPACES; whoami")
    ).split()
    assert [name, repository, user] == [space.name, REPOSITORY, "codespace"]
    assert each.gh("cs", "ssh", "-c", space.name, "--", "exit 7").status == 1
    assert over_ssh(each, space, "exit 7").returncode == 7
    data = bytes(range(256)) * 4096
    env = {**os.environ, **each.env}
    echoed = subprocess.run([*ssh(each, space), "cat"], env=env, input=data, capture_output=True, timeout=60)
    assert echoed.stdout == data


def test_ssh_starts_what_is_stopped(github: GitHub, each: GitHubLaptop) -> None:
    space = github.create()
    good(each.gh("cs", "stop", "-c", space.name))
    github.becomes(space, "Shutdown")
    assert "is not running" in each.gh("cs", "stop", "-c", space.name).err
    github.knobs.starting = 0.2
    assert good(each.gh("cs", "ssh", "-c", space.name, "--", "echo there")) == "there\n"
    assert github.events.states(space.name)[-3:] == ["Shutdown", "Starting", "Available"]


def test_secrets_arrive_at_the_next_start(github: GitHub, each: GitHubLaptop) -> None:
    space = github.create()
    secret = ["secret", "set", "--app", "codespaces"]
    good(each.gh(*secret, "MINE", "--user", "--repos", REPOSITORY, input=b"of the user\nin lines"))
    good(each.gh(*secret, "ITS", "-R", REPOSITORY, "-b", "of the repository"))
    listed = good(each.gh("secret", "list", "--app", "codespaces", "-R", REPOSITORY))
    assert [listed.split()[0], "of the" in listed] == ["ITS", False]
    assert "MINE" in good(each.gh("secret", "list", "--user"))
    assert [line.partition("=")[0] for line in secrets(space)] == ["GITHUB_TOKEN"]
    github.fleet.stop(space, "test")
    github.becomes(space, "Shutdown")
    github.fleet.start(space)
    github.becomes(space, "Available")
    assert secrets(space)[:2] == ["MINE=b2YgdGhlIHVzZXIKaW4gbGluZXM=", "ITS=b2YgdGhlIHJlcG9zaXRvcnk="]
    assert "MINE" not in good(each.gh("cs", "ssh", "-c", space.name, "--", "env"))
    good(each.gh("secret", "delete", "MINE", "--user"))
    assert list(github.secrets.at("user")) == []


def secrets(space: Codespace) -> list[str]:
    return space.read(".codespaces/shared/.env-secrets").split()


def test_a_machine_is_changed_at_the_next_start(github: GitHub, each: GitHubLaptop) -> None:
    space = github.create(machine="standardLinux32gb")
    good(each.gh("cs", "edit", "-c", space.name, "-m", "premiumLinux"))
    assert space.machine_name == "standardLinux32gb"
    github.fleet.stop(space, "test")
    github.becomes(space, "Shutdown")
    github.fleet.start(space)
    github.becomes(space, "Available")
    assert space.machine_name == "premiumLinux"
    assert each.gh("cs", "edit", "-c", space.name, "-m", "xLargePremiumLinux").status == 1


def test_a_machine_that_is_not_offered(github: GitHub, each: GitHubLaptop) -> None:
    github.offer(REPOSITORY, "basicLinux32gb")
    said = each.gh(*CREATE, "-m", "premiumLinux")
    assert [said.status, "no such machine" in said.err] == [1, True]
    body = json.dumps({"machine": "premiumLinux"})
    said = each.gh("api", "-X", "POST", f"/repos/{REPOSITORY}/codespaces", "--input", "-", input=body.encode())
    assert "(HTTP 422)" in said.err


def test_what_a_token_may_do(github: GitHub, each: GitHubLaptop) -> None:
    each.log_in(None)
    said = each.gh("cs", "list")
    assert [said.status, "gh auth login" in said.err] == [4, True]
    each.log_in("gho_unknown")
    assert "HTTP 401" in each.gh("api", "/user/codespaces").err
    github.tokens.allow("gho_poor", "repo", "read:org")
    each.log_in("gho_poor")
    said = each.gh("cs", "list")
    assert [said.status, "gh auth refresh -h github.com -s codespace" in said.err] == [1, True]
    assert 'needs the "user" scope' in each.gh("api", "/users/octo/settings/billing/usage").err


def test_trouble_at_github(github: GitHub, each: GitHubLaptop) -> None:
    github.create()
    github.knobs.fail("GET /user/codespaces", 429, times=2, Retry_After="1")
    github.knobs.fail("GET /user/codespaces", 502)
    said = [each.gh("api", "/user/codespaces") for _ in range(4)]
    assert [re.findall(r"HTTP (\d+)", one.err) for one in said] == [["429"], ["429"], ["502"], []]


def test_an_image_without_sshd(github: GitHub, each: GitHubLaptop) -> None:
    github.knobs.image = frozenset({"gh"})
    space = github.create()
    said = each.gh("cs", "ssh", "-c", space.name, "--", "true")
    assert "Please check if an SSH server is installed in the container" in said.err
    assert "ghcr.io/devcontainers/features/sshd:1" in said.err


def test_a_stop_ends_all_that_runs(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    script = "setsid sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid; cp /tmp/pid ~/kept; cp /tmp/pid /workspaces/kept"
    good(laptop.gh("cs", "ssh", "-c", space.name, "--", f"{script}; kill -0 $(cat /tmp/pid)"))
    boot, token = space.run("cat /proc/sys/kernel/random/boot_id").stdout, space.token
    assert ["sleep", "1000"] in [argv for _, argv in space.processes()]
    with held(laptop, *ssh(laptop, space, *PING), "echo here; cat") as session:
        assert session.stdout
        assert session.stdout.readline() == b"here\n"
        good(laptop.gh("cs", "stop", "-c", space.name))
        assert session.wait(30) == 255
    github.becomes(space, "Shutdown")
    assert space.expires_at
    laptop.log_in(token)
    assert laptop.gh("api", f"/user/codespaces/{space.name}").status == 1
    laptop.log_in("gho_laptop")
    good(laptop.gh("cs", "ssh", "-c", space.name, "--", "test ! -e /tmp/pid && cat ~/kept /workspaces/kept"))
    assert ["sleep", "1000"] not in [argv for _, argv in space.processes()]
    assert boot != space.run("cat /proc/sys/kernel/random/boot_id").stdout
    assert token != space.token
    assert good(laptop.gh("cs", "ssh", "-c", space.name, "--", "echo $GITHUB_TOKEN")).strip() == space.token


def test_an_idle_codespace_is_stopped(github: GitHub, laptop: GitHubLaptop) -> None:
    github.knobs.minute = 0.1
    space = github.create(idle_timeout_minutes=30)
    started = space.started
    good(laptop.gh("api", f"/user/codespaces/{space.name}"))
    github.becomes(space, "Shutdown")
    [stop] = github.events.of("state", name=space.name, state="ShuttingDown")
    assert stop.what["why"] == "idle"
    assert 3.0 < stop.at - started < 12.0
    assert github.events.activities(space.name) == []


def test_presence(github: GitHub, laptop: GitHubLaptop) -> None:
    """What each kind of connection says, in minutes that are shorter than gh's own."""
    github.knobs.minute = 0.2
    spaces = {kind: github.create(idle_timeout_minutes=240) for kind in ("command", "silent", "pinged", "config")}
    said = {kind: lambda space=space: github.events.activities(space.name) for kind, space in spaces.items()}
    with ExitStack() as stack:
        command = [laptop.bin / "gh", "cs", "ssh", "-c", spaces["command"].name, "--", "cat"]
        stack.enter_context(held(laptop, *command))
        stack.enter_context(held(laptop, *ssh(laptop, spaces["silent"]), "cat"))
        pinged = ssh(laptop, spaces["pinged"], *PING)
        stack.enter_context(held(laptop, *pinged, "cat"))
        ssh(laptop, spaces["config"])
        eventually(lambda: said["command"]().count("keepAlive") >= 20, "a command keeps alive")
        eventually(lambda: len(said["pinged"]()) >= 6, "bytes are presence")
        before = said["silent"]()
        count = len(said["command"]())
        eventually(lambda: len(said["command"]()) >= count + 10, "ten minutes have passed")
        assert said["silent"]() == before
        assert github.relay.connections(spaces["silent"].name) == ["stdio"]
        assert set(said["config"]()) == {"connected"}
    assert set(said["command"]()) == {"connected", "keepAlive"}
    count = len(said["command"]())
    eventually(lambda: github.relay.connections(spaces["command"].name) == [], "the command is gone")
    assert len(said["command"]()) - count <= 2


def test_presence_in_real_minutes(github: GitHub, at_github: Laptops) -> None:
    """The reckoning is true to gh: what it says by itself in its first minute."""
    github.knobs.minute = 60.0
    with ExitStack() as stack:
        spaces = {}
        for gh in (newest(), oldest()):
            laptop = at_github(gh)
            for kind in ("command", "silent"):
                spaces[gh, kind] = space = github.create()
                way = [laptop.bin / "gh", "cs", "ssh", "-c", space.name, "--"]
                way = way if kind == "command" else ssh(laptop, space)
                connected = stack.enter_context(held(laptop, *way, "echo here; cat"))
                assert connected.stdout is not None and connected.stdout.readline() == b"here\n"
        for (_, kind), space in spaces.items():
            last = "keepAlive" if kind == "command" else "input"
            eventually(lambda: last in github.events.activities(space.name), f"{kind} says {last}", 100)  # noqa: B023
            assert set(github.events.activities(space.name)) <= {"connected", last, "output"}
    assert not [event for event in github.events.of("activity") if event.what["scaled"]]


def test_nothing_lives_longer_than_twelve_hours(github: GitHub, laptop: GitHubLaptop) -> None:
    github.knobs.minute, github.knobs.limit = 0.1, 50
    space = github.create(idle_timeout_minutes=240)
    with held(laptop, laptop.bin / "gh", "cs", "ssh", "-c", space.name, "--", "cat"):
        github.becomes(space, "Shutdown")
    assert github.events.stops(space.name) == ["limit"]
    assert "keepAlive" in github.events.activities(space.name)


STOP = "gh api -X POST /user/codespaces/$CODESPACE_NAME/stop"


def test_what_a_codespace_may_do_to_itself(github: GitHub, laptop: GitHubLaptop) -> None:
    github.knobs.inside_may = frozenset({"connect"})
    space, other = github.create(), github.create()
    said = over_ssh(laptop, space, f"gh cs ssh -c $CODESPACE_NAME -- whoami; {STOP}")
    assert [said.stdout.split()[0], "Resource not accessible by integration (HTTP 403)" in said.stderr] == [
        "codespace",
        True,
    ]
    github.tokens.allow("ghp_mine", "codespace")
    start = "gh api -X POST /user/codespaces/$CODESPACE_NAME/start"
    assert "(HTTP 409)" in over_ssh(laptop, space, f"GITHUB_TOKEN=ghp_mine {start}").stderr
    over_ssh(laptop, space, f"GITHUB_TOKEN=ghp_mine {STOP}")
    github.becomes(space, "Shutdown")
    github.knobs.inside_may = frozenset({"power"})
    # Of a tunnel that is denied gh sometimes says only that it is closed.
    into_itself = "gh cs ssh -c $CODESPACE_NAME -- whoami"
    eventually(lambda: "403" in over_ssh(laptop, other, into_itself).stderr, "it is told that it may not")
    assert "403" in over_ssh(laptop, other, f"CODESPACE_NAME={space.name}; {STOP}").stderr
    over_ssh(laptop, other, STOP)
    github.becomes(other, "Shutdown")
    assert github.events.stops(other.name) == ["from inside"]


def test_tmux_is_installed_there(github: GitHub, laptop: GitHubLaptop) -> None:
    space = github.create()
    install = "sudo -n apt-get install -y tmux"
    assert space.run("command -v tmux", check=False).returncode
    assert "Permission denied" in space.run("apt-get install tmux", check=False).stderr
    assert "Unable to locate package tmux" in space.run(install, check=False).stderr
    space.run(f"sudo -n apt-get update && {install} && tmux -V")
    github.fleet.stop(space, "test")
    github.becomes(space, "Shutdown")
    good(laptop.gh("cs", "ssh", "-c", space.name, "--", "tmux -V && touch ~/kept"))
    good(laptop.gh("cs", "rebuild", "-c", space.name))
    eventually(lambda: github.events.states(space.name)[-2:] == ["Rebuilding", "Available"], "it is rebuilt")
    script = "command -v tmux; ls ~/kept /workspaces"
    assert over_ssh(laptop, space, script).stdout.split() == ["/workspaces:", "video-marketing-ai"]


def test_images_differ(github: GitHub) -> None:
    github.knobs.image, github.knobs.apt = frozenset({"sshd", "tmux"}), "fails"
    github.knobs.post_start = "pwd >/workspaces/said; echo $CODESPACE_NAME $ORCH_MINUTE >>/workspaces/said"
    space = github.create()
    assert space.run("tmux -V; command -v gh", check=False).stdout.startswith("tmux")
    assert space.run("sudo -n apt-get update", check=False).returncode == 100
    said = eventually(lambda: len(found := space.read("said").split()) == 3 and found, "postStartCommand has run")
    assert said == [f"/workspaces/{REPOSITORY.partition('/')[2]}", space.name, "0.4"]


def test_creation_is_slow_or_fails(github: GitHub, laptop: GitHubLaptop) -> None:
    github.knobs.queued, github.knobs.provisioning = 0.5, 60.0
    body = json.dumps({"machine": "basicLinux32gb"})
    made = json.loads(good(laptop.gh("api", f"/repos/{REPOSITORY}/codespaces", "--input", "-", input=body.encode())))
    assert made["state"] == "Queued"
    space = github.fleet.get(made["name"])
    assert space
    github.becomes(space, "Provisioning")
    assert json.loads(good(laptop.gh("cs", "view", "-c", space.name, "--json", "state"))) == {"state": "Provisioning"}
    github.wipe()
    github.knobs.creation_fails = True
    made = json.loads(good(laptop.gh("api", f"/repos/{REPOSITORY}/codespaces", "--input", "-", input=body.encode())))
    eventually(lambda: github.events.states(made["name"])[-1:] == ["Failed"], "it has failed")


def test_retention(github: GitHub, laptop: GitHubLaptop) -> None:
    space, running = github.create(retention_period_minutes=1440), github.create()
    github.fleet.stop(space, "test")
    github.becomes(space, "Shutdown")
    view = json.loads(good(laptop.gh("api", f"/user/codespaces/{space.name}")))
    assert view["retention_expires_at"][:2] == "20"
    space.expires_at = 0.0
    eventually(lambda: github.fleet.get(space.name) is None, "retention deletes it")
    good(laptop.gh("cs", "delete", "-f", "-c", running.name))
    assert github.events.states(running.name)[-1] == "Deleted"
    assert json.loads(good(laptop.gh("api", "/user/codespaces")))["total_count"] == 0


def test_pages(github: GitHub, laptop: GitHubLaptop) -> None:
    names = {github.create().name for _ in range(3)}
    said = laptop.gh("api", "--paginate", "/user/codespaces?per_page=2", "-q", ".codespaces[].name")
    assert set(good(said).split()) == names
    assert [event.what["query"].get("page") for event in github.events.calls("/user/codespaces")] == [None, "2"]


def test_usage(github: GitHub, laptop: GitHubLaptop) -> None:
    item = {"date": "2026-02-16T00:00:00Z", "product": "Codespaces", "sku": "Codespaces - compute 4-core"}
    github.usage = [item, {**item, "date": "2026-01-31T00:00:00Z"}]
    said = good(laptop.gh("api", "/users/octo/settings/billing/usage?year=2026&month=2"))
    assert json.loads(said) == {"usageItems": [item]}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("gh cs ssh -c x", "shell"),
        ("gh codespace ssh -c x --stdio -- -i key", "stdio"),
        ("gh cs ssh --config -c x", "config"),
        ("gh cs ssh -c x -- -i key -q 'wait for it'", "command"),
        ("gh cs ssh -c x ls", "command"),
        ("gh cs ssh -c x -- -i key", "shell"),
        ("gh cs logs -c x", "logs"),
        ("gh api /user", "api"),
    ],
)
def test_the_kind_of_a_connection(words: str, kind: str) -> None:
    assert kind_of(shlex.split(words)) == kind
