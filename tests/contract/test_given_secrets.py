"""Secrets that a submission names: they wait in memory, jobs get them, and nothing else ever holds them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent, Refused, eventually

VALUE = "canary-4b1d/Zq+7?&é"
OTHER = "canary-9e77"


def place(agent: Agent) -> Path:
    """Where its secrets wait."""
    found = os.stat(agent.root)
    return Path(f"/dev/shm/orch-{os.getuid()}-{found.st_dev:x}-{found.st_ino:x}")


def waiting(agent: Agent) -> list[str]:
    """The submissions whose secrets wait."""
    return sorted(path.name for path in place(agent).glob("*"))


@pytest.fixture
def agent(agent: Agent) -> Iterator[Agent]:
    yield agent
    agent.close()
    for path in place(agent).glob("*"):
        path.unlink()
    if place(agent).exists():
        place(agent).rmdir()


def submit(agent: Agent, name: str, command: str, key: str | None = None, **spec: object) -> dict[str, object]:
    values = spec.pop("values", {"A": VALUE})
    fields = {"name": name, "command": command, "secrets": {"A": "A"}, **spec}
    return agent.call("submit", id=key or f"id-{name}", spec=fields, secrets=values)


@pytest.mark.parametrize("tty", [True, False])
def test_a_job_has_them_and_its_log_has_stars(agent: Agent, tty: bool) -> None:
    command = 'echo "a=$A b=$B"; printf %s "$A" > seen; printf %s "$A" | base64; until [ -e go ]; do sleep 0.1; done'
    submit(agent, "job", command, secrets={"A": "A", "B": "KEPT"}, values={"A": VALUE, "KEPT": OTHER}, tty=tty)
    eventually(lambda: agent.log("job").count(b"\n") == 2, "it has written")
    assert agent.log("job").replace(b"\r", b"") == b"a=*** b=***\n***\n"
    assert (agent.home / "seen").read_text() == VALUE
    [file] = place(agent).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and place(agent).stat().st_mode & 0o777 == 0o700
    (agent.home / "go").touch()
    assert agent.wait("job")["state"] == "COMPLETED"
    assert waiting(agent) == []


def test_a_retry_gets_them_and_only_the_last_end_removes_them(agent: Agent) -> None:
    submit(agent, "job", 'echo "$A" >> seen; [ $ORCH_JOB_ATTEMPT = 3 ]', retries=2, retry_delay=0)
    assert agent.wait("job")["attempt"] == 3
    assert (agent.home / "seen").read_text() == f"{VALUE}\n" * 3
    assert not place(agent).exists()


def test_the_tasks_of_an_array_share_them_until_the_last_has_ended(agent: Agent) -> None:
    submit(agent, "job", 'echo "$A" > seen.$ORCH_ARRAY_TASK; [ $ORCH_ARRAY_TASK = 0 ] || sleep 300', array="0-1")
    eventually((agent.home / "seen.1").exists, "both have begun")
    agent.wait("job.1")
    assert waiting(agent) == ["id-job"]
    agent.call("cancel", jobs=["job"], grace=0)
    assert waiting(agent) == []
    assert {(agent.home / f"seen.{task}").read_text() for task in (0, 1)} == {f"{VALUE}\n"}


def test_a_pending_job_that_is_cancelled_leaves_none(agent: Agent) -> None:
    agent.submit("first", "sleep 300")
    submit(agent, "job", "true", after=["first"])
    assert waiting(agent) == ["id-job"]
    agent.call("cancel", jobs=["job"], grace=0)
    assert waiting(agent) == []


def test_one_that_is_lost_is_waited_for_and_brought_again(agent: Agent) -> None:
    """As a restart does it: the memory is empty, or a file of another boot is found in it."""
    agent.submit("first", "until [ -e go ]; do sleep 0.05; done")
    submit(agent, "job", 'printf %s "$A" > seen', after=["first"])
    file = place(agent) / "id-job"
    file.write_text(json.dumps({**json.loads(file.read_text()), "boot": "another"}))
    (agent.home / "go").touch()
    said = "waits for the secret A, which a restart of the host took away: orch secret send job.1"
    eventually(lambda: agent.show("job")["job"]["reason"] == said, "it says what it waits for")
    assert agent.show("job")["job"]["state"] == "PENDING" and waiting(agent) == []
    with pytest.raises(Refused, match="no value came along for the secret A"):
        agent.call("secrets", job="job", secrets={"B": "no"})
    agent.call("secrets", job="job", secrets={"A": OTHER, "MORE": "never asked for"})
    assert agent.wait("job")["state"] == "COMPLETED"
    assert (agent.home / "seen").read_text() == OTHER and waiting(agent) == []
    with pytest.raises(Refused, match=r"job.1 has ended") as refused:
        agent.call("secrets", job="job", secrets={"A": VALUE})
    assert refused.value.hint == "orch rerun job"


def test_others_pass_one_that_waits_for_its_secret(agent: Agent) -> None:
    submit(agent, "job", "true", "job", array="0-9", after=[agent.submit("first", "sleep 0.2")["name"]])
    (place(agent) / "job").unlink()
    agent.wait("first")
    eventually(lambda: "waits for the secret" in (agent.show("job.3")["job"]["reason"] or ""), "the array waits")
    assert agent.finished("other", "true")["state"] == "COMPLETED"
    assert (
        submit(agent, "job", "true", "job", array="0-9", after=["first"], values={"A": "changed"})["created"] is False
    )
    assert agent.wait("job")["state"] == "COMPLETED"


def test_the_same_submission_again_is_the_same_job_whatever_its_values(agent: Agent) -> None:
    first = submit(agent, "job", 'printf %s "$A" > seen; sleep 300')
    eventually((agent.home / "seen").exists, "it runs")
    again = submit(agent, "job", 'printf %s "$A" > seen; sleep 300', values={"A": OTHER})
    assert (again["created"], first["created"]) == (False, True)
    assert json.loads((place(agent) / "id-job").read_text())["secrets"] == {"A": VALUE}
    agent.call("cancel", jobs=["job"], grace=0)
    submit(agent, "job", 'printf %s "$A" > seen; sleep 300')
    assert waiting(agent) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"command": f"curl -H '{VALUE}' x"}, "the command holds the value of the secret A"),
        ({"command": "true", "env": {"B": f"x{VALUE}"}}, "--env sets a variable to the value of the secret A"),
        ({"command": "true", "cwd": f"/tmp/{VALUE}"}, "working directory holds the value of the secret A"),
        ({"command": "true", "secrets": {"ORCH_JOB_ID": "A"}}, "ORCH_JOB_ID is set by orch itself"),
        ({"command": "true", "secrets": {"A": "A", "B": "C"}}, "no value came along for the secret C"),
    ],
)
def test_what_would_show_one_or_never_start_is_refused_and_leaves_nothing(
    agent: Agent, spec: dict[str, object], words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        agent.call("submit", id="1", spec={"name": "job", "secrets": {"A": "A"}, **spec}, secrets={"A": VALUE})
    assert VALUE not in str(refused.value) + refused.value.hint
    assert waiting(agent) == []
    written = [path for path in agent.root.rglob("*") if path.is_file() and agent.directory not in path.parents]
    assert not [path for path in written if VALUE.encode() in path.read_bytes()]


def test_too_much_for_a_program_is_refused(agent: Agent) -> None:
    values = {f"S{number}": "x" * 130_000 for number in range(20)}
    with pytest.raises(Refused, match="its secrets are 3M in all, and a program can be given 2M"):
        submit(agent, "job", "true", secrets={name: name for name in values}, values=values)
    with pytest.raises(Refused, match="longer than the 131000 bytes"):
        submit(agent, "job", "true", values={"A": "x" * 131_072})


def test_a_request_that_is_cut_off_is_not_repeated(agent: Agent) -> None:
    """What was read of it before the link broke may be part of a secret."""
    line = b'{"job":"j","secrets":{"A":"' + VALUE.encode()
    done = subprocess.run(agent.argv("secrets"), input=line, capture_output=True, env={**os.environ}, check=False)
    assert done.returncode == 1 and b"canary" not in done.stdout + done.stderr


def test_of_a_submission_that_was_cut_off_nothing_stays(agent: Agent) -> None:
    """Killed between the file and the row: whoever comes next tidies up."""
    agent.finished("before", "true")
    place(agent).mkdir(mode=0o700, exist_ok=True)
    for name in ("orphan", "half.123"):
        (place(agent) / name).write_text(json.dumps({"boot": "x", "secrets": {"A": VALUE}}))
    agent.finished("after", "true")
    eventually(lambda: waiting(agent) == [], "they are removed")


@pytest.mark.parametrize("place_", ["                    _write_down(", "    answer = {"], ids=["file", "row"])
def test_an_agent_that_dies_while_it_accepts_leaves_nothing_behind(agent: Agent, place_: str) -> None:
    program = agent.directory / "orch_agent/verbs/submit.py"
    sound = program.read_text()
    assert sound.count(place_) == 1
    blanks = " " * (len(place_) - len(place_.lstrip()))
    program.write_text(sound.replace(place_, f"{blanks}os.kill(os.getpid(), 9)\n{place_}"))
    request = {"id": "same", "spec": {"name": "job", "command": '[ -n "$A" ]', "secrets": {"A": "A"}}}
    assert agent.raw("submit", {**request, "secrets": {"A": VALUE}})[0] == -9
    assert waiting(agent) == ["same"]
    program.write_text(sound)
    agent.finished("other", "true")
    eventually(lambda: waiting(agent) == [], "no orphan stays")
    agent.call("submit", **request, secrets={"A": OTHER})
    assert agent.wait("job")["state"] == "COMPLETED"
    eventually(lambda: waiting(agent) == [], "nothing is left")


def test_a_directory_that_somebody_else_has_made_is_not_used(agent: Agent) -> None:
    if os.getuid():
        pytest.fail("this test has to give a directory away")
    agent.finished("before", "true")
    place(agent).mkdir(mode=0o777)
    os.chown(place(agent), 12345, 12345)
    try:
        with pytest.raises(Refused, match="belongs to somebody else"):
            submit(agent, "job", "true")
        assert waiting(agent) == []
    finally:
        place(agent).rmdir()
    assert submit(agent, "job", "true")["created"]


def test_the_log_hides_what_a_job_made_of_it(agent: Agent) -> None:
    program = (
        "import base64, json, os, re, urllib.parse as u; v = os.environ['A']; b = v.encode()\n"
        "low = re.sub('%..', lambda m: m[0].lower(), u.quote(v, ''))\n"
        "for one in (v, u.quote(v), u.quote(v, ''), u.quote_plus(v), low, json.dumps(v),\n"
        "    *(base64.b64encode(b'x' * n + b + t).decode() for n in range(4) for t in (b'', b'\\n', b'-'))): print(one)"
    )
    value = 'Canary/4b1d?Zq+7&é"x' * 5
    (agent.home / "show.py").write_text(program)
    submit(agent, "job", "python3 show.py", values={"A": value}, tty=False)
    assert agent.wait("job")["state"] == "COMPLETED"
    lines = agent.log("job").decode().splitlines()
    assert len(lines) == 18
    assert all("***" in line and len(line) < 16 for line in lines), lines
