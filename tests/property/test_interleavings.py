"""Random submissions, repetitions, kills, ends and cancellations against a real agent."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from orch_agent.model import END_STATES
from tests.faults.programs import path_without
from tests.support.agent import Agent, Refused, eventually

GATE = 'until [ -e "go-$ORCH_JOB_ID" ]; do sleep 0.02; done'
BEGIN = 'echo "$ORCH_JOB_ID" >> ran; echo begin; '
COMMANDS = {
    "quick": BEGIN + "echo end; exit 3",
    "gated": BEGIN + GATE + "; echo end; exit 3",
    "deaf": "trap '' HUP TERM; " + BEGIN + GATE + "; echo end; exit 3",
}
ORDER = {"PENDING": 0, "RUNNING": 1, **dict.fromkeys(END_STATES, 2)}


@dataclass
class Known:
    """What the test knows of a job."""

    key: str
    name: str
    run: int
    spec: dict[str, Any]
    runner_killed: bool = False
    cancelled: bool = False
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ref(self) -> str:
        return f"{self.name}.{self.run}"

    @property
    def over(self) -> bool:
        return bool(self.seen) and self.seen[-1]["state"] in END_STATES


class Interleavings(RuleBasedStateMachine):
    """Two names, any number of runs; the agent is shared, the names are this example's own."""

    agent: Agent
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        Interleavings.examples += 1
        self.names = [f"e{Interleavings.examples}a", f"e{Interleavings.examples}b"]
        self.jobs: list[Known] = []

    # What may happen

    @rule(which=st.integers(0, 1), what=st.sampled_from(sorted(COMMANDS)), tty=st.booleans())
    def submit(self, which: int, what: str, tty: bool) -> None:
        name = self.names[which]
        before = [job for job in self.jobs if job.name == name]
        key = f"{name}-{len(self.jobs)}"
        spec = {"name": name, "command": COMMANDS[what], "tty": tty}
        try:
            answer = self.agent.call("submit", id=key, spec=spec)
        except Refused as refused:
            assert refused.kind == "name_in_use"
            assert before and not before[-1].over, "refused although the last run had ended"
            return
        job = Known(key, name, answer["job"]["run"], spec)
        assert answer["created"] and job.run == len(before) + 1
        self.jobs.append(job)
        self._note(job, answer["job"])
        for earlier in before:
            assert self._look(earlier)["state"] in END_STATES, "two runs of a name at once"

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 9))
    def submit_again(self, which: int) -> None:
        job = self._pick(which)
        answer = self.agent.call("submit", id=job.key, spec=job.spec)
        assert not answer["created"]
        self._note(job, answer["job"])

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 9), companion=st.sampled_from(["runner", "adopt"]))
    def kill_its_keeper(self, which: int, companion: str) -> None:
        job = self._pick(which)
        adopter = f"{self.agent.directory}\0adopt\0{job.key}\0"
        pid = self.agent._holder(job.key) if companion == "runner" else self.agent._find(adopter)
        if pid is not None:
            job.runner_killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @precondition(lambda self: self.jobs)
    @rule()
    def kill_the_supervisor(self) -> None:
        pid = self.agent._supervisor()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 9))
    def let_it_finish(self, which: int) -> None:
        (self.agent.home / f"go-{self._pick(which).key}").touch()

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 9), grace=st.sampled_from([0, 0.2]))
    def cancel(self, which: int, grace: float) -> None:
        job = self._pick(which)
        job.cancelled = job.cancelled or not job.over
        self._note(job, self.agent.call("cancel", jobs=[job.ref], grace=grace)["jobs"][0])
        assert job.over

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 9))
    def look(self, which: int) -> None:
        self._look(self._pick(which))

    @rule()
    def look_at_all(self) -> None:
        listed = {job["id"]: job for job in self.agent.call("status")["jobs"]}
        for job in self.jobs:
            self._note(job, listed[job.key])

    # What must hold

    def _pick(self, which: int) -> Known:
        return self.jobs[which % len(self.jobs)]

    def _look(self, job: Known) -> dict[str, Any]:
        view: dict[str, Any] = self.agent.show(job.ref)["job"]
        self._note(job, view)
        return view

    def _note(self, job: Known, view: dict[str, Any]) -> None:
        assert (view["id"], view["name"], view["run"]) == (job.key, job.name, job.run)
        if job.seen:
            last = job.seen[-1]
            assert ORDER[last["state"]] <= ORDER[view["state"]], f"{last['state']} -> {view['state']}"
            if job.over:
                assert view == last, "an end changed"
        job.seen.append(view)

    def teardown(self) -> None:
        for job in self.jobs:
            (self.agent.home / f"go-{job.key}").touch()
        if self.jobs:
            for job, view in zip(self.jobs, self._all_over(), strict=True):
                self._note(job, view)
                self._judge(job, view)

    def _all_over(self) -> list[dict[str, Any]]:
        answer = self.agent.call("wait", jobs=[job.ref for job in self.jobs], timeout=30)
        assert not answer["timed_out"], answer["jobs"]
        jobs: list[dict[str, Any]] = answer["jobs"]
        return jobs

    def _judge(self, job: Known, end: dict[str, Any]) -> None:
        path = self.agent.home / "ran"
        ran = path.read_text().split().count(job.key) if path.exists() else 0
        line = b"\r\n" if job.spec["tty"] else b"\n"
        whole = b"begin" + line + b"end" + line
        log = self.agent.log(job.ref)
        assert ran <= 1, f"{job.ref} ran {ran} times"
        # A shell whose sleep is ended from outside says so ("Terminated"); otherwise all it wrote is its own two lines.
        assert whole.startswith(log) or (log.startswith(b"begin" + line) and end["state"] != "FAILED"), log
        if end["state"] == "FAILED" and end["exit_code"] == 3:
            assert (ran, log) == (1, whole)
        elif end["state"] == "NODE_FAIL":
            assert job.runner_killed and end["exit_code"] is None, end
        else:
            assert end["state"] == "CANCELLED" and job.cancelled, end
        live = self.agent.root / "live"
        eventually(lambda: not list(live.glob(f"{job.key}.*")), "its lock has gone: it goes after the result has come")
        eventually(lambda: self.agent._find(f"\0{job.key}\0") is None, "nobody stays with a job that is over")


@pytest.mark.timeout(300)
def test_random_interleavings_against_a_real_agent(agent: Agent) -> None:
    agent.finished("x", "true")
    agent.env = {"PATH": path_without("tmux", agent.home / "programs")}
    Interleavings.agent = agent
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=60,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
