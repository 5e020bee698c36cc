"""What keeps this codespace awake while a job runs for longer than GitHub's timer: gh's own ssh, held from inside.

Invariants
- gh tells GitHub once a minute that somebody is there, for as long as a command runs in its ssh; the command ends
  when its standard input closes: with us, however we end.
- It is held from half of the timer after the last presence on, and renewed after every third of it: the one before
  goes when the next is up. Up is what has spoken from the far side, not what was merely started.
- It needs a token that may reach the codespace; where one fails the next is tried, at longer and longer intervals.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Optional

from . import codespace, files, github, layout
from .codespace import Rights

_WORD = b"=orch="
COMMAND = "exec sh -c 'echo =orch=; cat >/dev/null; :'"
"""What is run on the far side, which is here: it says that it is up, and waits for the end of its input."""
_FIRST, _PATIENCE = 1 / 12, 2
"""Minutes before the first new try, and in which one has to be up."""


class KeepAlive:
    """At most one ssh to this codespace, and for a moment the one that follows it."""

    def __init__(self) -> None:
        self._holds: list[_Hold] = []
        self._ending: list[_Hold] = []
        self._which = 0
        self._failures = 0
        self._try_at = 0.0

    @property
    def is_present(self) -> bool:
        """Whether GitHub sees somebody there by our doing."""
        return any(hold.is_up() for hold in self._holds)

    def serve(self, is_needed: bool, present_at: float) -> None:
        """Hold it, or let go of it, as is needed. ``present_at``: when somebody else was there last."""
        self._ending = [hold for hold in self._ending if not hold.has_gone()]
        if not is_needed:
            self.close()
            return
        self._look_after_newest()
        age, timer = time.time() - present_at, codespace.timer()
        newest = self._holds[-1] if self._holds else None
        is_due = newest.is_up() and newest.age() >= timer / 3 if newest else not 0 <= age <= timer / 2
        if is_due and time.monotonic() >= self._try_at:
            self._begin()

    def close(self) -> None:
        """Let go of it."""
        self._end(self._holds[:])
        self._failures, self._try_at = 0, 0.0

    def _end(self, holds: list[_Hold]) -> None:
        for hold in holds:
            hold.end()
            self._holds.remove(hold)
            self._ending.append(hold)

    def _look_after_newest(self) -> None:
        if not self._holds:
            return
        newest = self._holds[-1]
        if newest.is_over() or (not newest.is_up() and newest.age() > _PATIENCE * codespace.minute()):
            self._end([newest])
            self._fail(newest.why())
        elif newest.is_up() and not newest.is_known:
            newest.is_known, self._failures = True, 0
            self._end(self._holds[:-1])
            _tell(True, None)

    def _begin(self) -> None:
        known = list(github.tokens())
        if not known or not github.has_gh():
            self._fail("it has no token of GitHub's" if github.has_gh() else github.NO_GH)
            return
        _, token = known[self._which % len(known)]
        try:
            self._holds.append(_Hold(token))
        except OSError as error:
            self._fail("gh cannot be run: %s" % error.strerror)

    def _fail(self, why: str) -> None:
        most = codespace.timer() / 6
        self._try_at = time.monotonic() + min(most, _FIRST * codespace.minute() * 2 ** min(self._failures, 20))
        self._failures += 1
        self._which += 1
        _tell(False, why)


class _Hold:
    """One ssh. ``is_known``: to be up."""

    def __init__(self, token: str) -> None:
        words = ["gh", "codespace", "ssh", "-c", codespace.name(), "--", COMMAND]
        self._errors = os.path.join(layout.root(), "keepalive.err")
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                words, stdin=-1, stdout=-1, stderr=errors, env=github.environment(token), bufsize=0
            )
        self._began = time.monotonic()
        self._has_spoken = self.is_known = False
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def is_up(self) -> bool:
        """Whether its command runs."""
        assert self._process.stdout
        if not self._has_spoken:
            self._has_spoken = _WORD in (self._process.stdout.read(4096) or b"")
        return self._has_spoken and not self.is_over()

    def age(self) -> float:
        """Seconds since it was begun, or was to end."""
        return time.monotonic() - self._began

    def why(self) -> str:
        """Why it failed."""
        said = (files.read_text(self._errors) or "").encode("ascii", "replace")
        return github.first_line(said) or "gh codespace ssh %s" % ("ended" if self.is_known else "did not get there")

    def end(self) -> None:
        """Close its input, which ends what it has reached."""
        assert self._process.stdin and self._process.stdout
        self._began = time.monotonic()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass  # it has gone

    def has_gone(self) -> bool:
        """Whether it is over; one that does not end is killed."""
        if not self.is_over() and self.age() > _PATIENCE * codespace.minute():
            self._process.kill()
        return self.is_over()


def _tell(may: bool, why: Optional[str]) -> None:
    """In the facts of the codespace."""
    known = codespace.rights() or Rights()
    if (known.can_reach, known.why_unreached) != (may, why):
        codespace.keep_rights(known._replace(can_reach=may, why_unreached=why))
