"""Who supervises: what the lock file tells of it, and how a newer agent takes over from an older one.

Invariants
- The lock is handed on and never let go: the older supervisor becomes the newer one, in the same process.
- A supervisor whose lock file is gone, or somebody else's, is none until it has the lock again.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Optional

from . import RELEASE, files, layout, wire
from .launch import detach

_ASK = b"give way to "
_SIZE = 1024


def sign(lock: int) -> None:
    """Write into the lock file who holds it: the pid, and in a second line of which agent."""
    text = "%d\n%s\n" % (os.getpid(), json.dumps({"release": RELEASE, "agent": detach.AGENT}))
    data = text.encode("ascii").ljust(_SIZE)  # all are of one size, so that a reader sees one of them and not none
    os.pwrite(lock, data, 0)
    os.ftruncate(lock, len(data))


def is_ours(lock: int, path: str = "") -> bool:
    """Whether the lock that we hold is still the one that others look at: the supervisor's, or the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path or layout.supervisor_lock()))
    except OSError:
        return False


def is_older(path: str) -> bool:
    """Whether the agent of who holds that lock is older than this one."""
    try:
        text = files.read_text(path) or ""
        return tuple(wire.table(text.partition("\n")[2])["release"]) < RELEASE
    except (KeyError, TypeError):
        return False  # it has just begun, and has not signed


def request() -> Optional[bytes]:
    """What to say to the supervisor that lives, if its agent is older than this one."""
    return _ASK + os.fsencode(detach.AGENT) if is_older(layout.supervisor_lock()) else None


def heir(message: bytes) -> Optional[str]:
    """The agent that asks to take over with this message, if it is one of this host."""
    if not message.startswith(_ASK):
        return None
    agent = os.fsdecode(message[len(_ASK) :])
    return agent if is_agent(agent) else None


def next_of_kin() -> Optional[str]:
    """Where our own agent has been removed: the one that was installed last."""
    if is_agent(detach.AGENT):
        return None
    root = layout.root()
    found = [os.path.join(root, name) for name in os.listdir(root) if name.startswith("agent-")]
    return max(filter(is_agent, found), key=os.path.getmtime, default=None)


def is_agent(path: str) -> bool:
    """Whether an agent of this host is there."""
    is_here = os.path.realpath(os.path.dirname(path)) == os.path.realpath(layout.root())
    return is_here and os.path.isfile(os.path.join(path, "__main__.py"))


def hand_over(lock: int, agent: str, companion: str = "supervisor") -> None:
    """Become the supervisor, or another companion, of that agent; returns only where that cannot be."""
    python = os.path.join(agent, "python")
    program = python if os.access(python, os.X_OK) else sys.executable
    os.set_inheritable(lock, True)
    try:
        os.execv(program, [program, "-I", "-S", agent, companion, str(lock)])
    except OSError:
        os.set_inheritable(lock, False)
