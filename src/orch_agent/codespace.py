"""A host that is a GitHub codespace: what it is called, since when it runs, what it is known to be allowed.

Invariants
- A codespace is what somebody who knows calls one, by ``ORCH_CODESPACE``, its name: nothing is guessed.
- What its tokens may do is kept in a file, and good for one start of it. Nobody is asked here: ``github`` does that.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple, Optional

from . import files, layout, procs, settings
from .model import rfc3339

IDLE_STOP, TIMER = 1800.0, 30.0
"""Seconds of idleness until it is stopped, minutes of GitHub's own timer: where no laptop has said anything else."""
LONGEST = 720
"""Minutes that GitHub lets a codespace run."""


class Rights(NamedTuple):
    """Whether it may stop itself, and be reached from inside; None where nobody could tell. And why not."""

    can_stop: Optional[bool] = None
    why_not: Optional[str] = None
    can_reach: Optional[bool] = None
    why_unreached: Optional[str] = None


def name() -> str:
    """GitHub's name of it; empty where this is no codespace."""
    return os.environ.get("ORCH_CODESPACE", "")


def is_here() -> bool:
    """Whether this host is a codespace."""
    return bool(name())


def minute() -> float:
    """Seconds that a minute of GitHub's takes; another number only where GitHub is imitated."""
    try:
        return max(0.001, float(os.environ.get("ORCH_MINUTE", "60")))
    except ValueError:
        return 60.0


def longest() -> float:
    """Seconds that GitHub lets a codespace run."""
    return LONGEST * minute()


def idle_stop() -> float:
    """Seconds of idleness after which it is stopped; 0: never."""
    return settings.read().get("idle_stop", IDLE_STOP)


def timer_minutes() -> float:
    """GitHub's own timer."""
    return settings.read().get("idle_timeout_minutes", TIMER)


def timer() -> float:
    """Seconds after the last presence at which GitHub stops it."""
    return timer_minutes() * minute()


def started_at() -> float:
    """Since when it runs, in seconds since the epoch: a start of it begins with its first process."""
    first = procs.inspect(1)
    ticks = int(first.birth) if first and first.birth.isdigit() else 0
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0
    return time.time() - max(0.0, age)


def note_contact() -> None:
    """A laptop calls: that is presence, for GitHub."""
    try:
        os.utime(layout.contact_file())
    except OSError:
        files.create(layout.contact_file())


def contact_at() -> float:
    """When a laptop has called last, or it started."""
    try:
        return max(os.stat(layout.contact_file()).st_mtime, started_at())
    except OSError:
        return started_at()


def facts() -> dict[str, Any]:
    """What ``status`` tells of it. ``can_stay``: awake, while a job lives, beyond GitHub's timer."""
    known = rights() or Rights()
    return {
        "name": name(),
        "idle_stop_seconds": idle_stop(),
        "idle_timeout_minutes": timer_minutes(),
        "can_stop": known.can_stop,
        "why_not": known.why_not,
        "can_stay": known.can_reach,
        "why_not_stay": known.why_unreached,
        "started_at": rfc3339(started_at()),
    }


def rights() -> Optional[Rights]:
    """What it is known to be allowed since its start, if that was found out."""
    said = files.read_table(layout.rights_file())
    if said.get("boot") != procs.boot_id() or not all(key in said for key in Rights._fields):
        return None
    return Rights(*(said[key] for key in Rights._fields))


def keep_rights(known: Rights) -> None:
    """Write down what was found out."""
    text = json.dumps({**known._asdict(), "boot": procs.boot_id()})
    try:
        files.write_whole(layout.rights_file(), text + "\n", durable=False)
    except OSError:
        pass  # a full disk: it is found out again
