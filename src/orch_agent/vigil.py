"""The one process of a codespace that sees to it that it is awake for as long as its jobs, and no longer.

Invariants
- One a codespace, by a lock, from the first contact to the stop; every verb and the supervisor look whether it lives.
  Where nobody does, a shell waits for the end of a pipe that ends with this process, and starts the next.
- It is stopped ``idle_stop`` seconds after the last job, use, or stir at a terminal: by the clock of those who looked,
  so that a new one, and a clock that leaps, begin anew. A job that lives, or waits, is never stopped by us.
- It is closed for jobs before, in one transaction with the last look for them, and opened again only where GitHub said
  no: after an answer that says nothing, or none, it may be stopping, and stays closed for as long as that may take.
- A full disk does not keep it awake.
- A newer agent's succeeds it in the same process, with the lock held.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Callable, Optional

from . import (
    badness,
    cgroup,
    closed,
    codespace,
    files,
    github,
    idle,
    keepalive,
    layout,
    locks,
    onlookers,
    procs,
    provision,
    succession,
    supervision,
    trouble,
    uptime,
    wake,
)
from .launch import detach
from .ledger import open_ledger
from .mend import healed

_LOOKS = 12
"""In a minute."""
_SHORTEST, _LONGEST = 0.05, 5.0
"""Seconds between two looks, at least and at most."""
_AGAIN = 5
"""Minutes after which it is tried again to stop it, where that was denied."""
_DYING = 10
"""Minutes that a stop may take: so long it is closed, and then tried again."""
_ROOM = 1 << 20
"""Bytes set aside for what the ledger has to be told when the disk is full."""
_SURVIVE = 'cat >/dev/null; exec "$@"'
_PARTING = 5.0
"""Seconds for which it is waited for who would have survived us."""
_LEDGER = 3.0
"""Seconds for which the ledger is waited for."""


def main(handed: str = "") -> None:
    """Keep watch until the codespace stops. ``handed``: the descriptor of the lock, from the one before."""
    detach.deafen()
    if not codespace.is_here():
        return
    lock = int(handed) if handed else locks.try_hold(layout.awake_lock())
    if lock is None:
        return
    os.set_inheritable(lock, False)
    detach.AGENT = os.path.realpath(detach.AGENT)
    os.chdir(layout.root())
    procs.call_me("orch awake")
    cgroup.keep_apart()
    badness.spare()
    vigil = Vigil(lock)
    vigil.begin()
    while succession.is_ours(lock, layout.awake_lock()):
        vigil.survive(vigil.turn)
        time.sleep(vigil.pause())
    vigil.close()


class Vigil:
    """Looks, keeps awake, stops."""

    def __init__(self, lock: int) -> None:
        self.lock = lock
        self.keepalive = keepalive.KeepAlive()
        self._survivor: Optional[subprocess.Popen[bytes]] = None
        self._signs: object = None
        self._since = time.monotonic()
        self._note_at = 0.0
        self._try_at = 0.0
        self._said = ""

    def begin(self) -> None:
        """What is to be done once."""
        for work in (lambda: succession.sign(self.lock), closed.prepare, self._set_aside):
            self.survive(work)
        for work in (wake.prepare, provision.begin, self._learn_rights):
            self.survive(work)

    def _learn_rights(self) -> None:
        github.rights()

    def _set_aside(self) -> None:
        files.set_aside(layout.room_file(), _ROOM)

    def close(self) -> None:
        """This process ends, or becomes another agent's."""
        self.keepalive.close()
        if self._survivor is not None and self._survivor.stdin:
            self._survivor.stdin.close()
            self._survivor.wait(_PARTING)

    def _have_survivor(self) -> None:
        if self._survivor is None or self._survivor.poll() is not None:
            words = ["sh", "-c", _SURVIVE, "sh", *detach.command("wake")]
            self._survivor = subprocess.Popen(words, stdin=-1, stdout=-3, stderr=-3, start_new_session=True)

    def survive(self, work: Callable[[], None]) -> None:
        """Do it; what goes wrong ends nobody, and is said once."""
        try:
            healed(work)
        except Exception as error:  # a full disk, no memory: there is a codespace to be stopped
            if repr(error) != self._said:
                self._said = repr(error)
                trouble.complain(error)

    def pause(self) -> float:
        """Seconds until the next look."""
        soon = [codespace.minute() / _LOOKS, _LONGEST]
        if codespace.idle_stop():
            soon.append(codespace.idle_stop() / _LOOKS)
        return max(_SHORTEST, min(soon))

    def turn(self) -> None:
        """Look once, and do what is to be done."""
        self._give_way()
        self._have_survivor()
        lives = self._look()
        present_at = time.time() if self.keepalive.is_present else codespace.contact_at()
        self.keepalive.serve(lives, present_at)
        if time.monotonic() >= self._note_at:
            self._note_at = time.monotonic() + codespace.minute()
            uptime.note(present_at)
            self._set_aside()
        self._stop_if_idle()

    def _give_way(self) -> None:
        agent = (files.read_text(layout.heir_file()) or "").strip() or succession.next_of_kin()
        files.remove(layout.heir_file())
        if agent and succession.is_agent(agent):
            self.survive(self.close)
            succession.hand_over(self.lock, agent, "vigil")

    def _look(self) -> bool:
        """Whether a job lives; since when nothing has gone on is brought up to date."""
        with open_ledger(_LEDGER) as ledger:
            seen = idle.look(ledger)
        if seen.unended and not seen.live and trouble.disk_is_full(layout.root()):
            files.remove(layout.room_file())  # a job has filled it, and the ledger could not be told of its end
        if seen.unended and not seen.supervised:
            supervision.ensure()
        signs = (seen.last_end, seen.last_use, onlookers.last_stir())
        if seen.is_busy or signs != self._signs or onlookers.has_command():
            self._signs, self._since = signs, time.monotonic()
        return bool(seen.live)

    def _stop_if_idle(self) -> None:
        limit, now = codespace.idle_stop(), time.monotonic()
        if not limit or now - self._since < limit or now < self._try_at:
            return
        if github.rights().can_stop is False:
            self._rest(_AGAIN)  # the rights are found out anew each hour
        elif self._close():
            uptime.note(codespace.contact_at())
            is_denied = github.stop() is False
            self._rest(_AGAIN if is_denied else _DYING)
            if is_denied:
                closed.open_again()

    def _rest(self, minutes: float) -> None:
        self._try_at = time.monotonic() + minutes * codespace.minute()

    def _close(self) -> bool:
        """Take no jobs any more; not if there are any, or somebody has come, or somebody else is about to stop it."""
        self._look()
        if closed.why() is not None or time.monotonic() - self._since < codespace.idle_stop():
            return False
        seconds = max(30.0, _DYING * codespace.minute())
        with open_ledger(_LEDGER) as ledger:
            return not closed.close(ledger, "is about to stop, for it was idle", seconds, False)
