"""Look at hosts, side by side, and mend what can be mended without harm."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter

from orch.model import Check
from orch.providers import provider_of
from orch.remote import Remote
from orch_agent.model import Refusal

from . import checks
from .parallel import Asked

PATIENCE = 30.0  # seconds for what the agent looks at, a few each
SOON = 5.0  # seconds in which most hosts have answered
_ELSEWHERE = {"shell", "clock"}
"""What matters only where there is a way between here and there."""


def examine(remotes: Sequence[Remote]) -> Iterator[tuple[Remote, list[Check]]]:
    """Every host's checks, in the order given but for those that take long: a silent one holds up nobody."""
    asked = Asked([partial(_examine, remote) for remote in remotes])
    asked.start()
    soon = sorted(asked.outcomes(SOON), key=itemgetter(0)) if len(remotes) > 1 else []
    for place, found in chain(soon, asked.outcomes()):
        if isinstance(found, Exception):
            raise found
        yield remotes[place], found


def _examine(remote: Remote) -> list[Check]:
    """The way there, and only then what is there."""
    try:
        way = provider_of(remote.host).checks(remote.host)
    except Refusal as refusal:
        return [_refused("connection", refusal)]
    if any(check.state == "failed" for check in way):
        return way
    asked = time.time()
    try:
        answer = remote.call("examine", {}, PATIENCE)
    except Refusal as refusal:
        return [*way, _refused("agent", refusal)]
    found = [*way, *checks.judge(answer, asked, time.time())]
    login = answer.get("login")
    is_root = isinstance(login, dict) and login.get("is_root")
    return [
        _without_sudo(check) if is_root and not check.here else check
        for check in found
        if check.name not in _ELSEWHERE or not remote.transport.here
    ]


def _without_sudo(check: Check) -> Check:
    """Root needs none, and often has none."""
    return check._replace(mend=check.mend.replace("sudo ", ""))


def _refused(name: str, refusal: Refusal) -> Check:
    return Check(name, "failed", refusal.message, refusal.hint, here=True)


def typed(remote: Remote, check: Check) -> str:
    """What mends it, as it is typed on this machine."""
    if not check.mend or check.here:
        return check.mend
    return remote.typed(check.mend)


def fix(remote: Remote, check: Check, terminal: bool) -> str:
    """Run what mends it, on this terminal if there is one; why it failed, or nothing. It says all on standard error."""
    try:
        argv = ["sh", "-c", check.mend] if check.here else remote.transport.login(check.mend, terminal, terminal)
    except Refusal as refusal:
        return refusal.message
    stdin = None if terminal else subprocess.DEVNULL
    status = subprocess.run(argv, stdin=stdin, stdout=sys.stderr.fileno(), check=False).returncode
    return f"it ended with status {status}" if status else ""
