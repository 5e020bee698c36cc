"""Whether what orch told is true. Pure: facts in, accusations out.

What jobs told beside orch counts; what orch told is compared with that. Not knowing may be told in one way only:
NODE_FAIL without an exit status, and only of a job whose runner was killed or whose host went down.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from . import plan as planning
from . import written
from .facts import Attempt, End, Facts, View
from .plan import Job

ENDED = ("state", "exit_code", "signal", "attempt", "ended_at", "name", "run")
_BEFORE_DOWN = 3.0
"""Seconds between the last sign of a job and the end of its host, at most."""


class Accusation(NamedTuple):
    """``job``: an id, or "" where it concerns none."""

    job: str
    what: str


def judge(facts: Facts) -> list[Accusation]:
    """Everything that is not as it was promised."""
    case = _Case(facts)
    rules: list[Callable[[], Iterable[Accusation]]] = [
        case.nobody_is_lost,
        case.once_an_attempt,
        case.ends_are_true,
        case.ends_stay,
        case.logs_are_whole,
        case.needs_came_first,
        case.arrays_kept_their_limit,
        case.nothing_was_overpromised,
        case.all_is_tidy,
    ]
    return [one for rule in rules for one in rule()]


class _Case:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.jobs: dict[str, Job] = {}
        for job in facts.plan.jobs:
            key = facts.plan.key(job)
            tasks = planning.tasks(job.options["array"])[0] if "array" in job.options else None
            self.jobs.update({key: job} if tasks is None else {f"{key}-{task}": job for task in tasks})
        self.rows = {row["id"]: row for row in facts.ledger["jobs"]}
        self.ends = {row["id"]: [*self._past(row["id"]), _last(row)] for row in facts.ledger["jobs"] if row["result"]}
        self.killed = Counter(event.job for event in self._faults("runner"))
        self.hurt = {(event.job, event.facts.get("attempt")) for event in self._faults("runner")}
        self.down = list(
            zip([event.at for event in self._faults("all", "reboot")], self._faults("all down"), strict=True)
        )

    def _faults(self, *kinds: str) -> list[Any]:
        return [event for event in self.facts.events if event.what == "fault" and event.facts.get("kind") in kinds]

    def _past(self, job_id: str) -> list[End]:
        rows = [row for row in self.facts.ledger["attempts"] if row["job_id"] == job_id]
        return [_end(row, row["attempt"]) for row in sorted(rows, key=lambda row: int(row["attempt"]))]

    def _ids(self, key: str) -> list[str]:
        return [job_id for job_id in self.jobs if job_id == key or job_id.rpartition("-")[0] == key]

    # Nothing lost, nothing twice

    def nobody_is_lost(self) -> Iterator[Accusation]:
        """What was acknowledged is there; what is there was asked for; nobody is left unended."""
        for key in self.facts.acknowledged:
            for job_id in {*self._ids(key)} - {*self.facts.final}:
                yield Accusation(job_id, "it was acknowledged, and is gone")
        for job_id in {*self.facts.final, *self.facts.effects} - {*self.jobs}:
            yield Accusation(job_id, "nobody has submitted it")
        for job_id in {*self.facts.effects} - {*self.facts.final}:
            yield Accusation(job_id, "it ran, and orch does not know it")
        for job_id, view in self.facts.final.items():
            if job_id not in self.ends or view["state"] in ("PENDING", "RUNNING"):
                yield Accusation(job_id, f"it has not ended: {view['state']} {view['reason']}")

    def once_an_attempt(self) -> Iterator[Accusation]:
        """Each attempt began once, one after the other, and not more often than asked for."""
        for job_id, attempts in self.facts.effects.items():
            for number, attempt in attempts.items():
                if len(attempt.times("start")) != 1 or len(attempt.pids) != 1:
                    yield Accusation(job_id, f"attempt {number} began {len(attempt.times('start'))} times")
            most = 1 + self.jobs[job_id].options.get("retries", 0) if job_id in self.jobs else 0
            if max(attempts) > most:
                yield Accusation(job_id, f"it was tried {max(attempts)} times, and {most} were asked for")
            times = [attempts[number].told[0][0] for number in sorted(attempts)]
            if times != sorted(times):
                yield Accusation(job_id, "its attempts did not follow one another")
        for job_id, ends in self.ends.items():
            numbers = [end.attempt for end in ends[:-1]]
            if numbers != list(range(1, len(ends))) or ends[-1].attempt not in (len(ends), len(ends) - 1):
                yield Accusation(job_id, f"its attempts are counted {[end.attempt for end in ends]}")
            elif max(self.facts.effects.get(job_id, {0: None})) > ends[-1].attempt:
                yield Accusation(job_id, "an attempt ran that orch does not know")

    # True ends

    def ends_are_true(self) -> Iterator[Accusation]:
        """Each attempt's end, against what it told itself."""
        for job_id, ends in self.ends.items():
            if job_id not in self.jobs:
                continue
            excused = self.killed[job_id]
            for end in ends:
                attempt = self.facts.effects.get(job_id, {}).get(end.attempt, Attempt([], set()))
                if end.state == "NODE_FAIL" and not self._went_down(end):
                    excused -= 1
                wrong = self._lie(job_id, self.jobs[job_id], end, attempt)
                if wrong:
                    yield Accusation(job_id, f"attempt {end.attempt} is said to be {_words(end)}, {wrong}")
            if excused < 0:
                yield Accusation(job_id, "it is said to have lost its host oftener than its runner was killed")
            for end in ends[:-1]:
                if end.state not in ("FAILED", "NODE_FAIL"):
                    yield Accusation(job_id, f"another attempt followed {_words(end)}")

    def _went_down(self, end: End) -> bool:
        began = end.started_at or 0.0
        return any(began <= down.at and end.ended_at >= at - _BEFORE_DOWN for at, down in self.down)

    def _lie(self, job_id: str, job: Job, end: End, attempt: Attempt) -> str:
        """What is not true of this end; "" where nothing can be said against it."""
        said = attempt.end
        began = len(attempt.times("start"))
        if end.state == "COMPLETED":
            return "" if (end.exit_code, said) == (0, "end 0") else f"and its own last word is {said!r}"
        if end.state == "FAILED":
            own = f"end {end.exit_code}" if end.signal is None else f"kill {end.signal}"
            return "" if said == own and end.exit_code != 0 else f"and its own last word is {said!r}"
        if end.state == "TIMEOUT":
            limit = job.options.get("timeout")
            lasted = end.ended_at - (end.started_at or 0.0)
            return "" if limit and lasted >= limit - 0.05 else f"after {lasted:.3f} s, and its limit is {limit}"
        if end.state == "CANCELLED":
            return "" if self._was_cancelled(job_id, began) else "and nobody cancelled it"
        if end.state == "NODE_FAIL":
            return "" if end.exit_code is None and end.signal is None else "and its exit status is told"
        return "which nothing here can bring about"

    def _was_cancelled(self, job_id: str, began: int) -> bool:
        asked = any(event.what == "cancel" and event.job == job_id for event in self.facts.events)
        return asked or (not began and any(self._state(need) != "COMPLETED" for need in self._needs(job_id)))

    def _state(self, job_id: str) -> str:
        return str(self.facts.final[job_id]["state"]) if job_id in self.facts.final else ""

    def _needs(self, job_id: str) -> list[str]:
        """The ids of the runs that it was submitted to come after."""
        key = job_id if job_id in {event.job for event in self.facts.events} else job_id.rpartition("-")[0]
        refs = [
            ref
            for event in self.facts.events
            if event.what == "submit" and event.job == key
            for ref in event.facts.get("after", ())
        ]
        return [one for one, view in self.facts.final.items() if f"{view['name']}.{view['run']}" in refs]

    def ends_stay(self) -> Iterator[Accusation]:
        """Whoever was told of an end was told the same as everybody else; no number is given twice."""
        for seen in self.facts.seen:
            for view in seen.jobs:
                last = self.facts.final.get(view["id"])
                if last is None or view["state"] in ("PENDING", "RUNNING"):
                    continue
                if [view[key] for key in ENDED] != [last[key] for key in ENDED]:
                    yield Accusation(view["id"], f"its end changed: {_row(view)} became {_row(last)}")
        runs: dict[str, list[int]] = defaultdict(list)
        for view in self.facts.final.values():
            runs[view["name"]].append(view["run"])
        for name, numbers in runs.items():
            if sorted(numbers) != list(range(1, len(numbers) + 1)):
                yield Accusation("", f"the runs of {name} are numbered {sorted(numbers)}")

    # Logs

    def logs_are_whole(self) -> Iterator[Accusation]:
        """Every byte in its place, whoever reads it."""
        for job_id, ends in self.ends.items():
            job, log = self.jobs.get(job_id), self.facts.logs.get(job_id)
            told = self.facts.effects.get(job_id, {})
            bound = {end.attempt for end in ends if job and not self._may_lack(job, job_id, end)}
            wrong = written.wrong(job_id, job, log, ends, told, bound) if job and (log is not None or told) else ""
            if wrong:
                yield Accusation(job_id, f"its log: {wrong}")
        by_ref = {f"{view['name']}.{view['run']}": job_id for job_id, view in self.facts.final.items()}
        for ref, data, is_all in self.facts.followed:
            log = self.facts.logs.get(by_ref.get(ref, ""), b"") or b""
            if data != log if is_all else not log.startswith(data):
                said = f"a follower saw {len(data)} bytes that are not the {len(log)} of its log"
                yield Accusation(by_ref.get(ref, ""), said)
        for job_id, data in self.facts.shown.items():
            ref = by_ref.get(job_id, job_id)
            if data != (self.facts.logs.get(ref, b"") or b""):
                yield Accusation(ref, f"orch logs shows {len(data)} bytes that are not those of its log")

    def _may_lack(self, job: Job, job_id: str, end: End) -> bool:
        """What was on its way through a terminal whose runner was killed is nowhere."""
        was_killed = (job_id, end.attempt) in self.hurt or (job_id, None) in self.hurt
        own = end.state in ("COMPLETED", "FAILED")
        return not own and job.tty and (was_killed or self._went_down(end))

    # Order and room

    def needs_came_first(self) -> Iterator[Accusation]:
        """A job began after what it needs had completed."""
        for job_id, job in self.jobs.items():
            begun = self.facts.effects.get(job_id)
            for need in self._needs(job_id) if job.needs and begun else ():
                ended = [at for one in self.facts.effects.get(need, {}).values() for at in one.times("end")]
                assert begun
                if self._state(need) != "COMPLETED" or min(begun[1].times("start")) < max(ended):
                    yield Accusation(job_id, f"it began before {need} had completed")

    def arrays_kept_their_limit(self) -> Iterator[Accusation]:
        """Never more tasks at once than asked for."""
        for job in self.facts.plan.jobs:
            if "array" in job.options:
                key = self.facts.plan.key(job)
                spans = [(*span, 1.0) for job_id in self._ids(key) for span in self._spans(job_id)]
                most = _most(spans)
                if most > planning.tasks(job.options["array"])[1]:
                    yield Accusation(key, f"{most:g} of its tasks ran at once")

    def nothing_was_overpromised(self) -> Iterator[Accusation]:
        """Memory and processors: as jobs ran, as the ledger has it, as status told it."""
        total = self.facts.host["mem_total_bytes"]
        memory, cpus = float(capacity(total)), float(self.facts.host["cpus"])
        ran = [
            (self.jobs[job_id], span)
            for job_id in self.facts.effects
            if job_id in self.jobs
            for span in self._spans(job_id)
        ]
        kept = [(row, end) for job_id, row in self.rows.items() for end in self.ends.get(job_id, ()) if end.started_at]
        sums = {
            "jobs that ran at once had asked for %d bytes": _most(
                (*span, float(job.options.get("mem", 0))) for job, span in ran
            ),
            "jobs that the ledger has as running at once had %d bytes": _most(
                (end.started_at or 0.0, end.ended_at, float(row["reserved"] or row["mem"] or 0)) for row, end in kept
            ),
            "jobs that status showed as running had %d bytes": max(
                (
                    sum(view["mem_request_bytes"] or 0 for view in seen.jobs if view["state"] == "RUNNING")
                    for seen in self.facts.seen
                    if seen.whole
                ),
                default=0,
            ),
        }
        for what, most in sums.items():
            if most > memory:
                yield Accusation("", f"{what % most}, of {memory:.0f} that there are for jobs")
        busy = _most((*span, float(job.options.get("cpus", 0.0))) for job, span in ran)
        if busy > cpus + 1e-6:
            yield Accusation("", f"jobs that ran at once had asked for {busy:g} processors, of {cpus:g}")

    def _spans(self, job_id: str) -> list[tuple[float, float]]:
        """From when to when each attempt is known to have run."""
        found = self.facts.effects.get(job_id, {}).values()
        return [(one.told[0][0], one.told[-1][0]) for one in found]

    def all_is_tidy(self) -> Iterator[Accusation]:
        """The ledger is sound, and with the last job everything that kept it has ended."""
        if self.facts.ledger["integrity"] != "ok":
            yield Accusation("", f"the ledger is damaged: {self.facts.ledger['integrity']}")
        for one in self.facts.left:
            words = one.split()
            yield Accusation(words[1] if len(words) == 3 else "", f"left behind: {one}")


def _last(row: Mapping[str, Any]) -> End:
    return _end(row, row["attempt"])


def _end(row: Mapping[str, Any], attempt: int) -> End:
    result = json.loads(row["result"])
    codes = (result.get("exit_code"), result.get("signal"))
    return End(attempt, result["state"], *codes, row["started_at"], row["ended_at"], result.get("log_lost_bytes", 0))


def _words(end: End) -> str:
    return f"{end.state} (exit status {end.exit_code}, signal {end.signal})"


def _row(view: View) -> str:
    return " ".join(str(view[key]) for key in ENDED)


def _most(spans: Iterable[tuple[float, float, float]]) -> float:
    """The largest sum of what was held at any time; who ends when another begins does not meet it."""
    steps = [step for since, until, held in spans for step in ((since, 1, held), (until, 0, -held))]
    most = now = 0.0
    for _, _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most


def capacity(total: int) -> int:
    """What a host with so much memory gives to jobs: all but a sixteenth, of which 256 MiB to 2 GiB are kept."""
    return total - min(max(total // 16, 256 << 20), 2 << 30, total // 4)
