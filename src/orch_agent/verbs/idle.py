"""``idle``: whether this machine may be stopped. A plain command, for a timer that root runs.

It needs no request: ``sudo -H -u USER python3 ~USER/.orch/agent idle``, with ``ORCH_HOME`` where that is set. A status
other than 0 says that nobody knows, and that the machine must not be stopped.
"""

from __future__ import annotations

import os
import shlex
import time

from .. import codespace, idle, layout, supervision
from ..launch import detach, tmux
from ..ledger import open_ledger
from ..model import Refusal, rfc3339
from .common import Answer, Request


def run(request: Request) -> Answer:
    """What is going on, and for how many seconds nothing has: None while something is."""
    _check_place()
    with open_ledger() as ledger:
        seen = idle.look(ledger)
    if seen.unended and not seen.supervised:
        detach.AGENT = os.path.realpath(detach.AGENT)  # we may have come by a link that leads elsewhere tomorrow
        supervision.ensure()  # what the ledger says may be old: somebody finds out, for the next time
    return {
        "busy": seen.is_busy,
        "idle_seconds": seen.seconds,
        "live_jobs": seen.live,
        "supervisor": seen.supervised,
        "attached_terminals": tmux.attached() if seen.live else 0,
        "last_job_end": rfc3339(seen.last_end),
        "last_command": rfc3339(seen.last_use),
        "now": rfc3339(time.time()),
        **({"codespace": codespace.facts()} if codespace.is_here() else {}),
    }


def _check_place() -> None:
    """Refuse to answer for another place, or in another person's name: that would leave files which he cannot use."""
    here, asked = os.path.dirname(os.path.realpath(detach.AGENT)), os.path.realpath(layout.root())
    command = "python3 %s idle" % shlex.quote(os.path.join(here, "agent"))
    if here != asked:
        said = "this agent belongs to %s, and what is asked for is %s: is HOME that of another user?" % (here, asked)
        raise Refusal("refused", said, "ORCH_HOME=%s %s" % (shlex.quote(here), command), there=True)
    owner = os.stat(here).st_uid
    if owner != os.geteuid():
        said = "%s belongs to the user %d, and this is %d" % (here, owner, os.geteuid())
        raise Refusal("refused", said, "sudo -H -u '#%d' %s" % (owner, command), there=True)
