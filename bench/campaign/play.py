"""Lets a plan happen to a place: clients submit side by side, faults come; then all is calm, and facts are gathered."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .clients import Clients
from .desk import HANGS, Desk
from .facts import Facts, effects
from .faults import Faults
from .places import Place
from .plan import Plan

LIVE = ("PENDING", "RUNNING")
STUCK = 40.0
"""Seconds without any change after which what has not ended, with all calm, is forgotten."""
_TIDY = 20.0
"""Seconds after the last end in which everything that kept jobs has ended."""


class Campaign:
    """One play of one plan."""

    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan = plan
        self.place = place
        self.desk = Desk()
        self._clients = Clients(plan, place, self.desk)
        self._faults = Faults(place, self.desk.history, self.desk.running)
        self._host: Mapping[str, Any] = {}
        self._over = threading.Event()

    def play(self) -> Facts:
        """Everything, to the end; what was found out."""
        clients = [_started(self._clients.work, way, number) for number, way in enumerate(self.place.ways)]
        faults, looker = _started(self._fail), _started(self._look_on)
        for thread in (*clients, faults):
            thread.join()
        self._faults.mend()
        self.desk.history.add("calm")
        self._until_all_have_ended()
        self._over.set()
        looker.join()
        self._clients.leave()
        return self._gather()

    def _fail(self) -> None:
        for fault in self.plan.faults:
            self._clients.wait_for(fault.after)
            time.sleep(fault.delay)
            if self.desk.wrong:
                return
            try:
                self._faults.happen(fault)
            except Exception as error:
                said = f"the fault {fault.kind} could not be made: {type(error).__name__} {error}"
                self.desk.complain("", said)

    def _look_on(self) -> None:
        while not self._over.wait(1.0):
            self._look()

    def _look(self) -> Sequence[Mapping[str, Any]] | None:
        """Every job as the host tells it now; None where it does not answer."""
        answer = self.desk.answer(self.place.ways[0].status(), "", "status")
        if answer.document is None:
            self.desk.history.add("no status", kind=answer.kind, said=answer.said)
            return None
        host = answer.document.get("host") or answer.document["hosts"][0]
        if host.get("error"):
            return None
        self._host = host
        return self.desk.see(answer.document["jobs"], whole=True)

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
                said = f"it was forgotten: {state} (attempt {attempt}), and for {STUCK:g} s nothing moves"
                self.desk.complain(job_id, said)

    # Facts

    def _gather(self) -> Facts:
        final = self._look() or []
        told, stays = self._clients.told, self._clients.stays
        return Facts(
            plan=self.plan,
            acknowledged={self.plan.key(self.plan.jobs[number]): job for number, job in told.items()},
            effects=effects(self.place.effects),
            final={job["id"]: job for job in final},
            seen=self.desk.seen,
            logs={job["id"]: _read(self.place, job["log_path"]) for job in final},
            shown={job["id"]: self._log(f"{job['name']}.{job['run']}") for job in final[:: max(1, len(final) // 20)]},
            followed=[
                (one.ref, one.way.bytes_of(one.call), one.call.process.returncode == 0)
                for one in stays
                if one.what == "follow"
            ],
            host=self._host,
            ledger=_ledger(self.place),
            events=list(self.desk.history),
            left=self._left(),
        )

    def _log(self, ref: str) -> bytes:
        way = self.place.ways[0]
        call = way.log(ref, follow=False)
        if not call.end(HANGS):
            self.desk.complain("", f"the log of {ref} does not come")
        return way.bytes_of(call)

    def _left(self) -> list[str]:
        """What of jobs and keepers still is there, a while after the last end; views close by themselves."""
        until = time.monotonic() + _TIDY
        while True:
            found = [one for one in self.place.processes() if one.role in ("job", "runner", "adopt", "supervisor")]
            locks = [path.name for path in (self.place.root / "live").glob(f"s{self.plan.seed}-*")]
            if not (found or locks) or time.monotonic() > until:
                return [*(f"{one.role} {one.job} {one.pid}" for one in found), *locks]
            time.sleep(0.2)


def _started(work: Callable[..., None], *words: object) -> threading.Thread:
    """A thread; nobody waits for it who has been stopped himself."""
    thread = threading.Thread(target=work, args=words, daemon=True)
    thread.start()
    return thread


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
