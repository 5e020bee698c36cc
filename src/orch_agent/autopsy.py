"""Why a job ended as it did, from what was kept of it. Pure.

Invariants
- Who ended it is said only where that is known: a signal that orch did not send is one that programs bring upon
  themselves, or came from outside.
- What to type next is what would help: more of what was lacking, a look at what is missing, else the log.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from . import units
from .ledger import Record
from .model import CANCELLED, FAILED, NODE_FAIL, OUT_OF_MEMORY, TIMEOUT, JobRef, Refusal, Result

_CAUSES = {
    "cancel": "person",
    "timeout": "time_limit",
    "stall": "stall_limit",
    "guard": "guard",
    "limit": "memory_limit",
    "kernel": "kernel",
    "host": "host",
    "needs": "dependency",
}
_STATES = {CANCELLED: "person", TIMEOUT: "time_limit", NODE_FAIL: "unknown", OUT_OF_MEMORY: "unknown"}
"""Who it was where the result does not tell, as those of older agents do not."""

_OUTSIDE = "somebody outside orch sent it"
_SIGNALS = {
    "SIGABRT": "it gave up on itself, mostly over a failed assertion",
    "SIGBUS": "what stands behind its memory is gone; is a disk full, or /dev/shm?",
    "SIGFPE": "it divided by zero, or the like",
    "SIGILL": "it used an instruction that this processor does not have; was it built for another?",
    "SIGPIPE": "it wrote to somebody who no longer reads",
    "SIGSEGV": "it used memory that is not its own",
    "SIGSYS": "it asked the kernel for something that is forbidden here",
    "SIGTRAP": "it stopped itself",
    "SIGXCPU": "it used more processor time than `ulimit -t` allows",
    "SIGXFSZ": "it wrote a larger file than `ulimit -f` allows",
}
"""Signals that a program brings upon itself."""
_CODES = {
    124: "as timeout(1) ends when its time is over",
    126: "a command was found but may not be executed",
    127: "a command was not found: is it installed, and on the PATH of a login shell?",
}
_MISSING = re.compile(r"(?:^|: )([\w.+-]+): (?:command )?not found")
_FORBIDDEN = re.compile(r"(?:^|: )([^\s:]+): Permission denied")
_MORE = 1.2
"""So many times its peak a job that ran out of memory is given."""
_MUCH_MORE = 2.0
"""The same where it met a limit of its own: nobody knows how much it wanted."""


class Next(NamedTuple):
    """A command to type; ``there``: into a shell on the job's host."""

    command: str
    there: bool = False


class Seen(NamedTuple):
    """What is known besides record and result.

    ``name``: what the run is called on a command line. ``box``: its black box. ``peak`` of its memory, and ``room``
    for jobs on this host, in bytes. ``error``: the first that its log tells. ``directory``: where it began.
    ``has_log``: whether it wrote anything.
    """

    name: str
    box: Mapping[str, Any]
    peak: int
    room: int
    error: Optional[str]
    directory: str
    has_log: bool = True


def how(result: Result) -> Optional[str]:
    """By which exit status or signal its command ended, in words; None where nobody knows."""
    code, number = result.exit_code, result.signal
    said = _killed(number) if number is not None else "exit status %d" % code if code else None
    if result.state != FAILED or said is None:
        return said  # somebody ended it, who is told elsewhere
    if code and _name(code - 128):
        return "%s: a process of it was %s" % (said, _explained(code - 128))
    return _explained(number) if number is not None else "%s: %s" % (said, _CODES[code]) if code in _CODES else said


def _explained(number: int) -> str:
    return "%s: %s" % (_killed(number), _SIGNALS.get(_name(number), _OUTSIDE))


def _killed(number: int) -> str:
    return "killed by %s" % (_name(number) or "signal %d" % number)


def ended_by(result: Result) -> str:
    """Who ended it."""
    if result.cause is not None:
        return _CAUSES.get(result.cause, "unknown")
    if result.state in _STATES:
        return _STATES[result.state]
    number = result.signal if result.signal is not None else (result.exit_code or 0) - 128
    if _name(number):
        return "itself" if _name(number) in _SIGNALS else "outside"
    return "itself" if result.exit_code else "unknown"


def why(result: Result) -> str:
    """All that there is to say of the end, in one sentence or two."""
    told = how(result) if result.state == FAILED else None
    reason = None if told and told.startswith(result.reason or told) else result.reason
    return "; ".join(text for text in (told, reason) if text) or result.state


def facts(result: Result, seen: Seen) -> dict[str, Any]:
    """What the answer's ``autopsy`` holds, but for what to type next."""
    at_end = seen.box.get("end") or {}
    keys = ("neighbours", "neighbours_count", "neighbours_mem_bytes", "host_available_bytes", "disk_free_bytes")
    return {
        "ended_by": ended_by(result),
        "how": how(result),
        "first_error": seen.error,
        "peak_processes": (seen.box.get("peak") or {}).get("processes", []),
        **{key: at_end.get(key) for key in keys},
    }


def next_step(record: Record, result: Result, seen: Seen) -> Next:
    """What to type."""
    again = "orch rerun %s%s" % (seen.name, " --sync" if record.spec.code is not None else "")
    if result.state == OUT_OF_MEMORY and seen.peak:
        return Next(again + _more_memory(record, result, seen))
    if result.state == TIMEOUT and record.spec.timeout:
        return Next("%s --timeout %s" % (again, units.duration(2 * record.spec.timeout)))
    if result.cause == "needs":
        needed = (result.reason or "").partition(",")[0]
        return Next("orch show %s" % needed if _is_run(needed) else again)
    if result.state in (CANCELLED, NODE_FAIL) and result.cause != "stall":
        return Next(again)
    return _missing(result, seen) or Next("orch logs %s" % seen.name if seen.has_log else again)


def _more_memory(record: Record, result: Result, seen: Seen) -> str:
    wanted = max(int(seen.peak * (_MUCH_MORE if result.cause == "limit" else _MORE)), record.reserved or 0)
    limit, size = record.spec.mem_max, units.room(wanted)
    words = " --mem %s" % size + (" --mem-max %s" % size if limit is not None and limit < wanted else "")
    return words + (" --host LARGER" if wanted > seen.room else "")


def _missing(result: Result, seen: Seen) -> Optional[Next]:
    """A look at the program that is not there, or may not be run."""
    pattern = {127: _MISSING, 126: _FORBIDDEN}.get(result.exit_code or 0)
    found = pattern.search(seen.error or "") if pattern is not None else None
    if found is None:
        return None
    if result.exit_code == 127:
        return Next('bash -lc "type -a %s"' % found[1], there=True)
    return Next("ls -l %s" % shlex.quote(os.path.join(seen.directory, found[1])), there=True)


def _is_run(text: str) -> bool:
    try:
        return JobRef.parse(text).run is not None
    except Refusal:
        return False


def _name(number: int) -> str:
    """``SIGKILL`` for 9; empty for what is no signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
