"""The clients: each submits its jobs one by one, insists where it is not answered, and stays with some of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import plan as planning
from .desk import HANGS, Desk
from .places import Place
from .plan import Job, Plan
from .ways import Answer, Call, Way

_FINAL = ("usage", "conflict", "bug", "not_found", "refused")
"""Kinds of refusals that nothing here deserves."""
_PAUSE = 0.3
"""Seconds after which what was refused or lost is asked again."""


class Stay(NamedTuple):
    """Who stays with a job: ``what`` is ``wait`` or ``follow``."""

    what: str
    key: str
    ref: str
    way: Way
    call: Call


class Clients:
    """All of them. ``told``: number of a job -> how the host acknowledged it."""

    def __init__(self, plan: Plan, place: Place, desk: Desk) -> None:
        self._plan = plan
        self._place = place
        self._desk = desk
        self.told: dict[int, Mapping[str, Any]] = {}
        self.stays: list[Stay] = []
        self._done = 0
        self._progress = threading.Condition()

    def work(self, way: Way, number: int) -> None:
        """Be one client to the end, or until something is wrong: what happened so far tells it best."""
        for job in self._plan.jobs:
            if job.client == number and not self._desk.wrong:
                time.sleep(job.pause)
                try:
                    self._do(way, job)
                except Exception as error:
                    said = f"the campaign itself failed: {type(error).__name__} {error}"
                    self._desk.complain(self._plan.key(job), said)
            if job.client == number:
                with self._progress:
                    self._done += 1
                    self._progress.notify_all()

    def wait_for(self, submissions: int) -> None:
        """Until there were so many."""
        with self._progress:
            self._progress.wait_for(lambda: self._done >= submissions)

    def _do(self, way: Way, job: Job) -> None:
        key = self._plan.key(job)
        spec: dict[str, Any] = {"name": job.name, "command": self._place.command(job), "tty": job.tty, **job.options}
        needs = [self.told[number] for number in job.needs if number in self.told]
        if needs:
            spec["after"] = [f"{need['name']}.{need['run']}" for need in needs]
        history = self._desk.history
        history.add("submit", key, **{name: value for name, value in spec.items() if name != "command"})
        told = self._submit(way, job, key, spec)
        if told is None:
            history.add("gave up", key)
            return
        self.told[job.number] = told
        history.add("acknowledged", key, ref=f"{told['name']}.{told['run']}")
        self._desk.see([told])
        self._go_on(way, job, key, told)

    def _submit(self, way: Way, job: Job, key: str, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What was acknowledged; None where nobody insists."""
        for seconds in job.killed:
            answer = self._desk.killed(way.submit(key, spec), key, seconds)
            if answer.document is not None:
                return _job(answer)
        if job.gives_up:
            return None
        told = self._insist(lambda: way.submit(key, spec), key, "the submission")
        return None if told is None else _job(told)

    def _insist(self, begin: Callable[[], Call], key: str, what: str, patience: float = HANGS) -> Answer | None:
        """Ask until there is an answer; None, and a complaint, where there is none in time or a final one."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            answer = self._desk.answer(begin(), key, what, patience)
            if answer.document is not None and not answer.document.get("timed_out"):
                return answer
            self._desk.history.add("refused", key, kind=answer.kind, said=answer.said)
            if answer.kind in _FINAL:
                self._desk.complain(key, f"{what} was refused: {answer.kind}: {answer.said}")
                return None
            time.sleep(_PAUSE)
        self._desk.complain(key, f"{what} came to nothing in {patience:g} s of trying")
        return None

    def _go_on(self, way: Way, job: Job, key: str, told: Mapping[str, Any]) -> None:
        tasks = len(planning.tasks(job.options["array"])[0]) if "array" in job.options else 1
        refs = [f"{told['name']}.{told['run'] + number}" for number in range(tasks)]
        answer = None
        if job.then == "cancel":
            time.sleep(job.after)
            self._desk.history.add("cancel", key)
            answer = self._insist(lambda: way.cancel(refs[0], 1.0), key, "the cancellation")
        elif job.name.startswith("again"):  # which has the same name next time: its end must be known
            answer = self._insist(lambda: way.wait(refs), key, "the waiting", 2 * HANGS)
        elif job.then == "wait":
            self._stay(Stay("wait", key, refs[0], way, self._desk.begun(way.wait(refs))))
        elif job.then == "follow":
            self._stay(Stay("follow", key, refs[0], way, self._desk.begun(way.log(refs[0], follow=True))))
        if answer is not None and answer.document is not None:
            self._desk.see(answer.document["jobs"])

    def _stay(self, stay: Stay) -> None:
        """Let it go on beside us, at most a few at once."""
        self.stays.append(stay)
        while sum(one.call.runs() for one in self.stays) > 3 * len(self._place.ways):
            time.sleep(0.1)

    def leave(self) -> None:
        """All has ended: who was killed has seen a part, all others have seen everything, and know it."""
        until = time.monotonic() + 30
        for one in self.stays:
            if not one.call.end(max(1.0, until - time.monotonic())):
                self._desk.complain(one.key, f"{one.what} does not end although the job has")
            answer = one.call.answer() if one.what == "wait" else None
            if answer is not None and answer.document is not None:
                self._desk.see(answer.document["jobs"])


def _job(answer: Answer) -> Mapping[str, Any]:
    assert answer.document is not None
    job: Mapping[str, Any] = answer.document["job"]
    return job
