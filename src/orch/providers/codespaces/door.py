"""The way into a codespace: OpenSSH, whose proxy is ``gh codespace ssh --stdio``.

Invariants
- A connection is made only to a codespace that runs, as REST tells: gh would start one that does not.
- As whom ssh comes in, and by which key, ``gh codespace ssh --config`` says, once; gh makes the key.
- Its host key is not checked: gh's tunnel, which GitHub lets only its owner open, ends in that very codespace.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orch.errors import OrchError
from orch.ssh.door import Way
from orch.transport import LinkDown, NeverUsed, Off

from . import gh, memory, space
from .memory import Entrance

_FRESH = 5.0  # seconds for which a codespace that was stopped is taken to be so
_CONFIG = 60.0  # seconds that gh may take to find out how it is entered
_UNCHECKED = ("UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=no")
_PLAIN = re.compile(r"[\w./@%+:,~-]+")
_NO_SSHD = re.compile(r"SSH server is installed|failed to start SSH server")


class Door:
    """Of one codespace; ``host`` is what it is called here."""

    seconds = 90  # gh asks GitHub, opens a tunnel, and has the codespace start its sshd

    def __init__(self, host: str, name: str) -> None:
        self._host = host
        self.name = name

    def is_shut(self) -> bool:
        """As GitHub said last."""
        found = memory.load().spaces.get(self.name)
        return found is not None and bool(found.off)

    @contextmanager
    def opened(self, until: float | None) -> Iterator[Way]:
        """The proxy, for a codespace that runs."""
        self._check()
        entrance = self._entrance(until)
        proxy = f"gh codespace ssh -c {self.name} --stdio -- -i {_quoted(entrance.key)}"
        ours = (f"ProxyCommand={proxy}", f"User={entrance.user}", f'IdentityFile="{entrance.key}"')
        settings = (*ours, "IdentitiesOnly=yes", *_UNCHECKED)
        yield Way([word for setting in settings for word in ("-o", setting)], gh.environment())

    def _check(self) -> None:
        known = memory.load()
        found = known.spaces.get(self.name) if known.age < _FRESH else None
        if found is None or found.off != "stopped":  # it may have stopped since, and gh would start it
            found = space.one(self.name)
            if found is None:
                memory.forget(self.name)
            else:
                memory.note(found)
        if found is None:
            raise gone(self._host)
        if found.off:
            raise off(self._host, found.off)

    def _entrance(self, until: float | None) -> Entrance:
        known = memory.load().entrances.get(self.name)
        if known is not None:
            return known
        gh.check_version()
        patience = _CONFIG if until is None else max(1.0, min(_CONFIG, until - time.monotonic()))
        try:
            said = gh.call(["codespace", "ssh", "--config", "-c", self.name], patience=patience).decode(
                errors="replace"
            )
        except OrchError as error:
            raise self.meaning(error.message) or error from None
        user, key = (_field(said, keyword) for keyword in ("User", "IdentityFile"))
        if not user or not key:
            says = f"gh does not say how {self._host} is entered"
            raise OrchError("host", says, f"gh codespace ssh --config -c {self.name}")
        entrance = Entrance(user, key)
        memory.note_entrance(self.name, entrance)
        return entrance

    def meaning(self, said: str) -> OrchError | None:
        """What gh says in ssh's place."""
        if "gh: not found" in said or "gh: command not found" in said:
            return gh.missing()
        if _NO_SSHD.search(said):
            hint = (
                f"cs init    # in your clone; commit and push it, then make the codespace anew\ncs delete {self.name}"
            )
            return NeverUsed("refused", f"{self._host} has no SSH server: its image lacks one", hint)
        if "gh auth login" in said or "HTTP 401" in said:
            return OrchError("not_authorised", "gh is not logged in to GitHub", "gh auth login -s codespace")
        if "HTTP 404" in said:
            return gone(self._host)
        if "Permission denied" in said:
            memory.note_entrance(self.name, None)  # the key may have been renewed: it is asked for again
            return None
        if "codespace" in said:
            return LinkDown(f"{self._host} cannot be reached: {said.strip().splitlines()[-1][:300]}", "cs status")
        return None


def off(host: str, state: str) -> Off:
    """That a codespace does not run."""
    return gone(host) if state == "absent" else Off(host, state)


def gone(host: str) -> Off:
    """That there is no such codespace any more."""
    return Off(host, "absent", hint="cs status    # those that there are")


def _field(said: str, keyword: str) -> str:
    found = re.search(rf"^\s*{keyword}\s+\"?([^\"\n]+?)\"?\s*$", said, re.MULTILINE)
    return found[1] if found else ""


def _quoted(path: str) -> str:
    """As the shell that runs the proxy reads it, and ssh before it, to which % is special."""
    import shlex

    return (path if _PLAIN.fullmatch(path) else shlex.quote(path)).replace("%", "%%")
