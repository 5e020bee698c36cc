"""What goes wrong on the host, on the way to it and on the laptop.

Invariants
- Whoever is to be killed is stopped first and looked at again, so that it is known who was killed.
- Before a runner dies its job is noted: only such a job may end as NODE_FAIL. Nothing else excuses one but a host that
  went down as a whole.
- What lasts is undone by ``mend``, at the latest when all is to be calm.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from .history import History
from .places import Far, Place, Process
from .plan import Fault
from .ways import Call


class Faults:
    """Makes them happen to one place, one after the other; some last, and so meet others. ``calls``: those that run."""

    def __init__(self, place: Place, history: History, calls: Callable[[], Sequence[Call]]) -> None:
        self.place = place
        self._history = history
        self._calls = calls
        self._lasting: dict[int, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._stopped: set[int] = set()

    def happen(self, fault: Fault) -> None:
        """Do it; where there is nobody to suffer from it, that is noted too."""
        with self.place.lock:
            happened = getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)
        if not happened:
            self._history.add("no fault", kind=fault.kind)

    def mend(self) -> None:
        """Undo at once what would have lasted."""
        with self.place.lock:
            while self._lasting:
                self._lasting.popitem()[1]()

    def _note(self, kind: str, job: str = "", **facts: object) -> bool:
        self._history.add("fault", job, kind=kind, **facts)
        return True

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo it then, or at ``mend``: once."""

        def once() -> None:
            with self.place.lock:
                self._lasting.pop(number, lambda: None)()

        number = next(self._numbers)
        self._lasting[number] = undo
        timer = threading.Timer(seconds, once)
        timer.daemon = True
        timer.start()

    def _one(self, found: Sequence[Process], fault: Fault) -> Process | None:
        """One of them, stopped; None where it has gone or become another meanwhile."""
        one = sorted(found)[int(fault.pick * len(found))] if found else None
        if one is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGSTOP)
            now = self.place.look(one.pid)
            if now is not None and (now.role, now.job) == (one.role, one.job):
                return now
            os.kill(one.pid, signal.SIGCONT)
        return None

    # Keepers

    def _runner(self, fault: Fault) -> bool:
        one = self._one(self.place.runners(), fault)
        if one is None:
            return False
        self._note("runner", one.job, attempt=self._attempt(one.job))
        os.kill(one.pid, signal.SIGKILL)
        return True

    def _attempt(self, job: str) -> int | None:
        with suppress(OSError, ValueError, KeyError):
            told = json.loads((self.place.root / "live" / f"{job}.lock").read_text())
            return int(told["attempt"])
        return None

    def _killed(self, kind: str, found: Sequence[Process], fault: Fault) -> bool:
        one = self._one(found, fault)
        if one is None:
            return False
        os.kill(one.pid, signal.SIGKILL)
        return self._note(kind, one.job if kind == "adopter" else "", was=" ".join(one.words[4:5]))

    def _supervisor(self, fault: Fault) -> bool:
        return self._killed("supervisor", self.place.supervisors(), fault)

    def _adopter(self, fault: Fault) -> bool:
        return self._killed("adopter", self._called("adopt"), fault)

    def _called(self, *roles: str) -> list[Process]:
        return [one for one in self.place.processes() if one.role in roles]

    def _stopped_supervisor(self, fault: Fault) -> bool:
        one = self._one(self.place.supervisors(), fault)
        if one is None or one.pid in self._stopped:
            return False
        self._stopped.add(one.pid)

        def go_on() -> None:
            self._stopped.discard(one.pid)
            now = self.place.look(one.pid)
            if now is not None and now.role == one.role:
                os.kill(one.pid, signal.SIGCONT)

        self._later(2 * fault.seconds, go_on)
        return self._note(fault.kind, seconds=2 * fault.seconds)

    def _all(self, fault: Fault) -> bool:
        """Every keeper and every job at the same time, as when the host goes down."""
        self._note(fault.kind)
        for _ in range(2):  # who was forked meanwhile
            found = [one for one in self.place.processes() if one.role and one.role != "tmux"]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for one in found:
                    with suppress(ProcessLookupError):
                        os.kill(one.pid, number)
        return self._note("all down")

    def _tmux(self, fault: Fault) -> bool:
        return self._killed("tmux", self._called("tmux"), fault)

    def _client(self, fault: Fault) -> bool:
        """Where it runs; and over ssh, what was called there."""
        verbs = self._called("submit", "status", "wait", "cancel", "logs", "show")
        if isinstance(self.place, Far) and verbs and fault.seconds > 1.5:
            return self._killed("verb", verbs, fault)
        calls = self._calls()
        if not calls:
            return False
        calls[int(fault.pick * len(calls))].kill()
        return self._note("client")

    # The disk

    def _disk(self, fault: Fault) -> bool:
        self.place.fill()
        self._later(fault.seconds, self.place.empty)
        return self._note(fault.kind, seconds=fault.seconds)

    # The way to another machine

    def _sshd(self, fault: Fault) -> bool:
        assert isinstance(self.place, Far)
        self.place.machine.restart_sshd()
        return self._note(fault.kind)

    def _cut(self, fault: Fault) -> bool:
        return self._link_fails(fault, lambda far: far.link.cut())

    def _unplugged(self, fault: Fault) -> bool:
        return self._link_fails(fault, lambda far: far.link.unplug())

    def _link_fails(self, fault: Fault, fails: Callable[[Far], None]) -> bool:
        assert isinstance(self.place, Far)
        fails(self.place)
        self._later(2 * fault.seconds, self.place.link.mend)
        return self._note(fault.kind, seconds=2 * fault.seconds)

    def _laptop(self, fault: Fault) -> bool:
        assert isinstance(self.place, Far)
        laptops = self.place.laptops
        self._note(fault.kind)
        laptops[int(fault.pick * len(laptops))].crash()
        return True

    def _reboot(self, fault: Fault) -> bool:
        assert isinstance(self.place, Far)
        self._note(fault.kind)
        self.place.machine.power_off()
        self._note("all down")
        time.sleep(fault.seconds / 3)
        self.place.machine.boot()
        self._stopped.clear()
        return True
