"""The one process of a host that exists while anything is pending, running or due: it admits and starts.

Invariants
- One a host, by a lock. It lets go of the lock only inside the transaction that found nothing to do, so whoever
  commits a job and then finds the lock free starts the next supervisor, and no job is forgotten.
- It knows nothing that the ledger does not: killed at any point, the next one goes on.
- A job is admitted on disk before it is started, and started by a fork: its runner is this program, already loaded.
- While it waits, its warden looks after the host's memory, as often as that is scarce.
- It is nobody's child, and nobody is a child of it that it waits for.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sqlite3
import time

from . import badness, cgroup, files, layout, locks, observe, procs, queue, runner, trouble
from .launch import detach, tmux
from .ledger import Ledger, Record, open_ledger
from .model import Refusal
from .retention import Janitor
from .warden import Warden

_QUIET = 5.0
"""Seconds between two looks when nothing happens."""
_BUSY = 0.005
"""Seconds that must pass between two looks."""
_LOST = 3.0
"""Seconds after which an admitted job without a runner is taken to have lost it on the way."""
_VIEW_AFTER = 0.5
"""Seconds for which a job must have run to get a view: thousands of short ones need none."""
_AT_ONCE = 2
"""Jobs that may be on their way from admission to their start, for each processor."""


def main(handed: str = "") -> None:
    """Supervise until there is nothing to do. ``handed``: the descriptor of the lock, from the supervisor before."""
    detach.deafen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    os.makedirs(layout.live_dir(), mode=0o700, exist_ok=True)
    os.chdir(layout.root())
    cgroup.keep_apart()
    badness.spare()
    lock = int(handed) if handed else locks.try_hold(layout.supervisor_lock())
    if lock is None:
        return
    procs.call_me("orch supervisor")
    locks.sweep()
    badness.stay_in_memory()
    supervisor = Supervisor(lock)
    while supervisor.has_work():
        supervisor.pause()
        supervisor.turn()


class Supervisor:
    """Holds the host's lock, listens, and looks."""

    def __init__(self, lock: int) -> None:
        self.lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        files.remove(layout.SUPERVISOR_SOCKET)
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(layout.SUPERVISOR_SOCKET)
        self.ear.setblocking(False)
        self.wait = 0.0
        self.viewed: set[str] = set()
        self.warden = Warden()
        self.janitor = Janitor()
        gc.collect()
        gc.freeze()  # what is here now is shared with every runner, for good

    def has_work(self) -> bool:
        """Whether anything is live; if not, the lock is gone when this returns."""
        try:
            with open_ledger() as ledger, ledger.transaction():
                if self.janitor.is_at_work or ledger.is_busy():
                    return True
                os.close(self.lock)
                return False
        except (Refusal, sqlite3.Error):
            return True  # a full disk, for one: what is live cannot be known, so it is looked after

    def pause(self) -> None:
        """Until somebody says that something has changed, or it is time to look."""
        until = time.monotonic() + self.wait
        while not select.select([self.ear], [], [], max(0.0, self._patience(until)))[0]:
            if time.monotonic() >= until or self.warden.look():
                return
        time.sleep(_BUSY)
        try:
            while self.ear.recv(16):
                pass
        except OSError:
            pass

    def _patience(self, until: float) -> float:
        return min(until - time.monotonic(), self.warden.pause)

    def turn(self) -> None:
        """Look once, and do what is to be done."""
        self.wait = _QUIET
        try:
            with open_ledger() as ledger:
                starts = self._look(ledger)
        except (Refusal, sqlite3.Error, OSError) as error:
            os.write(2, b"%a\n" % str(error))
            return
        for record in starts:
            self._start(record)
        self._look_in(self.janitor.step())

    def _look(self, ledger: Ledger) -> list[Record]:
        """Who is to be started, now that the ledger is closed again."""
        if queue.resolve_needs(ledger):
            self.wait = 0.0
        running = [record for record in queue.active(ledger) if self._is_live(ledger, record)]
        lost = [record for record in running if self._is_lost(record)]
        chosen: list[Record] = []
        on_their_way = sum(record.started_at is None for record in running)
        self.warden.look()
        host = self.warden.host
        most = _AT_ONCE * host.cpus - on_their_way
        if most > 0 and self.warden.held is None and not trouble.disk_is_full(layout.root()):
            plan = queue.plan(ledger, running, host, most).plan
            chosen = queue.admit(ledger, plan.starts) if plan.starts else []
        self.warden.meet([*running, *chosen])
        due = queue.next_due(ledger, time.time())
        if due is not None:
            self._look_in(due - time.time())
        return lost + chosen

    def _look_in(self, seconds: float) -> None:
        self.wait = min(self.wait, max(0.0, seconds))

    def _is_live(self, ledger: Ledger, record: Record) -> bool:
        """Whether it still holds what it was given; a job whose runner has gone is seen to."""
        if record.started_at is None:
            return True
        if not locks.is_held(layout.lock_file(record.id)):
            observe.look(ledger, record)
            now = ledger.get(record.id)
            return now is not None and now.started_at is not None and now.ended_at is None
        self._view(record)
        return True

    def _view(self, record: Record) -> None:
        """Open its view, once it has run for a while."""
        age = time.time() - (record.started_at or 0.0)
        if record.id not in self.viewed and abs(age) >= _VIEW_AFTER:
            self.viewed.add(record.id)
            detach.aside(lambda: tmux.open_if_few(record))
        elif record.id not in self.viewed:
            self._look_in(_VIEW_AFTER - age)

    def _is_lost(self, record: Record) -> bool:
        """Whether it was admitted, and nobody starts it."""
        if record.started_at is not None:
            return False
        age = abs(time.time() - (record.admitted_at or 0.0))
        self._look_in(_LOST)
        return age > _LOST and not locks.is_held(layout.lock_file(record.id))

    def _start(self, record: Record) -> None:
        try:
            child = os.fork()
        except OSError as error:
            os.write(2, b"%a\n" % str(error))  # no memory, no process to be had: it counts as lost, and comes again
            return
        if child == 0:
            try:
                detach.become_runner(record.id)
                runner.main(record.id)
            except Exception as error:
                os.write(2, b"%a\n" % str(error))
            finally:
                os._exit(0)
