"""What the agent does in a codespace: watches over it, says what cannot be promised, and why it stopped."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from orch_agent import locks, wire
from tests.support.agent import Refused, eventually
from tests.support.inside import GH, NAME, Codespace, run_script, stops
from tests.support.machine import Machine

SOON = {"idle_stop": 2, "idle_timeout_minutes": 30}
NEVER = {"idle_stop": 0, "idle_timeout_minutes": 30}


@pytest.fixture
def inside(machine: Machine) -> Callable[..., Codespace]:
    """Makes the machine a codespace."""
    return lambda **options: Codespace(machine, **options)


def facts(codespace: Codespace) -> dict[str, Any]:
    told: dict[str, Any] = codespace.call("status")["host"]["codespace"]
    return told


def test_it_is_stopped_after_its_last_job_and_not_before(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=6)
    codespace.submit_with("job", "until [ -e ~/go ]; do sleep 0.1; done", SOON)
    codespace.running("job")
    idle_from = time.monotonic()
    eventually(lambda: time.monotonic() - idle_from > 2 * SOON["idle_stop"], "longer than it may be idle")
    assert not codespace.calls("/stop")
    (codespace.home / "go").touch()
    ended = codespace.wait("job")
    assert ended["state"] == "COMPLETED"
    waited_from = time.monotonic()
    stops(codespace)
    assert codespace.calls("/stop")[0].startswith("builtin api ")
    with pytest.raises(Refused, match="is about to stop") as refused:
        codespace.submit("late", "true")
    assert refused.value.kind == "stopped"
    assert time.monotonic() - waited_from < 25


@pytest.mark.parametrize("what", ["pull", "logs"])
def test_a_command_is_use_for_as_long_as_it_sends(inside: Callable[..., Codespace], what: str) -> None:
    """To a laptop whose line is slow: its results come for longer than it may be idle."""
    codespace = inside(minute=6)
    codespace.submit_with("job", "head -c 12000000 /dev/zero | tr '\\0' . | fold | tee ~/results", {"idle_stop": 4})
    codespace.wait("job")
    base = str(codespace.place)
    asked = {"files": [[0, "results", 0, ""]], "bases": [base]} if what == "pull" else {"job": "job"}
    words = codespace.argv(what, wire.encode({"v": 1, **asked}).hex())
    size, began = 0, time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0) as sending:
        assert sending.stdout
        while piece := sending.stdout.read(65536):
            size += len(piece)
            time.sleep(0.06)  # the slow line
    assert size >= 12_000_000 and time.monotonic() - began > 8
    assert not codespace.calls("/stop")
    stops(codespace)


def test_a_command_is_use(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=6)
    codespace.submit_with("job", "true", {"idle_stop": 6})
    codespace.wait("job")
    ended = time.time()
    eventually(lambda: time.time() - ended > 3, "half of the time is over")
    used = time.time()
    codespace.show("job")
    assert stops(codespace) - used > 6


def test_a_stir_at_a_terminal_keeps_it(inside: Callable[..., Codespace]) -> None:
    """The kernel stamps a terminal every eight seconds at most; here that is done by hand."""
    codespace = inside(minute=6)
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do touch $(tty); sleep 0.5; done; touch ~/left; sleep 60"
    codespace.machine.run(f"TMUX_TMPDIR=/tmp tmux new-session -d '{script}'")
    codespace.submit_with("job", "true", {"idle_stop": 3})
    eventually((codespace.home / "left").exists, "the terminal falls silent")
    assert not codespace.calls("/stop")
    stops(codespace)


def test_somebody_at_a_terminal_is_told_and_not_closed_upon(inside: Callable[..., Codespace]) -> None:
    """To a laptop that would stop it, because it may not stop itself."""
    codespace = inside()
    codespace.submit_with("job", "true", NEVER)
    codespace.wait("job")
    idle = lambda: codespace.call("status")["host"]["idle_seconds"]  # noqa: E731
    eventually(lambda: (idle() or 0) > 4, "nobody is there")
    with pytest.raises(Refused, match="somebody is there") as refused:
        codespace.call("close", why="is about to stop", seconds=60, idle=600)
    assert refused.value.kind == "refused"
    script = "until [ -e ~/gone ]; do touch $(tty); sleep 0.2; done; sleep 60"
    codespace.machine.run(f"TMUX_TMPDIR=/tmp tmux new-session -d '{script}'")
    eventually(lambda: idle() < 2, "somebody is")
    with pytest.raises(Refused, match="somebody is there"):
        codespace.call("close", why="is about to stop", seconds=60, idle=3)
    (codespace.home / "gone").touch()
    eventually(lambda: idle() > 4, "somebody has gone")
    assert codespace.call("close", why="is about to stop", seconds=60, idle=3)["names"] == []


def test_one_that_was_just_started_is_not_idle(inside: Callable[..., Codespace]) -> None:
    """Whoever has started it, to edit something perhaps, has a while for that."""
    codespace = inside()
    codespace.submit_with("job", "true", NEVER)
    codespace.wait("job")
    for path in (codespace.root / "used", codespace.root / codespace.directory.name, codespace.directory):
        os.utime(path, (1, 1))
    with sqlite3.connect(codespace.root / "ledger.db") as ledger:
        ledger.execute("UPDATE jobs SET ended_at = 1")
    codespace.restart()
    assert 0 <= codespace.call("status")["host"]["idle_seconds"] < 600


def test_whoever_runs_a_command_through_ssh_keeps_it(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=6)
    with subprocess.Popen(codespace.machine.ssh("sleep 6; touch left; sleep 1")) as process:
        codespace.submit_with("job", "true", {"idle_stop": 3})
        eventually((codespace.home / "left").exists, "the command is almost done")
        assert not codespace.calls("/stop")
        process.wait()
    stops(codespace)


def test_a_token_that_may_not_stop_it_is_told_and_the_other_one_tried(inside: Callable[..., Codespace]) -> None:
    codespace = inside()
    codespace.give(GITHUB_TOKEN="builtin", GITHUB_REPOSITORY="octo/web")
    codespace.says("builtin.start", 403)
    answer = codespace.submit_with("job", "true", SOON)
    (remark,) = answer["remarks"]
    assert "may not stop itself" in remark and "HTTP 403" in remark and "ORCH_GITHUB_TOKEN: there is none" in remark
    assert "GitHub stops it 30 minutes after the last job or use" in remark
    assert remark.endswith("; with a token of yours it may: cs secret set ORCH_GITHUB_TOKEN --user --repos octo/web")
    assert codespace.call("submit", id="job", spec={"name": "job", "command": "true"})["remarks"] == [remark]
    assert codespace.show("job")["remarks"] == [remark]
    told = facts(codespace)
    assert (told["can_stop"], "HTTP 403" in told["why_not"]) == (False, True)


def test_the_persons_own_token_stops_it_where_the_codespaces_may_not(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=6)
    codespace.give(GITHUB_TOKEN="builtin", ORCH_GITHUB_TOKEN="mine")
    for what in ("builtin.start", "builtin.stop"):
        codespace.says(what, 403)
    assert "remarks" not in codespace.submit_with("job", "true", SOON)
    assert facts(codespace)["can_stop"] is True
    eventually(lambda: "mine" in {line.split()[0] for line in codespace.calls("/stop")}, "it stops itself")


def test_a_stop_that_is_refused_opens_it_again_and_is_told(inside: Callable[..., Codespace]) -> None:
    """The probe was wrong: the right was taken back since."""
    codespace = inside(minute=6)
    codespace.says("stop", 403)
    codespace.submit_with("job", "true", SOON)
    stops(codespace)
    eventually(lambda: facts(codespace)["can_stop"] is False, "it says so")
    assert codespace.submit_with("next", "true", SOON)["created"]


def test_a_token_that_was_renewed_meanwhile_denies_nothing(inside: Callable[..., Codespace]) -> None:
    """GitHub says 401 to the one before: nothing was done, and the next is asked soon."""
    codespace = inside(minute=1)
    codespace.says("stop", 401)
    codespace.submit_with("job", "true", {"idle_stop": 2})
    asked = stops(codespace)
    eventually(lambda: (codespace.root / "closed").read_text().strip() == "{}", "it is opened again")
    assert facts(codespace)["can_stop"] is None
    codespace.says("stop", 200)
    eventually(lambda: len(codespace.calls("/stop")) > 1, "it is tried again")
    assert time.time() - asked < 30, "and not after an hour"


@pytest.mark.parametrize("broken", ["half of a program", None])
def test_a_gh_that_cannot_be_run(inside: Callable[..., Codespace], broken: str | None) -> None:
    """The job is in all the same, and the laptop is told so."""
    codespace = inside(minute=0.4)
    (codespace.home / "bin/gh").write_bytes(b"\x7fELF" if broken else b"#!/no/such/interpreter")
    remarks = codespace.submit_with("job", "sleep 1", {"idle_stop": 2, "idle_timeout_minutes": 1})["remarks"]
    assert "gh cannot be run: " in remarks[0]
    assert codespace.wait("job")["state"] == "COMPLETED"
    assert facts(codespace)["can_stop"] is None
    (codespace.home / "bin/gh").write_text(GH)
    stops(codespace, 60)


@pytest.mark.parametrize("said", [500, 502, 429, 200])
def test_a_stop_that_may_have_begun_leaves_it_closed(inside: Callable[..., Codespace], said: int) -> None:
    """For longer than a stop may take: GitHub has said nothing, or that something is wrong with itself."""
    codespace = inside(minute=6)
    codespace.says("stop", said)
    codespace.submit_with("job", "true", SOON)
    asked = stops(codespace)
    eventually(lambda: facts(codespace)["can_stop"] is (True if said == 200 else None), "it knows what was said")
    with pytest.raises(Refused, match="is about to stop"):
        codespace.submit("late", "true")
    assert json.loads((codespace.root / "closed").read_text())["until"] > asked + 9.5 * 6


def test_a_host_that_somebody_else_is_about_to_stop_is_left_to_him(inside: Callable[..., Codespace]) -> None:
    """Opened by us it would take jobs that are lost with it."""
    codespace = inside(minute=1)
    codespace.says("stop", 403)
    codespace.submit_with("job", "true", {"idle_stop": 3})
    codespace.wait("job")
    assert codespace.call("close", why="is about to change", seconds=8)["names"] == []
    closed = time.time()
    assert stops(codespace) - closed > 7
    eventually(lambda: (codespace.root / "closed").read_text().strip() == "{}", "it is opened again")


@pytest.mark.parametrize("who", ["itself", "a laptop"])
def test_a_full_disk_keeps_it_from_no_stop(inside: Callable[..., Codespace], who: str) -> None:
    """What is left after a job that fills it with its results."""
    codespace = inside(minute=1)
    orch = codespace.place / ".orch"
    as_root = f"cp -a {orch} /tmp/kept; mount -t tmpfs -o size=12m,mode=700 none {orch}; cp -a /tmp/kept/. {orch}"
    assert codespace.machine.run(as_root, user="root").returncode == 0
    script = f"until [ -e ~/go ]; do sleep 0.1; done; cat /dev/zero >{orch}/results"
    codespace.submit_with("job", script, {"idle_stop": 3 if who == "itself" else 0})
    said = lambda path: codespace.machine.run(f"cat {orch}/{path}", check=False).stdout  # noqa: E731
    eventually(lambda: said("room") and said("closed") and said("rights.json"), "it is watched")
    (codespace.home / "go").touch()
    assert codespace.wait("job")["state"] == "FAILED"
    if who == "itself":
        stops(codespace)
    else:
        eventually(lambda: not codespace.call("close", why="is about to stop", seconds=60)["names"], "it can be closed")
    assert "is about to stop" in said("closed")


def test_what_was_denied_is_asked_again_after_an_hour(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.05)
    codespace.says("start", 403)
    codespace.submit_with("job", "true", {"idle_stop": 1})
    eventually(lambda: facts(codespace)["can_stop"] is False, "it is denied")
    codespace.says("start", 200)
    stops(codespace)


def test_without_gh_it_can_neither_stop_nor_stay(inside: Callable[..., Codespace]) -> None:
    codespace = inside(gh=False, PATH="/usr/local/bin:/usr/bin:/bin")
    first, second = codespace.submit_with("job", "true", SOON)["remarks"]
    assert "there is no gh in it" in first and "may keep this codespace awake" in second
    assert "remarks" in codespace.submit_with("short", "true", SOON, timeout=60)
    assert len(codespace.show("short")["remarks"]) == 1, "GitHub's timer is longer than that"


# Kept awake


def test_a_job_longer_than_the_timer_is_kept_awake_until_it_ends(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.4)
    codespace.submit_with("job", "until [ -e ~/go ]; do sleep 0.1; done", {"idle_stop": 0, "idle_timeout_minutes": 15})
    eventually(lambda: len(codespace.calls("held")) >= 3, "it is held, and held anew")
    assert len(codespace.calls("held")) - len(codespace.calls("ended")) in (1, 2)
    assert all(f"-c {NAME} -- exec sh" in line for line in codespace.calls("codespace ssh"))
    (codespace.home / "go").touch()
    codespace.wait("job")
    eventually(lambda: len(codespace.calls("held")) == len(codespace.calls("ended")), "nobody is held any more")


def test_what_is_held_ends_with_who_holds_it(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.4)
    codespace.submit_with("job", "sleep 300", {"idle_stop": 0, "idle_timeout_minutes": 10})
    eventually(lambda: codespace.calls("held"), "it is held")
    first = eventually(codespace.is_watched, "it is watched")
    codespace.machine.kill(first)
    eventually(lambda: (now := codespace.is_watched()) and now != first, "the supervisor has started another")
    eventually(lambda: codespace.calls("ended"), "what the first one held has ended")


def test_where_it_cannot_be_reached_from_inside_it_is_tried_again(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.4)
    (codespace.home / "unreachable").touch()
    codespace.give(GITHUB_TOKEN="builtin", ORCH_GITHUB_TOKEN="mine")
    codespace.submit_with("job", "sleep 300", {"idle_stop": 0, "idle_timeout_minutes": 10})
    tried = lambda: {line.split()[0] for line in codespace.calls("codespace ssh")}  # noqa: E731
    eventually(lambda: tried() == {"builtin", "mine"}, "each token is tried")
    eventually(lambda: "HTTP 403" in (facts(codespace)["why_not_stay"] or ""), "it says so")
    (codespace.home / "unreachable").unlink()
    eventually(lambda: codespace.calls("held"), "it is held")
    eventually(lambda: facts(codespace)["can_stay"], "it says so")


def test_one_that_never_gets_there_is_given_up(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.4)
    (codespace.home / "hangs").touch()
    codespace.submit_with("job", "sleep 300", {"idle_stop": 0, "idle_timeout_minutes": 10})
    eventually(lambda: codespace.calls("codespace ssh"), "it is tried")
    (codespace.home / "hangs").unlink()
    eventually(lambda: codespace.calls("held"), "it is tried again")
    hung = lambda: [words for _, words in codespace.machine.processes() if words[-1:] == ["1000"]]  # noqa: E731
    eventually(lambda: not hung(), "the first one has gone")


def test_a_job_within_the_timer_needs_nothing(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.4)
    codespace.submit_with("job", "sleep 2", {"idle_stop": 0, "idle_timeout_minutes": 30})
    codespace.wait("job")
    assert not codespace.calls("codespace ssh")


# Limits


def test_a_time_limit_beyond_githubs_is_refused(inside: Callable[..., Codespace]) -> None:
    codespace = inside()
    with pytest.raises(Refused, match="stops a codespace after 12 hours, and --timeout 13h is longer") as refused:
        codespace.submit("job", "true", timeout=13 * 3600)
    assert refused.value.hint == "orch run job --timeout 12h …"
    codespace.submit("job", "true", timeout=12 * 3600)


def test_a_job_that_may_be_cut_off_at_12_hours_is_told(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=0.01)  # 12 hours are 7 s
    codespace.submit_with("job", "sleep 4", NEVER)
    codespace.wait("job")
    eventually(lambda: time.time() - (codespace.home / "bin").stat().st_mtime > 4, "it has run for a while")
    remarks = codespace.submit_with("again", "sleep 4", NEVER).get("remarks", [])
    assert not [one for one in remarks if "12 hours" in one], "nothing is known of this name"
    answer = codespace.call("submit", id="two", spec={"name": "job", "command": "sleep 4"})
    assert [one for one in answer["remarks"] if "GitHub stops it after 12 hours" in one]


# Stopped under a job


def test_a_job_that_it_stopped_under_says_so_and_runs_again_at_the_next_start(
    inside: Callable[..., Codespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a container: the kernel below it may be the same as before."""
    codespace = inside()
    kernel = codespace.machine.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()
    monkeypatch.setattr("tests.support.machine.uuid.uuid4", lambda: kernel)
    codespace.submit_with("once", "sleep 300", NEVER)
    codespace.submit("twice", "[ $ORCH_JOB_ATTEMPT = 2 ] || sleep 300", retries=1, retry_delay=0)
    codespace.running("once")
    codespace.running("twice")
    eventually((codespace.root / "awake.json").exists, "it is written down that it is awake")
    codespace.restart()
    # GitHub starts nothing but this.
    assert (
        run_script(codespace, str(codespace.place / ".orch/wake"), CODESPACE_NAME=NAME, **kept(codespace)).returncode
        == 0
    )
    eventually(lambda: facts(codespace), "it answers")
    assert codespace.wait("twice")["state"] == "COMPLETED"
    once = codespace.wait("once")
    assert once["state"] == "NODE_FAIL"
    assert once["reason"] == "the codespace stopped: somebody stopped it, or GitHub did"
    assert eventually(codespace.is_watched, "it is watched over again")


def kept(codespace: Codespace) -> dict[str, str]:
    return {key: codespace.env[key] for key in ("PATH", "ORCH_MINUTE", "ORCH_SECRETS_FILE")}


@pytest.mark.parametrize(
    ("minutes", "timer", "why"),
    [
        (700, 30, "GitHub's idle timer of 30 minutes, as far as can be told"),
        (719.5, 800, "it had run for 12 hours, and GitHub allows no more"),
        (100, 240, "somebody stopped it, or GitHub did"),
    ],
)
def test_why_it_stopped(inside: Callable[..., Codespace], minutes: float, timer: float, why: str) -> None:
    codespace = inside()
    codespace.submit_with("job", "sleep 300", NEVER)
    codespace.running("job")
    path = codespace.root / "awake.json"
    told = eventually(lambda: json.loads(path.read_text()) if path.exists() else None, "it is written down")
    (span,) = told["spans"]
    span.update(start=span["end"] - minutes * 60, present=span["end"] - minutes * 60, timer=timer)
    codespace.machine.power_off()
    path.write_text(json.dumps(told))
    codespace.machine.boot()
    assert codespace.wait("job")["reason"] == f"the codespace stopped: {why}"


def test_whoever_stopped_it_by_force_is_not_githubs_timer(inside: Callable[..., Codespace]) -> None:
    codespace = inside()
    codespace.submit_with("job", "sleep 300", NEVER)
    codespace.running("job")
    path = codespace.root / "awake.json"
    told = eventually(lambda: json.loads(path.read_text()) if path.exists() else None, "it is written down")
    assert codespace.call("close", why="is about to stop", seconds=600, even_so=True)["names"] == ["job"]
    told["spans"][0]["present"] -= 40 * 60
    codespace.machine.power_off()
    path.write_text(json.dumps(told))
    codespace.machine.boot()
    assert codespace.wait("job")["reason"] == "the codespace stopped: somebody stopped it with orch"


def test_it_is_told_when_it_was_awake(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=1)
    codespace.submit_with("job", "true", NEVER)
    started = facts(codespace)["started_at"]
    ((start, end),) = eventually(lambda: codespace.call("awake")["spans"], "it is written down")
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start)) == started[:19]
    eventually(lambda: codespace.call("awake")["spans"][0][1] > end, "it is brought up to date")
    codespace.restart()
    facts(codespace)
    spans = eventually(lambda: (now := codespace.call("awake")["spans"])[1:] and now, "another span")
    assert spans[0][1] <= spans[1][0]


# Who watches


def test_one_watches_and_a_newer_agents_takes_over(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=1)
    codespace.submit_with("job", "sleep 300", NEVER)
    pid = eventually(codespace.is_watched, "it is watched")
    lock = codespace.root / "awake.lock"
    eventually(lambda: lock.exists() and locks.is_held(str(lock)), "it holds the lock")
    inode = lock.stat().st_ino
    shutil.copytree(codespace.directory, codespace.root / "agent-newer")
    (codespace.root / "agent-newer/orch_agent/__init__.py").write_text('"""Newer."""\n\nRELEASE = (9, 0, 0)\n')
    codespace.directory = codespace.root / "agent-newer"
    codespace.call("status")
    signed = lambda: json.loads(lock.read_text().partition("\n")[2])["release"]  # noqa: E731
    eventually(lambda: signed() == [9, 0, 0], "the newer one has signed")
    assert (eventually(codespace.is_watched, "it goes on"), lock.stat().st_ino) == (pid, inode)
    assert locks.is_held(str(lock))


def test_one_that_is_killed_while_nothing_goes_on_is_followed_by_another(inside: Callable[..., Codespace]) -> None:
    codespace = inside(minute=6)
    codespace.submit_with("job", "true", {"idle_stop": 4})
    codespace.wait("job")
    waits = lambda: [pid for pid, words in codespace.machine.processes() if words[:2] == ["sh", "-c"]]  # noqa: E731
    for _ in range(2):
        first = eventually(codespace.is_watched, "it is watched")
        eventually(waits, "somebody waits for its end")
        codespace.machine.kill(first)
        eventually(lambda first=first: codespace.is_watched() not in (None, first), "another watches")
    stops(codespace)
    assert len(waits()) == 1


def test_elsewhere_nobody_watches(inside: Callable[..., Codespace]) -> None:
    codespace = inside(ORCH_CODESPACE="")
    assert "codespace" not in codespace.call("status")["host"]
    assert "remarks" not in codespace.submit_with("job", "true", SOON, timeout=13 * 3600)
    codespace.wait("job")
    assert codespace.is_watched() is None and not (codespace.root / "awake.lock").exists()


def test_to_ask_costs_one_probe_of_a_lock(inside: Callable[..., Codespace]) -> None:
    codespace = inside()
    codespace.submit_with("job", "true", NEVER)
    eventually(codespace.is_watched, "it is watched")
    eventually(lambda: facts(codespace)["can_stop"], "its rights are known")
    before = codespace.calls()
    facts(codespace)
    codespace.submit("next", "true")
    assert codespace.calls() == before
    assert os.stat(codespace.root / "awake.lock").st_uid != 0
