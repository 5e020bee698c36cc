"""What scripts are promised: documents on standard output, errors on standard error, and nothing else anywhere."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from tests.support.agent import Agent
from tests.support.cli import Orch
from tests.support.documents import AUTOPSY, check, check_host, check_job


def test_run(orch: Orch) -> None:
    before = time.time()
    done = orch("run", "train", "exit 3", "--json")
    assert (done.status, done.err) == (0, "")
    assert list(done.json) == ["job", "created", "tasks"]
    job = done.json["job"]
    check_job(job)
    assert (job["name"], job["run"], job["host"], job["command"]) == ("train", 1, "local", "exit 3")
    assert (job["cwd"], done.json["created"]) == (str(orch.home), True)
    assert before - 1 <= datetime.fromisoformat(job["submitted_at"]).timestamp() <= time.time()


def test_an_array(orch: Orch) -> None:
    done = orch("run", "many", "exit $ORCH_ARRAY_TASK", "--array", "0-2", "--json")
    assert (done.status, list(done.json)) == (0, ["job", "created", "tasks"])
    assert (done.json["tasks"], done.json["job"]["run"], done.json["job"]["array_task"]) == (3, 1, 0)
    done = orch("run", "again", "exit $ORCH_ARRAY_TASK", "--array", "0-2", "--json", "--wait")
    assert (done.status, list(done.json)) == (1, ["jobs"])
    for job in done.json["jobs"]:
        check_job(job)
    assert [(job["run"], job["array_task"], job["exit_code"]) for job in done.json["jobs"]] == [
        (1, 0, 0),
        (2, 1, 1),
        (3, 2, 2),
    ]
    assert len({job["array_id"] for job in done.json["jobs"]}) == 1


def test_run_and_wait(orch: Orch) -> None:
    done = orch("run", "train", "exit 3", "--json", "--wait")
    assert (done.status, done.err, list(done.json)) == (3, "", ["job"])
    check_job(done.json["job"])
    assert (done.json["job"]["state"], done.json["job"]["exit_code"]) == ("FAILED", 3)


def test_status(orch: Orch, agent: Agent) -> None:
    orch("run", "ended", "true", "--wait")
    orch("run", "lives", "sleep 300")
    agent.running("lives")
    done = orch("status", "--json")
    assert (done.status, done.err, list(done.json)) == (0, "", ["jobs", "hosts"])
    for job in done.json["jobs"]:
        check_job(job)
    assert [(job["name"], job["state"]) for job in done.json["jobs"]] == [("ended", "COMPLETED"), ("lives", "RUNNING")]
    (host,) = done.json["hosts"]
    check_host(host)
    assert (host["name"], host["provider"], host["launcher"], host["error"]) == ("local", "local", "tmux", None)
    assert host["mem_total_bytes"] > host["mem_available_bytes"] > 0
    assert abs(datetime.now(UTC) - datetime.fromisoformat(host["as_of"])).total_seconds() < 60


def test_an_empty_status(orch: Orch) -> None:
    done = orch("status", "--json")
    assert (done.status, done.json["jobs"], len(done.json["hosts"])) == (0, [], 1)


def test_show(orch: Orch) -> None:
    orch("run", "fails", "echo something; no-such-program", "--env", "TOKEN=hunter2", "--wait")
    done = orch("show", "fails", "--json")
    assert (done.status, done.err) == (0, "")
    known = ["job", "why", "autopsy", "attempts", "usage_curve", "log_tail", "log_size_bytes", "log_lost_bytes"]
    assert list(done.json) == [*known, "next", "tty", "keep_children", "env", "secrets"]
    check_job(done.json["job"])
    check(done.json["autopsy"], AUTOPSY)
    assert done.json["autopsy"]["ended_by"] == "itself"
    assert "no-such-program: command not found" in done.json["autopsy"]["first_error"]
    assert done.json["next"] == 'bash -lc "type -a no-such-program"'
    assert "127" in done.json["why"]
    assert "something" in done.json["log_tail"]
    assert done.json["log_size_bytes"] == (orch.home / "logs" / "fails" / "1.log").stat().st_size
    assert (done.json["log_lost_bytes"], done.json["env"]) == (0, ["TOKEN"])
    assert "hunter2" not in done.out


def test_wait(orch: Orch) -> None:
    orch("run", "a", "exit 4")
    orch("run", "b", "true")
    done = orch("wait", "b", "a", "--json")
    assert (done.status, done.err, list(done.json)) == (4, "", ["jobs", "timed_out"])
    for job in done.json["jobs"]:
        check_job(job)
    assert ([job["name"] for job in done.json["jobs"]], done.json["timed_out"]) == (["b", "a"], False)


def test_cancel(orch: Orch, agent: Agent) -> None:
    orch("run", "a", "sleep 300")
    agent.running("a")
    done = orch("cancel", "a", "--json")
    assert (done.status, done.err, list(done.json)) == (0, "", ["jobs"])
    check_job(done.json["jobs"][0])
    assert done.json["jobs"][0]["state"] == "CANCELLED"


def test_rerun(orch: Orch) -> None:
    orch("run", "a", "true", "--wait")
    done = orch("rerun", "a", "--json")
    assert (done.status, done.err, list(done.json)) == (0, "", ["job", "created", "tasks"])
    check_job(done.json["job"])
    assert (done.json["job"]["run"], done.json["created"]) == (2, True)


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        (["run", "bad name", "true"], 2, "usage"),
        (["run", "x", "true", "--cwd", "/no/such"], 1, "refused"),
        (["show", "nobody"], 1, "not_found"),
        (["show", "a.b"], 2, "usage"),
        (["show"], 2, "usage"),
        (["status", "nobody"], 1, "not_found"),
        (["status", "--al"], 2, "usage"),
        (["wait", "nobody"], 255, "not_found"),
        (["wait", "a b"], 2, "usage"),
        (["wait", "nobody", "--timeout", "soon"], 2, "usage"),
        (["cancel", "nobody"], 1, "not_found"),
        (["cancel", "x", "--grace", "-1"], 2, "usage"),
        (["rerun", "nobody"], 1, "not_found"),
        (["status", "--host", "moon"], 2, "usage"),
        (["flatus"], 2, "usage"),
    ],
)
def test_errors(orch: Orch, words: list[str], status: int, kind: str) -> None:
    done = orch(*words, "--json")
    assert (done.status, list(json.loads(done.err)), list(done.error)) == (
        status,
        ["error"],
        ["kind", "message", "hint"],
    )
    assert all(isinstance(value, str) for value in done.error.values())
    assert (done.error["kind"], bool(done.error["message"])) == (kind, True)
    plain = orch(*words)
    assert (plain.status, plain.out) == (status, "")
    assert plain.err.startswith(f"orch: {done.error['message'].splitlines()[0]}")


def test_states_in_every_document_are_slurms(orch: Orch) -> None:
    for name, command in (("ok", "true"), ("bad", "exit 1"), ("dies", "kill -9 $$"), ("stopped", "sleep 300")):
        orch("run", name, command)
    orch("cancel", "stopped")
    done = orch("wait", "ok", "bad", "dies", "stopped", "--json")
    ends = [(job["state"], job["exit_code"], job["signal"]) for job in done.json["jobs"]]
    assert ends[:3] == [("COMPLETED", 0, None), ("FAILED", 1, None), ("FAILED", None, 9)]
    assert ends[3][0] == "CANCELLED"
    assert done.status == 1
    for job in done.json["jobs"]:
        assert job["submitted_at"] <= job["ended_at"]


def test_show_says_nothing_twice(orch: Orch) -> None:
    orch("run", "killed", "--wait", "exec sh -c 'kill -9 $$'")
    orch("run", "missing", "--wait", "no-such-program")
    assert orch("show", "killed").out.count("killed by SIGKILL") == 1
    assert "a command was not found" in orch("show", "missing").out
