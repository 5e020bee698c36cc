"""Lets a plan happen to a place: clients submit side by side, faults come; then all is calm, and facts are gathered."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import plan as planning
from .facts import Facts, Seen, effects
from .faults import Faults
from .history import History
from .places import Place
from .plan import Job, Plan
from .ways import Answer, Call, Way

LIVE = ("PENDING", "RUNNING")
HANGS = 60.0
"""Seconds after which a submission, a cancellation or a question hangs."""
STUCK = 40.0
"""Seconds without any change after which what has not ended, with all calm, is forgotten."""
_FINAL = ("usage", "conflict", "bug", "not_found", "refused")


class Campaign:
    """One play of one plan."""

    def __init__(self, plan: Plan, place: Place, say: Callable[[str], None] = lambda _: None) -> None:
        self.plan = plan
        self.place = place
        self.history = History()
        self.wrong: list[tuple[str, str]] = []
        self._say = say
        self._calls: list[Call] = []
        self._told: dict[int, Mapping[str, Any]] = {}
        self._followed: list[tuple[str, Sequence[str], Way, Call]] = []
        self._submitted = 0
        self._progress = threading.Condition()
        self._calm = threading.Event()
        self._seen: list[Seen] = []
        self._faults = Faults(place, self.history, lambda: [one for one in list(self._calls) if one.runs()])

    def play(self) -> Facts:
        """Everything, to the end; what was found out."""
        clients = [
            threading.Thread(target=self._client, args=(way, number)) for number, way in enumerate(self.place.ways)
        ]
        others = [threading.Thread(target=self._fail), threading.Thread(target=self._look_on)]
        for thread in [*clients, *others]:
            thread.start()
        for thread in clients:
            thread.join()
        with self._progress:
            self._submitted = len(self.plan.jobs)
            self._progress.notify_all()
        others[0].join()
        self._faults.mend()
        self.history.add("calm")
        self._until_all_have_ended()
        self._calm.set()
        others[1].join()
        self._end_followers()
        return self._gather()

    # Clients

    def _client(self, way: Way, number: int) -> None:
        """Submit one after the other, until something is wrong: what happened so far tells it best."""
        for job in self.plan.jobs:
            if job.client == number and not self.wrong:
                time.sleep(job.pause)
                try:
                    self._do(way, job)
                except Exception as error:
                    self._complain(self.plan.key(job), f"the campaign itself failed: {type(error).__name__} {error}")
                with self._progress:
                    self._submitted += 1
                    self._progress.notify_all()

    def _do(self, way: Way, job: Job) -> None:
        key = self.plan.key(job)
        needs = [need for number in job.needs if number in self._told for need in [self._told[number]]]
        spec: dict[str, Any] = {"name": job.name, "command": self.place.command(job), "tty": job.tty, **job.options}
        if needs:
            spec["after"] = [f"{need['name']}.{need['run']}" for need in needs]
        self.history.add("submit", key, **{name: value for name, value in spec.items() if name != "command"})
        told = self._submit(way, job, key, spec)
        if told is None:
            self.history.add("gave up", key)
            return
        self._told[job.number] = told
        self.history.add("acknowledged", key, ref=f"{told['name']}.{told['run']}")
        self._see([told])
        self._go_on(way, job, key, told)

    def _submit(self, way: Way, job: Job, key: str, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for seconds in job.killed:
            with self._called(way.submit(key, spec)) as call:
                call.sleep(seconds)
                if call.runs():
                    self.history.add("fault", key, kind="submission", seconds=round(seconds, 3))
                call.kill()
            self._calls.remove(call)
            answer = call.answer()
            if answer.document is not None:
                return self._job(answer)
        if job.gives_up:
            return None
        until = time.monotonic() + HANGS
        while time.monotonic() < until:
            answer = self._answer(way.submit(key, spec), key, "the submission")
            if answer.document is not None:
                return self._job(answer)
            self.history.add("refused", key, kind=answer.kind, said=answer.said)
            if answer.kind in _FINAL:
                self._complain(key, f"it was refused: {answer.kind}: {answer.said}")
                return None
            time.sleep(0.3)
        self._complain(key, f"{HANGS:g} s of trying did not get it accepted")
        return None

    def _job(self, answer: Answer) -> Mapping[str, Any]:
        assert answer.document is not None
        job: Mapping[str, Any] = answer.document["job"]
        return job

    def _refs(self, job: Job, told: Mapping[str, Any]) -> list[str]:
        tasks = len(planning.tasks(job.options["array"])[0]) if "array" in job.options else 1
        return [f"{told['name']}.{told['run'] + number}" for number in range(tasks)]

    def _go_on(self, way: Way, job: Job, key: str, told: Mapping[str, Any]) -> None:
        refs = self._refs(job, told)
        if job.then == "cancel":
            time.sleep(job.after)
            self.history.add("cancel", key)
            until = time.monotonic() + HANGS
            while time.monotonic() < until:
                answer = self._answer(way.cancel(refs[0], 1.0), key, "the cancellation")
                if answer.document is not None:
                    self._see(answer.document["jobs"])
                    return
                self.history.add("refused", key, kind=answer.kind, said=answer.said)
                time.sleep(0.3)
            self._complain(key, f"{HANGS:g} s of trying did not cancel it")
        elif job.name.startswith("again"):
            self._wait(way, key, refs)
        elif job.then == "wait":
            self._stay(key, refs, way, way.wait(refs), "wait")
        elif job.then == "follow":
            self._stay(key, refs, way, way.log(refs[0], follow=True), "follow")

    def _wait(self, way: Way, key: str, refs: Sequence[str]) -> None:
        """Until it has ended; asked again where whoever waited was killed."""
        until = time.monotonic() + 2 * HANGS
        while time.monotonic() < until:
            answer = self._answer(way.wait(refs), key, "the waiting", 2 * HANGS)
            if answer.document is not None and not answer.document.get("timed_out"):
                self._see(answer.document["jobs"])
                return
            time.sleep(0.3)

    def _stay(self, key: str, refs: Sequence[str], way: Way, call: Call, what: str) -> None:
        """Let it go on beside us, at most a few at once."""
        self._calls.append(call)
        self._followed.append((what, [key, *refs], way, call))
        while sum(one.runs() for _, _, _, one in self._followed) > 3 * len(self.place.ways):
            time.sleep(0.1)

    def _called(self, call: Call) -> Call:
        self._calls.append(call)
        return call

    def _answer(self, call: Call, key: str, what: str, patience: float = HANGS) -> Answer:
        with self._called(call):
            if not call.end(patience):
                self._complain(key, f"{what} hung for {patience:g} s")
        self._calls.remove(call)
        return call.answer()

    def _complain(self, key: str, what: str) -> None:
        self.history.add("WRONG", key, what=what)
        self.wrong.append((key, what))

    # Faults

    def _fail(self) -> None:
        for fault in self.plan.faults:
            with self._progress:
                self._progress.wait_for(lambda after=fault.after: self._submitted >= after)
            time.sleep(fault.delay)
            if self.wrong:
                return
            try:
                self._faults.happen(fault)
            except Exception as error:
                self._complain("", f"the fault {fault.kind} could not be made: {type(error).__name__} {error}")

    # Looking on

    def _look_on(self) -> None:
        while not self._calm.wait(1.0):
            self._look()

    def _look(self) -> list[Mapping[str, Any]] | None:
        """Every job as the host tells it now; None where it does not answer."""
        answer = self._answer(self.place.ways[0].status(), "", "status")
        if answer.document is None:
            self.history.add("no status", kind=answer.kind, said=answer.said)
            return None
        host = answer.document.get("host") or answer.document["hosts"][0]
        if host.get("error"):
            return None
        self._host = host
        return self._see(answer.document["jobs"], whole=True)

    def _see(self, jobs: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Mapping[str, Any]]:
        at = time.time()
        self._seen.append(Seen(at, list(jobs), whole))
        return list(jobs)

    def _until_all_have_ended(self) -> None:
        changed, before = time.monotonic(), None
        while time.monotonic() - changed < STUCK:
            jobs = self._look()
            if jobs is not None:
                states = {job["id"]: (job["state"], job["attempt"]) for job in jobs}
                if not any(state in LIVE for state, _ in states.values()):
                    return
                if states != before:
                    changed, before = time.monotonic(), states
            time.sleep(0.5)
        for job_id, (state, attempt) in (before or {}).items():
            if state in LIVE:
                self._complain(
                    job_id, f"it was forgotten: {state} (attempt {attempt}), and for {STUCK:g} s nothing moves"
                )

    def _end_followers(self) -> None:
        """Who was killed has seen a part; all others have seen everything."""
        until = time.monotonic() + 30
        for what, (key, *_), _, call in self._followed:
            if not call.end(max(1.0, until - time.monotonic())):
                self._complain(key, f"{what} does not end although the job has")
            if what == "wait":
                answer = call.answer()
                if answer.document is not None:
                    self._see(answer.document["jobs"])

    # Facts

    def _gather(self) -> Facts:
        final = self._look() or []
        logs = {job["id"]: _read(self.place, job["log_path"]) for job in final}
        followed = [
            (refs[0], way.bytes_of(call), call.process.returncode == 0)
            for what, (_, *refs), way, call in self._followed
            if what == "follow"
        ]
        told = {job["id"]: self._log(f"{job['name']}.{job['run']}") for job in final[:: max(1, len(final) // 20)]}
        return Facts(
            plan=self.plan,
            acknowledged={self.plan.key(self.plan.jobs[number]): told for number, told in self._told.items()},
            effects=effects(self.place.effects),
            final={job["id"]: job for job in final},
            seen=self._seen,
            logs=logs,
            shown=told,
            followed=followed,
            host=self._host,
            ledger=_ledger(self.place),
            events=list(self.history),
            left=self._left(),
        )

    def _log(self, ref: str) -> bytes:
        way = self.place.ways[0]
        with self._called(way.log(ref, follow=False)) as call:
            if not call.end(HANGS):
                self._complain("", f"the log of {ref} does not come")
        return way.bytes_of(call)

    def _left(self) -> list[str]:
        """What of jobs and keepers still runs, a while after the last end; views close by themselves."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = [one for one in self.place.processes() if one.role in ("job", "runner", "adopt", "supervisor")]
            locks = [path.name for path in (self.place.root / "live").glob("s*-*")]
            if not found and not locks:
                return []
            time.sleep(0.2)
        return [*(f"{one.role} {one.job} {one.pid}" for one in found), *locks]


def _thread(work: Callable[..., None], *words: object) -> threading.Thread:
    """Nobody waits for it who has been stopped himself."""
    return threading.Thread(target=work, args=words, daemon=True)


def _read(place: Place, path: str) -> bytes | None:
    try:
        return place.here(path).read_bytes()
    except OSError:
        return None


def _ledger(place: Place) -> Mapping[str, Any]:
    """The rows that the oracle looks at, and what SQLite says of the file."""
    database = sqlite3.connect(place.root / "ledger.db")
    try:
        database.row_factory = sqlite3.Row
        return {
            "integrity": database.execute("PRAGMA integrity_check").fetchone()[0],
            "jobs": [dict(row) for row in database.execute("SELECT * FROM jobs")],
            "attempts": [dict(row) for row in database.execute("SELECT * FROM attempts")],
        }
    finally:
        database.close()
