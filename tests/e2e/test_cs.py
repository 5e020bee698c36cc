"""Codespaces, from the command line: gh is real, codespaces are real as far as namespaces go, GitHub is imitated."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import eventually
from tests.support.cli import Done
from tests.support.github import REPOSITORY, Codespace, GitHub, GitHubLaptop
from tests.support.github.binaries import newest, oldest

pytestmark = pytest.mark.timeout(240)
Laptops = Callable[..., GitHubLaptop]
FOLDER = REPOSITORY.partition("/")[2]


def good(done: Done) -> str:
    assert done.status == 0, (done.out, done.err)
    return done.out


def only(github: GitHub) -> Codespace:
    [space] = github.fleet
    return space


def shown(laptop: GitHubLaptop, name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(good(laptop.cs("show", name, "--json")))
    return said


def job(laptop: GitHubLaptop, name: str) -> dict[str, Any]:
    [found] = json.loads(good(laptop.cs("status", name, "--json")))["jobs"]
    return dict(found)


def starts(github: GitHub, space: Codespace) -> int:
    return github.events.states(space.name).count("Available")


@pytest.mark.parametrize("gh", [newest, oldest])
def test_the_life_of_a_job(gh: Callable[[], Path], github: GitHub, at_github: Laptops) -> None:
    laptop, space = at_github(gh()), github.create(machine="standardLinux32gb")
    command = f"cd /workspaces/{FOLDER} && echo begins && read line && echo got $line"
    assert "train.1 submitted" in good(laptop.cs("run", "--name", "train", command))
    with laptop.cs.popen("logs", "-f", "train") as following:
        assert following.stdout
        assert following.stdout.readline() == b"begins\n"
        good(laptop.cs("send", "train", "a word"))
        assert laptop.cs("wait", "train").status == 0
        assert b"got a word\n" in following.stdout.read()
        assert following.wait(30) == 0
    said = good(laptop.cs("status"))
    assert [word in said for word in (FOLDER, "Available", "4-core/16GB", "COMPLETED")] == [True] * 4
    assert laptop.cs("run", "--name", "bad", "--wait", "exit 7").status == 7
    assert good(laptop.cs("ssh", "--", "echo $CODESPACE_NAME")).strip() == space.name
    assert good(laptop("logs", "train")) == good(laptop.cs("logs", "train"))
    assert space.read(".orch/logs/train/1.log").startswith("begins")


def test_one_is_made_where_there_is_none(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.knobs.provisioning = 2.5
    command = f"cd /workspaces/{FOLDER} && pwd"
    refused = laptop.cs("run", "--name", "train", command)
    assert refused.status == 1
    assert "cs run --yes" in refused.err
    assert list(github.fleet) == []
    made = laptop.cs("create", "-R", REPOSITORY, "--yes")
    assert [good(made).startswith(only(github).name), "Provisioning" in made.err] == [True, True]
    space = only(github)
    assert [space.machine_name, space.idle_timeout_minutes, space.retention_minutes] == [
        "standardLinux32gb",
        240,
        10080,
    ]
    good(laptop.cs("run", "--name", "train", "--wait", command))
    assert good(laptop.cs("logs", "train")) == f"/workspaces/{FOLDER}\n"


def test_nothing_is_woken_by_looking(github: GitHub, at_github: Laptops) -> None:
    laptop, space = at_github(), github.create()
    good(laptop.cs("run", "--name", "train", "--wait", "echo kept"))
    good(laptop.cs("stop"))
    assert github.events.stops(space.name) == ["api"]
    said = good(laptop.cs("status"))
    assert [word in said for word in ("Shutdown", "COMPLETED", "in 30d", "ago")] == [True] * 4
    assert good(laptop.cs("logs", "train")) == "kept\n"
    assert starts(github, space) == 1
    again = laptop.cs("run", "--name", "train", "--wait", "echo again")
    assert [again.status, "it is started" in again.err] == [0, True]
    assert starts(github, space) == 2


def test_an_agent_is_asked_once_a_minute(github: GitHub, at_github: Laptops) -> None:
    laptop, space = at_github(), github.create()
    good(laptop.cs("run", "--name", "train", "--wait", "true"))
    good(laptop.cs("status"))
    laptop.crash()
    connections = len(github.events.of("connection", name=space.name))
    for _ in range(3):
        assert "COMPLETED" in good(laptop.cs("status"))
    assert len(github.events.of("connection", name=space.name)) == connections


def test_watching_is_no_more_than_looking(github: GitHub, at_github: Laptops, terminal: Any) -> None:
    """What other commands here have heard is shown at once, what GitHub says soon; the codespace is asked once."""
    github.knobs.minute = 60.0
    laptop, space = at_github(), github.create(machine="standardLinux32gb")
    good(laptop.cs("run", "--name", "train", "sleep 1000"))
    terminal.start([str(word) for word in laptop.cs.argv("status", "--watch")], {**os.environ, **laptop.env})
    terminal.shows("left of what is free")
    terminal.shows("RUNNING")
    rows = [line.split() for line in terminal.screen().splitlines()]
    assert rows[0][:3] == ["NAME", "STATE", "MACHINE"] and rows[1][:3] == [FOLDER, "Available", "4-core/16GB"]
    assert rows[2] == [] and rows[3][:2] == ["NAME", "STATE"] and rows[4][:2] == ["train", "RUNNING"]
    laptop.cs("cancel", "train")
    good(laptop.cs("run", "--name", "other", "sleep 1000"))
    terminal.shows("other")
    good(laptop.cs("stop", "--force"))
    terminal.shows("Shutdown")
    assert starts(github, space) == 1
    with laptop.cs.popen("status", "--watch", "--json") as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        process.kill()
    assert [one["state"] for one in found["codespaces"]] == ["Shutdown"] and found["jobs"]


def test_two_codespaces_have_the_same_names_in_both_tables(github: GitHub, at_github: Laptops) -> None:
    laptop, other = at_github(), "octo/web"
    github.add_repository(other, "standardLinux32gb")
    for repository in (REPOSITORY, other):
        github.create(repository=repository)
        good(laptop.cs("run", "-c", repository, "--name", f"of-{repository.partition('/')[2]}", "--wait", "true"))
    done = laptop.cs("status")
    above, _, below = good(done).partition("\n\n")
    names = [line.split()[0] for line in above.splitlines()[1:]]
    hosts = {row[0]: row[1] for row in map(str.split, below.splitlines())}
    assert sorted(names) == sorted(one.partition("/")[2] for one in (REPOSITORY, other))
    assert hosts == {"NAME": "HOST", **{f"of-{name}": name for name in names}}
    assert "\n\nleft of what is free" in f"\n{done.err}"


def test_looking_is_presence_once(github: GitHub, at_github: Laptops) -> None:
    """In real minutes: the connection that commands share ends by itself, before gh says a second time that we are."""
    github.knobs.minute = 60.0
    laptop, space = at_github(), github.create(idle_timeout_minutes=30)
    good(laptop.cs("run", "--name", "train", "--wait", "echo done"))
    good(laptop.cs("logs", "train"))
    good(laptop.cs("status"))
    eventually(lambda: github.relay.connections(space.name) == [], "nobody is connected", 60)
    assert set(github.events.activities(space.name)) == {"connected"}


def test_it_is_awake_for_as_long_as_its_jobs(github: GitHub, at_github: Laptops) -> None:
    """Three hours of work, a timer of half an hour, no laptop; in minutes of a third of a second."""
    minute = github.knobs.minute = 1 / 3
    laptop, space = at_github(), github.create(idle_timeout_minutes=30)
    laptop.set(idle_stop=f"{20 * minute:.0f}s")
    good(laptop.cs("run", "--name", "train", f"sleep {180 * minute:.0f}; date +%s >/workspaces/ended"))
    assert not shown(laptop, "train").get("remarks")
    laptop.crash()
    github.becomes(space, "Shutdown", 180)
    assert github.events.stops(space.name) == ["from inside"]
    [stop] = github.events.of("state", name=space.name, state="ShuttingDown")
    assert 200 * minute < stop.at - space.started < 270 * minute
    good(laptop.cs("start"))
    assert job(laptop, "train")["state"] == "COMPLETED"
    assert space.read("ended")


def test_a_laptop_that_sleeps_changes_nothing(github: GitHub, at_github: Laptops) -> None:
    github.knobs.minute = 0.3
    laptop, space = at_github(), github.create(idle_timeout_minutes=30)
    script = "for n in $(seq 20); do echo line $n; sleep 1; done"
    good(laptop.cs("run", "--name", "train", script))
    with laptop.cs.popen("logs", "-f", "train") as following:
        assert following.stdout
        first = following.stdout.readline()
        laptop.freeze()
        eventually(lambda: "line 20" in space.read(".orch/logs/train/1.log"), "it went on", 60)
        laptop.thaw()
        said = first + following.stdout.read()
        assert following.wait(60) == 0
    assert said == b"".join(b"line %d\n" % n for n in range(1, 21))
    assert starts(github, space) == 1


def test_where_it_may_not_stop_itself(github: GitHub, at_github: Laptops) -> None:
    """GitHub's own timer does, and the submission and the record said so."""
    minute = github.knobs.minute = 0.2
    github.knobs.inside_may = frozenset({"connect"})
    laptop, space = at_github(), github.create(idle_timeout_minutes=30)
    laptop.set(idle_stop=f"{10 * minute:.0f}s")
    submitted = laptop.cs("run", "--name", "train", f"sleep {60 * minute:.0f}")
    assert "may not stop itself" in good(submitted) + submitted.err
    assert "30 minutes" in submitted.out + submitted.err
    [remark] = shown(laptop, "train")["remarks"]
    assert "may not stop itself" in remark
    laptop.crash()
    github.becomes(space, "Shutdown", 120)
    assert github.events.stops(space.name) == ["idle"]
    [stop] = github.events.of("state", name=space.name, state="ShuttingDown")
    assert stop.at - space.started > 90 * minute
    good(laptop.cs("start"))
    assert job(laptop, "train")["state"] == "COMPLETED"


@pytest.mark.parametrize("who", ["itself", "a laptop"])
def test_no_job_is_lost_with_a_stop_that_github_hides(who: str, github: GitHub, at_github: Laptops) -> None:
    """It was begun, and answered with 502; the laptop that comes then has a connection still."""
    github.knobs.minute = 2.0
    github.knobs.stopping = 15.0
    stopping, other, space = at_github(), at_github(), github.create()
    github.knobs.conceal(f"POST /user/codespaces/{space.name}/stop", 502)
    other.set(idle_stop="3s" if who == "itself" else "never")
    good(other.cs("run", "--name", "train", "--wait", "true"))
    if who == "a laptop":
        assert stopping.cs("stop", space.name).status == 1
    github.becomes(space, "ShuttingDown")
    submitted = other.cs("run", "--name", "precious", "echo kept")
    assert [good(submitted).startswith("precious.1 submitted"), "it is started" in submitted.err] == [True, True]
    assert starts(github, space) == 2
    other.cs("wait", "precious")
    assert job(other, "precious")["state"] == "COMPLETED"


def test_a_secret_may_stop_it(github: GitHub, at_github: Laptops) -> None:
    github.knobs.inside_may = frozenset()
    github.tokens.allow("ghp_mine", "codespace")
    github.secrets.put("user", "ORCH_GITHUB_TOKEN", "ghp_mine", github.repository(REPOSITORY)["id"])
    laptop, space = at_github(), github.create()
    laptop.set(idle_stop="2s")
    submitted = laptop.cs("run", "--name", "train", "echo $ORCH_GITHUB_TOKEN is mine")
    assert "may not" not in good(submitted) + submitted.err
    good(laptop.cs("wait", "train"))
    assert good(laptop.cs("logs", "train")) == "*** is mine\n"
    laptop.crash()
    github.becomes(space, "Shutdown")
    stops = [event for event in github.events.of("http", status=200) if event.what["path"].endswith("/stop")]
    assert [event.what["words"][0] for event in stops] == ["gh"]


def test_a_job_whose_codespace_stopped(github: GitHub, at_github: Laptops) -> None:
    github.knobs.minute = 60.0
    laptop, space = at_github(), github.create()
    for name, retries in (("lost", "0"), ("tried", "1")):
        script = f"echo >>/workspaces/{name}; test $(wc -l </workspaces/{name}) = 2 || exec sleep 1000"
        good(laptop.cs("run", "--name", name, "--retries", retries, script))
    for name in ("lost", "tried"):
        eventually(lambda name=name: (space.workspaces / name).exists(), f"{name} runs")
    github.fleet.stop(space, "idle")
    github.becomes(space, "Shutdown")
    good(laptop.cs("start"))
    lost = eventually(lambda: (found := job(laptop, "lost"))["state"] == "NODE_FAIL" and found, "it is lost")
    assert "the codespace stopped" in lost["reason"]
    assert laptop.cs("wait", "tried").status == 0
    assert job(laptop, "tried")["attempt"] == 2


def test_what_waits_goes_on_without_a_laptop(github: GitHub, at_github: Laptops) -> None:
    """As the devcontainer.json of ``cs init`` has it; and it stops itself again."""
    github.knobs.post_start = "if [ -x /workspaces/.orch/wake ]; then /workspaces/.orch/wake; fi"
    laptop, space = at_github(), github.create(idle_timeout_minutes=240)
    laptop.set(idle_stop="5s")
    script = "echo >>/workspaces/tries; test $(wc -l </workspaces/tries) = 2 || exec sleep 1000"
    good(laptop.cs("run", "--name", "train", "--retries", "1", script))
    eventually(lambda: (space.workspaces / "tries").exists(), "it runs")
    laptop.crash()
    github.fleet.stop(space, "idle")
    github.becomes(space, "Shutdown")
    github.fleet.start(space)
    github.becomes(space, "Available")
    github.becomes(space, "Shutdown")
    assert space.read("tries") == "\n\n"
    assert github.events.stops(space.name) == ["idle", "from inside"]


def test_who_may_not_stop_itself_is_stopped_by_looking(github: GitHub, at_github: Laptops) -> None:
    github.knobs.minute = 60.0
    github.knobs.inside_may = frozenset({"connect"})
    laptop, space = at_github(), github.create()
    laptop.set(idle_stop="2s")
    good(laptop.cs("run", "--name", "train", "--wait", "true"))

    def looked() -> bool:
        done = laptop.cs("status")
        assert "may not stop itself" in good(done) + done.err
        return bool(github.events.stops(space.name))

    eventually(looked, "it is stopped", 60)
    assert github.events.stops(space.name) == ["api"]


def test_a_busy_one_is_stopped_by_force(github: GitHub, at_github: Laptops) -> None:
    laptop, space = at_github(), github.create()
    good(laptop.cs("run", "--name", "train", "sleep 1000"))
    refused = laptop.cs("stop")
    assert [refused.status, "train" in refused.err, space.state] == [1, True, "Available"]
    good(laptop.cs("stop", "--force"))
    assert space.state == "Shutdown"
    good(laptop.cs("delete", "--yes"))
    assert list(github.fleet) == []


def test_who_watches_does_not_start_what_was_stopped(github: GitHub, at_github: Laptops) -> None:
    """A follower comes back as soon as its connection ends; gh would start the codespace for it."""
    github.knobs.minute = 60.0
    laptop, space = at_github(), github.create()
    good(laptop.cs("run", "--name", "train", "echo begins; sleep 1000"))
    with laptop.cs.popen("logs", "-f", "train") as log, laptop.cs.popen("wait", "train") as wait:
        assert log.stdout and log.stdout.readline() == b"begins\n"
        eventually(lambda: len(github.relay.connections(space.name)) > 0, "they are connected")
        good(laptop.cs("status"))  # that it runs is no old news
        good(laptop.cs("stop", "--force"))
        assert wait.wait(60) == 255 and log.wait(60) == 1
        assert log.stderr is not None
        said = log.stderr.read().decode()
    assert " is stop" in said and "  cs start" in said, said
    assert [space.state, starts(github, space)] == ["Shutdown", 1]


def test_what_was_kept_outlives_a_codespace(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.create()
    good(laptop.cs("run", "--name", "train", "--wait", "echo kept"))
    good(laptop.cs("delete", "--yes"))
    assert good(laptop.cs("logs", "train")) == "kept\n"


def test_an_image_without_sshd(github: GitHub, at_github: Laptops) -> None:
    github.knobs.image = frozenset({"gh"})
    github.create()
    refused = at_github().cs("run", "--name", "train", "true")
    assert [refused.status, "no SSH server" in refused.err, "cs init" in refused.err] == [1, True, True]


def test_what_gh_lacks(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    for token, status, hint in ((None, 4, "gh auth login"), ("gho_unknown", 4, "gh auth login -s codespace")):
        laptop.log_in(token)
        refused = laptop.cs("status")
        assert [refused.status, hint in refused.err] == [status, True], refused.err
    github.tokens.allow("gho_poor", "repo")
    laptop.log_in("gho_poor")
    refused = laptop.cs("status")
    assert [refused.status, "gh auth refresh -h github.com -s codespace" in refused.err] == [4, True], refused.err
    laptop.use(None)
    refused = laptop.cs("status")
    assert [refused.status, "2.43.0" in refused.err] == [1, True], refused.err


def test_a_gh_that_is_too_old(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.create()
    laptop.use(None)
    (laptop.bin / "gh").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || exec {newest()} "$@"\necho "gh version 2.23.0 (2023-02-08)"\n'
    )
    (laptop.bin / "gh").chmod(0o755)
    refused = laptop.cs("run", "--name", "train", "true")
    assert [refused.status, "2.23.0" in refused.err, "2.43.0" in refused.err] == [1, True, True], refused.err


def test_trouble_at_github(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.create()
    github.knobs.fail("GET /user/codespaces", 429)
    github.knobs.fail("GET /user/codespaces", 503)
    assert "Available" in good(laptop.cs("status"))
    github.knobs.fail("GET /user/codespaces", 500, times=100)
    kept = laptop.cs("status")
    assert kept.status == 0 and "Available" in kept.out and "GitHub cannot be asked" in kept.err


def test_a_machine_that_is_too_small(github: GitHub, at_github: Laptops) -> None:
    laptop, space = at_github(), github.create(machine="standardLinux32gb")
    refused = laptop.cs("run", "--name", "train", "--mem", "20G", "true")
    assert [refused.status, "--yes" in refused.err, space.machine_name] == [1, True, "standardLinux32gb"]
    good(laptop.cs("run", "--name", "train", "--machine", "heavy", "--yes", "sleep 1000"))
    assert [space.machine_name, starts(github, space)] == ["premiumLinux", 2]
    refused = laptop.cs("run", "--name", "more", "--machine", "xheavy", "--yes", "true")
    assert [refused.status, space.machine_name] == [1, "premiumLinux"], refused.err
    github.offer(REPOSITORY, "basicLinux32gb", "standardLinux32gb", "premiumLinux")
    refused = laptop.cs("run", "--name", "more", "--machine", "xheavy", "true")
    assert [refused.status, "premiumLinux" in refused.err or "8-core" in refused.err] == [1, True], refused.err


def test_a_creation_that_fails(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.knobs.creation_fails = True
    refused = laptop.cs("create", "-R", REPOSITORY, "--yes")
    assert [refused.status, "Failed" in refused.err] == [1, True], refused.err


def test_a_terminal_where_tmux_is_missing(github: GitHub, at_github: Laptops, terminal: Any) -> None:
    laptop, space = at_github(), github.create()
    good(laptop.cs("run", "--name", "train", "read line; echo got $line; sleep 1000"))
    terminal.start([str(word) for word in laptop.cs.argv("attach", "train")], laptop.env)
    terminal.shows("train")
    terminal.types("a word\r")
    terminal.shows("got a word")
    assert space.run("command -v tmux").stdout == "/usr/bin/tmux\n"


def test_ctrl_c_stops_the_following_only(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.create()
    good(laptop.cs("run", "--name", "train", "echo begins; sleep 1000"))
    with laptop.cs.popen("logs", "-f", "train") as following:
        assert following.stdout
        assert following.stdout.readline() == b"begins\n"
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
    assert job(laptop, "train")["state"] == "RUNNING"


def test_files_there_and_a_port_here(github: GitHub, at_github: Laptops) -> None:
    laptop = at_github()
    github.create()
    (laptop.home / "data").mkdir()
    (laptop.home / "data/x").write_text("x")
    done = laptop.cs("push", "data", f"{FOLDER}:/workspaces/{FOLDER}", cwd=laptop.home)
    assert good(done).startswith("1 file, 1B, in ")
    assert good(laptop.cs("ssh", "--", f"cat /workspaces/{FOLDER}/data/x")) == "x"
    assert laptop.cs("push", "data", "nope:", cwd=laptop.home).status == 2
    serving = "python3 -S -u -m http.server --bind 127.0.0.1 0"
    good(laptop.cs("run", "--name", "web", f"cd /workspaces/{FOLDER}/data && {serving}"))
    ports = eventually(lambda: json.loads(good(laptop.cs("ports", "web", "--json")))["ports"], "it listens")
    with laptop.cs.popen("ports", "web", f":{ports[0]['port']}") as forwarding:
        assert forwarding.stdout
        here = forwarding.stdout.readline().decode().split()[0]
        with urllib.request.urlopen(f"http://{here}/x", timeout=30) as answer:
            assert answer.read() == b"x"
