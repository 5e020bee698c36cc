"""The oracle of the campaign believes the truth, and sees every kind of lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.campaign import oracle, plan, work
from bench.campaign.facts import Attempt, Facts, Seen
from bench.campaign.history import Event


def test_a_seed_is_a_plan() -> None:
    one, same, other = (plan.make(seed, 200, 50, kinds=plan.FAR) for seed in (1, 1, 2))
    assert one == same and one.jobs != other.jobs and one.faults != other.faults
    assert {fault.kind for fault in plan.make(1, 200, 500, kinds=plan.FAR).faults} == {*plan.FAR}
    behaviours = {job.behaviour.partition(":")[0] for job in one.jobs}
    assert behaviours == {"ok", "exit", "kill", "hang", "flaky", "bad"}


def job(number: int, **changed: Any) -> plan.Job:
    usual: dict[str, Any] = {"client": 0, "name": f"j{number}", "behaviour": "ok", "lines": 3, "seconds": 0.0}
    usual.update(
        flags=(), tty=True, options={}, needs=(), then="leave", after=0.0, pause=0.0, killed=(), gives_up=False
    )
    return plan.Job(number=number, **{**usual, **changed})


class Story:
    """What honest jobs leave behind, to be told otherwise."""

    def __init__(self, *jobs: plan.Job) -> None:
        self.plan = plan.Plan(7, list(jobs), [])
        self.told: dict[str, dict[int, Attempt]] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.past: list[dict[str, Any]] = []
        self.views: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, bytes | None] = {}
        self.events: list[Event] = []
        self.more: dict[str, Any] = {}

    def ended(self, number: int, state: str, code: int | None, end: str, *, at: float = 100.0, task: str = "") -> str:
        """One attempt of a job, which began at ``at`` and ran for a second."""
        one = self.plan.jobs[number]
        job_id = self.plan.key(one) + task
        attempts = self.told.setdefault(job_id, {})
        attempt = len(attempts) + 1
        attempts[attempt] = Attempt([(at, "start"), *([(at + 1, end)] if end else [])], {4000 + attempt})
        own = work.output(job_id, attempt, one.lines).replace(b"\n", b"\r\n")
        self.logs[job_id] = (self.logs.get(job_id) or b"") + own
        if job_id in self.rows:
            self.past.append({**self.rows[job_id], "job_id": job_id})
        result = {"state": state, "exit_code": code, "signal": None, "attempt": attempt}
        times = {"started_at": at, "ended_at": at + 1}
        kept = {"id": job_id, "attempt": attempt, "result": json.dumps(result), "reserved": None, "mem": None}
        self.rows[job_id] = {**kept, **times}
        run = len(self.views) + 1 - (job_id in self.views) if task else 1
        self.views[job_id] = {"id": job_id, "name": one.name, "run": run, "reason": None, "mem_request_bytes": None}
        self.views[job_id].update(result, **times)
        return job_id

    def facts(self) -> Facts:
        """All of it."""
        usual: dict[str, Any] = {
            "plan": self.plan,
            "acknowledged": {self.plan.key(one): {} for one in self.plan.jobs},
            "effects": self.told,
            "final": self.views,
            "seen": [Seen(200.0, list(self.views.values()), True)],
            "logs": self.logs,
            "shown": {},
            "followed": [],
            "host": {"mem_total_bytes": 8 << 30, "cpus": 2},
            "ledger": {"integrity": "ok", "jobs": list(self.rows.values()), "attempts": self.past},
            "events": self.events,
            "left": [],
        }
        return Facts(**{**usual, **self.more})

    def accused(self) -> str:
        """What the oracle says."""
        return "; ".join(what for _, what in oracle.judge(self.facts()))


def tell(story: Story, job_id: str, **changed: Any) -> None:
    """Have orch say something else of the last end."""
    view, row = story.views[job_id], story.rows[job_id]
    view.update(changed)
    row["result"] = json.dumps({**json.loads(row["result"]), **changed})


def honest() -> tuple[Story, str, str]:
    """One that completed, and one that failed and then completed."""
    story = Story(job(0), job(1, options={"retries": 1}))
    first = story.ended(0, "COMPLETED", 0, "end 0")
    story.ended(1, "FAILED", 5, "end 5", at=100.0)
    return story, first, story.ended(1, "COMPLETED", 0, "end 0", at=102.0)


def test_the_oracle_believes_the_truth() -> None:
    assert honest()[0].accused() == ""


LIES: dict[str, tuple[Callable[[Story, str, str], object], str]] = {
    "twice": (lambda story, one, _: story.told[one][1].told.insert(0, (99.0, "start")), "began 2 times"),
    "too often": (lambda story, one, _: story.told[one].update({2: Attempt([(150.0, "start")], {1})}), "was tried 2"),
    "lost": (lambda story, one, _: (story.views.pop(one), story.rows.pop(one), story.told.pop(one)), "is gone"),
    "unknown": (lambda story, *_: story.told.update({"x": {1: Attempt([(1.0, "start")], {1})}}), "nobody has"),
    "ran unseen": (lambda story, one, _: (story.views.pop(one), story.rows.pop(one)), "orch does not know it"),
    "forgotten": (lambda story, one, _: (story.rows[one].update(result=None), story.views[one].update(state="RUNNING")),
                  "has not ended"),
    "failed": (lambda story, one, _: tell(story, one, state="FAILED", exit_code=1), "its own last word is 'end 0'"),
    "completed": (lambda story, one, _: story.told[one][1].told.__setitem__(1, (101.0, "end 3")), "word is 'end 3'"),
    "cancelled": (lambda story, one, _: tell(story, one, state="CANCELLED", exit_code=None), "nobody cancelled it"),
    "timed out": (lambda story, one, _: tell(story, one, state="TIMEOUT", exit_code=None), "its limit is None"),
    "host failed": (lambda story, one, _: tell(story, one, state="NODE_FAIL", exit_code=None), "oftener than"),
    "known": (lambda story, one, _: tell(story, one, state="NODE_FAIL"), "its exit status is told"),
    "attempt left out": (lambda story, *_: story.past.clear(), "attempts are counted [2]"),
    "end changed": (lambda story, one, _: story.more.update(
        seen=[Seen(1.0, [{**story.views[one], "state": "NODE_FAIL"}], True)]), "its end changed"),
    "byte missing": (lambda story, one, _: story.logs.update({one: story.logs[one][:-1]}), "1 bytes are missing"),
    "byte changed": (lambda story, one, _: story.logs.update({one: story.logs[one].replace(b"x\r", b"y\r", 1)}),
                     "did not write"),
    "byte added": (lambda story, one, _: story.logs.update({one: story.logs[one] + b"@?"}), "nobody wrote"),
    "attempt's log missing": (lambda story, _, two: story.logs.update({two: b"@" + story.logs[two].split(b"@")[2]}),
                              "of what attempt 1 wrote"),
    "follower": (lambda story, one, _: story.more.update(followed=[("j0.1", story.logs[one][:-2], True)]), "follower"),
    "logs": (lambda story, one, _: story.more.update(shown={one: b""}), "orch logs shows"),
    "damaged": (lambda story, *_: story.more.update(ledger={**story.facts().ledger, "integrity": "row 3"}), "damaged"),
    "left": (lambda story, *_: story.more.update(left=["job x 123"]), "left behind"),
    "renumbered": (lambda story, one, _: story.views[one].update(run=2), "numbered [2]"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_the_oracle_sees_a_lie(lie: str) -> None:
    story, one, two = honest()
    LIES[lie][0](story, one, two)
    assert LIES[lie][1] in story.accused()


def down(kind: str, job_id: str = "") -> list[Event]:
    facts = {"kind": kind, "attempt": 1} if job_id else {"kind": kind}
    return [
        Event(100.5, "fault", job_id, facts),
        *([] if job_id else [Event(100.6, "fault", "", {"kind": "all down"})]),
    ]


@pytest.mark.parametrize("kind", ["runner", "reboot", "all"])
def test_not_knowing_is_excused_once(kind: str) -> None:
    """By a killed runner or by a host that went down; what was on the way through the terminal is lost then."""
    story = Story(job(0, options={"retries": 1}))
    one = story.ended(0, "NODE_FAIL", None, "end 0")
    story.logs[one] = (story.logs[one] or b"")[:150]
    assert "oftener" in story.accused() and "missing" in story.accused()
    story.events = down(kind, one if kind == "runner" else "")
    assert story.accused() == ""
    story.ended(0, "NODE_FAIL", None, "", at=105.0)
    assert "oftener" in story.accused()


def test_a_cancelled_job_was_cancelled_or_waited_in_vain() -> None:
    story = Story(job(0, behaviour="hang"), job(1, needs=(0,)))
    one = story.ended(0, "CANCELLED", None, "term")
    story.events = [Event(99.0, "cancel", one, {}), Event(99.0, "submit", "s7-1", {"after": ["j0.1"]})]
    two = story.ended(1, "CANCELLED", None, "")
    assert "it began before s7-0 had completed" in story.accused()
    story.told.pop(two)
    story.logs[two] = b""
    story.rows[two]["attempt"] = 1
    assert story.accused() == ""


def test_room_and_limits_are_kept() -> None:
    story = Story(
        job(0, options={"mem": 4 << 30}), job(1, options={"mem": 4 << 30}), job(2, options={"array": "0-1%1"})
    )
    story.ended(0, "COMPLETED", 0, "end 0")
    story.ended(1, "COMPLETED", 0, "end 0", at=101.0)  # when the first ends
    story.ended(2, "COMPLETED", 0, "end 0", task="-0")
    assert "is gone" in story.accused()
    story.views["s7-2-0"]["run"] = 1
    story.ended(2, "COMPLETED", 0, "end 0", at=101.0, task="-1")
    story.views["s7-2-1"]["run"] = 2
    assert story.accused() == ""
    story.told["s7-1"][1].told[0] = (100.5, "start")
    story.told["s7-2-1"][1].told[0] = (100.5, "start")
    assert "had asked for 8589934592 bytes" in story.accused()
    assert "2 of its tasks ran at once" in story.accused()
    story.more["seen"] = [Seen(1.0, [{**view, "state": "RUNNING", "mem_request_bytes": 3 << 30}
                                     for view in story.views.values()], True)]  # fmt: skip
    assert "status showed as running" in story.accused()


def test_bytes_that_a_full_disk_took_are_admitted() -> None:
    story = Story(job(0))
    one = story.ended(0, "COMPLETED", 0, "end 0")
    whole = story.logs[one] or b""
    note = b"\r\n[orch: 50 bytes are missing here: the disk was full]\r\n"
    story.logs[one] = whole[:100] + note + whole[150:]
    assert story.accused() == ""
    story.logs[one] = whole[:-30]
    assert "30 bytes are missing, 0 admittedly" in story.accused()
    tell(story, one, log_lost_bytes=30)
    assert story.accused() == ""
