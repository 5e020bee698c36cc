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
from typing import Callable, Optional

from . import (
    badness,
    cgroup,
    endlog,
    files,
    layout,
    locks,
    machine,
    observe,
    procs,
    queue,
    request,
    restore,
    runner,
    succession,
    supervision,
    trouble,
    vault,
    wake,
)
from .launch import detach, tmux
from .ledger import Ledger, Record, open_ledger
from .mend import healed
from .retention import Janitor
from .warden import Warden

_QUIET = 5.0
"""Seconds between two looks when nothing happens."""
_BUSY = 0.02
"""Seconds that must pass between two looks, at least: whoever ends or is submitted meanwhile is seen by one."""
_SHARE = 4
"""Looking takes one part in so many of a processor at most, however much there is to look at."""
_LEDGER = 3.0
"""Seconds for which the ledger is waited for: meanwhile nobody guards the memory."""
_LOST = 3.0
"""Seconds after which an admitted job without a runner is taken to have lost it, where that was another's child."""
_ON_THE_WAY = 0.2
"""Seconds between two looks while a runner has not come to begin its job."""
_AFTER_TROUBLE = 0.1
"""Seconds of rest after something went wrong."""
_VIEW_AFTER = 0.5
"""Seconds for which a job must have run to get a view: thousands of short ones need none."""
_AT_ONCE = 4
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
    os.set_inheritable(lock, False)
    procs.call_me("orch supervisor")
    badness.stay_in_memory()
    supervisor = Supervisor(lock)
    supervisor.begin()
    while supervisor.is_at_work or supervisor.has_work():
        supervisor.survive(supervisor.pause)
        supervisor.turn()


class Supervisor:
    """Holds the host's lock, listens, and looks."""

    def __init__(self, lock: int) -> None:
        self.lock: Optional[int] = lock
        self.ear = _listen()
        self.is_at_work = True
        self.wait = 0.0
        self.next_look = 0.0
        self.next_care = 0.0
        self.viewed: set[str] = set()
        self.runners: dict[str, int] = {}
        self.said = ""
        self.ledger_file: object = None
        self.can_tell = True
        self.warden = Warden()
        self.janitor = Janitor()
        gc.collect()
        gc.freeze()  # what is here now is shared with every runner, for good

    def begin(self) -> None:
        """What is to be done once: say who we are, tidy up, be called after a restart."""
        for work in (self._sign, locks.sweep, wake.prepare):
            self.survive(work)

    def _sign(self) -> None:
        if self.lock is not None:
            succession.sign(self.lock)

    def survive(self, work: Callable[[], None]) -> None:
        """Do it; what goes wrong ends nobody, is said once, and tried again at the next turn."""
        try:
            healed(work)
        except Exception as error:  # a full disk, no memory: whatever it is, there are jobs to be looked after
            if repr(error) != self.said:
                self.said = repr(error)
                trouble.complain(error)
            time.sleep(_AFTER_TROUBLE)

    def has_work(self) -> bool:
        """Whether anything is live; if not, the lock is gone when this returns."""
        self.survive(self._let_go_if_idle)
        return self.lock is not None

    def _let_go_if_idle(self) -> None:
        if self.lock is None:
            # What was let go of, was on account of a ledger that had been put aside.
            self.lock = locks.try_hold(layout.supervisor_lock())
            return
        with open_ledger(_LEDGER) as ledger:
            if self._is_idle(ledger):
                restore.missing(ledger)  # an older copy may have been put in its place
                self._tell(ledger)
            with ledger.transaction():
                if self._is_idle(ledger):
                    vault.sweep(ledger)
                    os.close(self.lock)
                    self.lock = None

    def _is_idle(self, ledger: Ledger) -> bool:
        return not (self.janitor.is_at_work or ledger.is_busy() or (self.can_tell and endlog.is_behind(ledger)))

    def _tell(self, ledger: Ledger) -> None:
        """Tell what has ended; where that cannot be written, it is no work that keeps us."""
        try:
            endlog.tell(ledger)
            self.can_tell = True
        except (OSError, sqlite3.OperationalError) as error:
            if trouble.is_damage(error):
                raise
            self.can_tell = False

    def pause(self) -> None:
        """Until somebody says that something has changed, or it is time to look."""
        until = time.monotonic() + self.wait
        while not select.select([self.ear], [], [], max(0.0, self._patience(until)))[0]:
            if time.monotonic() >= until or self.warden.look():
                return
        # The first who speaks waits for nobody.
        time.sleep(max(0.0, self.next_look - time.monotonic()))
        self._hear()

    def _patience(self, until: float) -> float:
        return min(until - time.monotonic(), self.warden.pause)

    def _hear(self) -> None:
        try:
            while True:
                self._give_way(succession.heir(self.ear.recv(4096)))
        except OSError:
            pass  # no more for now

    def _give_way(self, agent: Optional[str]) -> None:
        if agent is not None and self.lock is not None:
            succession.hand_over(self.lock, agent)

    def turn(self) -> None:
        """Look once, and do what is to be done."""
        self.wait = _QUIET
        self.is_at_work = False
        self.survive(self._take_care)
        if self.lock is not None:
            self.survive(self._start_some)

    def _take_care(self) -> None:
        """See now and then to what others may have taken from us: the lock, the socket, our own program."""
        now = time.monotonic()
        if now < self.next_care:
            return
        self.next_care = now + _QUIET
        if self.lock is not None and not succession.is_ours(self.lock):
            os.close(self.lock)
            self.lock = locks.try_hold(layout.supervisor_lock())
            self._sign()
        if not os.path.exists(layout.SUPERVISOR_SOCKET):
            self.ear.close()
            self.ear = _listen()
        self._give_way(succession.next_of_kin())
        supervision.ensure_vigil()
        with open_ledger(_LEDGER) as ledger:
            if ledger.file != self.ledger_file:
                restore.missing(ledger)
                vault.sweep(ledger)
                self.ledger_file = ledger.file
            queue.enlist(ledger, _LOST)
            for record in queue.active(ledger):
                request.wake(record.id)

    def _start_some(self) -> None:
        began, used = time.monotonic(), time.process_time()
        with open_ledger(_LEDGER) as ledger:
            starts = self._look(ledger)
            self.is_at_work = ledger.is_busy()
            self._tell(ledger)
        for record in starts:
            self._start(record)
        self._look_in(self.janitor.step())
        self.next_look = began + max(_BUSY, _SHARE * (time.process_time() - used))

    def _look(self, ledger: Ledger) -> list[Record]:
        """Who is to be started, now that the ledger is closed again."""
        running = self._running(ledger)
        if queue.resolve_needs(ledger):
            self.wait = 0.0  # others may wait for those that were cancelled for it
        lost = [record for record in running if self._is_lost(record)]
        self.runners = {one.id: self.runners[one.id] for one in running if one.id in self.runners}
        chosen: list[Record] = []
        on_their_way = sum(record.started_at is None for record in running)
        self.warden.look()
        host = self.warden.host
        most = _AT_ONCE * host.cpus - on_their_way
        may_start = self.warden.held is None and machine.is_ours() and not trouble.disk_is_full(layout.root())
        if most > 0 and may_start:
            plan = queue.plan(ledger, running, host, most).plan
            chosen = queue.admit(ledger, plan.starts) if plan.starts else []
            if chosen:
                self._look_in(_ON_THE_WAY)  # for those who come after them
        self.warden.meet([*running, *chosen])
        due = queue.next_due(ledger, time.time())
        if due is not None:
            self._look_in(due - time.time())
        return lost + chosen

    def _look_in(self, seconds: float) -> None:
        self.wait = min(self.wait, max(0.0, seconds))

    def _running(self, ledger: Ledger) -> list[Record]:
        """The jobs that hold what they were given; those whose runners have gone are seen to."""
        active = queue.active(ledger)
        gone = [one for one in active if one.started_at is not None and not locks.is_held(layout.lock_file(one.id))]
        ids = {record.id for record in gone}
        for record in observe.note_ends(ledger, gone):
            observe.look(ledger, record)
            now = ledger.get(record.id)
            if now is not None and now.started_at is not None and now.ended_at is None:
                ids.remove(record.id)
        living = [record for record in active if record.id not in ids]
        for record in living:
            if record.started_at is not None:
                self._view(record)
        return living

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
        self._look_in(_ON_THE_WAY)
        runner = self.runners.get(record.id)
        if runner is not None:
            return not _lives(runner)
        age = abs(time.time() - (record.admitted_at or 0.0))
        return age > _LOST and not locks.is_held(layout.lock_file(record.id))

    def _start(self, record: Record) -> None:
        try:
            child = os.fork()
        except OSError as error:
            trouble.complain(error)  # no memory, no process to be had: it counts as lost, and comes again
            return
        self.runners[record.id] = child
        if child == 0:
            try:
                detach.become_runner()
                runner.main(record)
            except Exception as error:
                trouble.complain(error, record.ref)
            finally:
                os._exit(0)


def _lives(pid: int) -> bool:
    """Whether our child has not ended: the kernel has reaped it then."""
    try:
        os.kill(pid, 0)
        return True
    except OSError:
        return False


def _listen() -> socket.socket:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.setblocking(False)
    files.remove(layout.SUPERVISOR_SOCKET)
    try:
        ear.bind(layout.SUPERVISOR_SOCKET)
    except OSError:
        pass  # a full disk: deaf, we still look now and then
    return ear
