"""Look at hosts, side by side, and mend what can be mended without harm."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial

from orch.model import Check
from orch.providers import provider_of
from orch.remote import Remote
from orch_agent.model import Refusal

from . import checks
from .parallel import as_they_end

PATIENCE = 30.0  # seconds for what the agent looks at, a few each
_ELSEWHERE = {"shell", "clock"}
"""What matters only where there is a way between here and there."""
_PLAIN = re.compile(r"[\w ./:=@%+,-]+", re.ASCII)


def examine(remotes: Sequence[Remote]) -> Iterator[tuple[Remote, list[Check]]]:
    """Every host's checks, the fastest host first: a silent one holds up nobody."""
    for place, found in as_they_end([partial(_examine, remote) for remote in remotes]):
        if isinstance(found, Exception):
            raise found
        yield remotes[place], found


def _examine(remote: Remote) -> list[Check]:
    """The way there, and only then what is there."""
    way = provider_of(remote.host).checks(remote.host)
    if any(check.state == "failed" for check in way):
        return way
    asked = time.time()
    try:
        answer = remote.call("examine", {}, PATIENCE)
    except Refusal as refusal:
        return [*way, Check("agent", "failed", refusal.message, refusal.hint, here=True)]
    found = checks.judge(answer, asked, time.time())
    return [*way, *(check for check in found if check.name not in _ELSEWHERE or not remote.transport.here)]


def typed(remote: Remote, check: Check) -> str:
    """What mends it, as it is typed on this machine."""
    if not check.mend or check.here or remote.transport.here:
        return check.mend
    words = check.mend if _PLAIN.fullmatch(check.mend) else shlex.quote(check.mend)
    return f"orch ssh {remote.host.name} -- {words}"


def fix(remote: Remote, check: Check, terminal: bool) -> int:
    """Run what mends it, on this terminal if there is one; its exit status. What it says goes to standard error."""
    shell = ["sh", "-c", check.mend]
    argv = shell if check.here else remote.transport.login(check.mend, terminal)
    stdin = None if terminal else subprocess.DEVNULL
    return subprocess.run(argv, stdin=stdin, stdout=sys.stderr.fileno(), check=False).returncode
