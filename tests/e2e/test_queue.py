"""The queue as a person meets it: terms of a job, why it waits, arrays, and jobs after jobs."""

from __future__ import annotations

from pathlib import Path

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch

GATE = "until [ -e go ]; do sleep 0.05; done"


def cpus(agent: Agent) -> str:
    """All the processors there are: whoever asks for them has the queue to himself."""
    return str(agent.call("status")["host"]["cpus"])


def reasons(orch: Orch) -> dict[str, str]:
    """Why the jobs that wait do."""
    jobs = orch("status", "--json").json["jobs"]
    return {f"{job['name']}.{job['run']}": job["reason"] for job in jobs if job["state"] == "PENDING"}


def test_a_job_says_why_it_waits(orch: Orch, agent: Agent, home: Path) -> None:
    every = cpus(agent)
    orch("run", "long", GATE, "--cpus", every, "--timeout", "40m")
    agent.running("long")
    done = orch("run", "head", "true", "--cpus", every, "--mem", "64M")
    waits = f"waits for {every} processor{'s' * (every != '1')}; frees when long ends, about 40 min"
    assert done.out == f"head.1 submitted to local, {waits}; follow it: orch logs -f head\n"
    orch("run", "next", "true", "--cpus", "0.5")
    orch("run", "last", "true", "--cpus", "1", "--after", "next")
    assert reasons(orch) == {
        "head.1": waits,
        "next.1": "waits behind head for 0.5 processors",
        "last.1": "after next.1",
    }
    rows = [line.split(maxsplit=4) for line in orch("status").out.splitlines()]
    assert rows[0] == ["NAME", "STATE", "STARTED", "MEMORY", "REASON"]
    assert rows[2] == ["head", "PENDING", "-", "64.0MB", f"asked  {waits}"]
    shown = orch("show", "head").out
    assert f"reason        {waits}" in shown and "memory asked  64.0MB" in shown
    (home / "go").touch()
    assert orch("wait", "head", "next", "last").status == 0


def test_a_job_that_can_never_start_says_so(orch: Orch) -> None:
    assert orch("run", "bad", "exit 3", "--wait").status == 3
    why = "bad.1, which had to complete first, ended as FAILED"
    assert orch("run", "never", "true", "--after", "bad").out == f"never.1 submitted to local and CANCELLED: {why}\n"
    assert orch("wait", "never").out == f"never.1 CANCELLED: {why}\n"


def test_what_does_not_fit_is_refused_with_what_does(orch: Orch, agent: Agent) -> None:
    for option, most in (("--mem", "9000G"), ("--cpus", "999")):
        hint = orch("run", "huge", "true", option, most).err.splitlines()[-1].split()
        assert hint[:4] == ["orch", "run", "huge", option]
        assert orch("run", "huge", "true", option, hint[4], "--replace").status == 0


def test_an_empty_variable_is_no_term(orch: Orch, home: Path) -> None:
    for option in ("--after", "--array", "--mem", "--timeout"):
        done = orch("run", "job", "true", option, "")
        assert done.status == 2 and f"{option} has an empty value" in done.err
    assert orch("run", "job", "true", "--after", "job", "--after", "").status == 2
    (home / "orch.toml").write_text('[jobs.train]\ncommand = "true"\ntimeout = "1h"\n')
    assert orch("run", "train", "--timeout", "", "--json").json["job"]["timeout_seconds"] is None


def test_several_runs_are_not_run_again_as_one(orch: Orch) -> None:
    orch("run", "many", "true", "--array", "0-3", "--wait")
    done = orch("rerun", "many.1-3")
    assert done.status == 2 and "orch rerun many, or orch rerun many.1" in done.err


def test_tasks_that_ended_alike_are_one_row(orch: Orch, agent: Agent) -> None:
    orch("run", "gate", "sleep 300")
    orch("run", "many", "true", "--array", "0-499", "--after", "gate")
    orch("cancel", "many")
    orch("run", "bad", "exit $((ORCH_ARRAY_TASK / 2))", "--array", "0-3", "--wait")
    rows = [line.split()[:3] for line in orch("status", "many", "bad").out.splitlines()[1:]]
    assert sorted(rows) == [
        ["bad", "1-2", "COMPLETED"],
        ["bad", "3-4", "FAILED"],
        ["many", "1-500", "CANCELLED"],
    ]


def test_a_name_in_use_is_told_by_the_command_that_was_typed(orch: Orch) -> None:
    orch("run", "job", "sleep 60")
    assert "\n  orch run job --replace" in orch("run", "job", "true").err
    assert "\n  orch rerun job.1 --replace" in orch("rerun", "job.1").err


def test_the_terms_of_a_job_are_told(orch: Orch) -> None:
    terms = ["--mem", "1.5G", "--mem-max", "2G", "--timeout", "3h", "--retries", "3", "--nice", "5", "--cpus", "1"]
    job = orch("run", "job", "true", *terms, "--json", "--wait").json["job"]
    kept = ("mem_request_bytes", "mem_request_learned", "mem_max_bytes", "timeout_seconds", "retries", "nice", "cpus")
    assert [job[key] for key in kept] == [3 << 29, False, 2 << 30, 10800, 3, 5, 1]
    again = orch("rerun", "job", "--mem", "100M", "--timeout", "", "--json", "--wait").json["job"]
    assert [again[key] for key in kept] == [100 << 20, False, 2 << 30, None, 3, 5, 1]


def test_a_job_of_the_repository_has_terms(orch: Orch, home: Path) -> None:
    (home / "orch.toml").write_text('[jobs.train]\ncommand = "true"\nmem = "64M"\ntimeout = "1h"\nafter = ["prep"]\n')
    orch("run", "prep", "exit 3", "--wait")
    done = orch("run", "train", "--wait", "--json")
    job = done.json["job"]
    assert (done.status, job["state"], job["mem_request_bytes"], job["timeout_seconds"]) == (
        143,
        "CANCELLED",
        64 << 20,
        3600,
    )
    assert job["reason"] == "prep.1, which had to complete first, ended as FAILED"
    assert orch("run", "train", "--after", "", "--wait").status == 0


def test_a_time_limit(orch: Orch) -> None:
    done = orch("run", "slow", "sleep 300", "--timeout", "0.5", "--wait")
    assert done.status == 124 and "slow.1 TIMEOUT" in done.err


def test_the_next_attempt_is_told(orch: Orch) -> None:
    orch("run", "job", "exit 3", "--retries", "3", "--retry-delay", "100s")
    eventually(lambda: "attempt 2 of 4" in (reasons(orch).get("job.1") or ""), "it backs off")
    assert reasons(orch)["job.1"].endswith("s (attempt 1: exit status 3)")
    assert orch("show", "job", "--json").json["job"]["due_at"] is not None
    assert orch("cancel", "job").out == "job.1 CANCELLED\n"


def test_an_array(orch: Orch, home: Path) -> None:
    command = f"{GATE}; echo task $ORCH_ARRAY_TASK; exit $((ORCH_ARRAY_TASK == 4 ? 7 : 0))"
    done = orch("run", "many", command, "--array", "0-9%2")
    assert done.out == "many.1-10 submitted to local (10 tasks); look at them: orch status many\n"
    eventually(lambda: len(reasons(orch)) == 8, "two of them run")
    assert set(reasons(orch).values()) == {"2 tasks of its array run at once"}
    rows = [line.split()[:3] for line in orch("status").out.splitlines()[1:]]
    assert rows == [["many", "1", "RUNNING"], ["many", "2", "RUNNING"], ["many", "3-10", "PENDING"]]
    for words in (["logs", "many"], ["show", "many"], ["send", "many", "text"]):
        refused = orch(*words)
        assert (refused.status, refused.err.splitlines()[1]) == (1, f"  orch {words[0]} many.1")
    in_use = orch("run", "many", "true")
    assert in_use.status == 1 and "many.1 is still running" in in_use.err
    (home / "go").touch()
    ended = orch("wait", "many")
    assert (ended.status, ended.out) == (7, "many.1-4 COMPLETED\nmany.5 FAILED\nmany.6-10 COMPLETED\n")
    assert orch("logs", "many").err.endswith("orch logs many.5\n")
    assert orch("logs", "many.5").out == "task 4\n"


def test_a_task_again_and_all_of_them_again(orch: Orch) -> None:
    assert orch("run", "many", "echo $ORCH_ARRAY_TASK", "--array", "3-5", "--wait").status == 0
    one = orch("rerun", "many.2", "--wait", "--json").json["jobs"]
    assert [(job["run"], job["array_task"]) for job in one] == [(4, 4)]
    assert orch("logs", "many").out == "4\n"
    every = orch("rerun", "many.2", "--array", "3-5", "--wait", "--json").json["jobs"]
    assert [(job["run"], job["array_task"]) for job in every] == [(5, 3), (6, 4), (7, 5)]
    again = orch("rerun", "many", "--wait", "--json").json["jobs"]
    assert [(job["run"], job["array_task"]) for job in again] == [(8, 3), (9, 4), (10, 5)]


def test_an_array_is_cancelled_as_one(orch: Orch, agent: Agent) -> None:
    orch("run", "many", "touch ran-$ORCH_ARRAY_TASK; sleep 300", "--array", "0-999%1")
    agent.running("many.1")
    assert orch("cancel", "many.500-600").out == "many.500-600 CANCELLED\n"
    assert orch("cancel", "many", "--grace", "0").out == "many.1-1000 CANCELLED\n"
    assert [path.name for path in orch.home.glob("ran-*")] == ["ran-0"]
    replaced = orch("run", "many", "sleep 300", "--array", "1-3", "--replace")
    assert replaced.out.startswith("many.1001-1003 submitted")
    replaced = orch("run", "many", "true", "--replace", "--wait")
    assert replaced.status == 0 and orch("wait", "many.1001-1003").status == 143


def test_jobs_after_an_array(orch: Orch) -> None:
    orch("run", "many", "exit $ORCH_ARRAY_TASK", "--array", "0,0,2")
    done = orch("run", "next", "true", "--after", "many", "--wait", "--json")
    assert (done.status, done.json["job"]["after"]) == (143, ["many.1-2"])
    assert done.json["job"]["reason"] == "many.2, which had to complete first, ended as FAILED"
    assert orch("run", "other", "true", "--after", "many.1", "--wait").status == 0
