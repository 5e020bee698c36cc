"""The vocabulary both sides share: what a job is, the states it can be in, and how it is shown.

Invariants
- A state carries its data, so an impossible state (ended without a result, running without a start)
  cannot be written down.
- The names of states are Slurm's.
- Times inside the agent are seconds since the epoch (float); text times exist only in ``JobView``.
- Everything here is immutable and knows nothing of files, processes or SQL.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

PENDING = "PENDING"
RUNNING = "RUNNING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMEOUT = "TIMEOUT"
OUT_OF_MEMORY = "OUT_OF_MEMORY"
NODE_FAIL = "NODE_FAIL"
PREEMPTED = "PREEMPTED"

STARTS = "about to start"
"""The reason of a pending job that waits for nothing."""

LACKS = "waits for the secret "
"""How the reason of a pending job begins whose secrets cannot be had."""

LIVE_STATES = frozenset({PENDING, RUNNING})
END_STATES = frozenset({COMPLETED, FAILED, CANCELLED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, PREEMPTED})

OUT_ENV = "ORCH_OUT"
"""Names the directory that ``orch pull`` brings what a job puts into."""
JOB_ENV = ("ORCH_JOB_ID", "ORCH_JOB", "ORCH_JOB_NAME", "ORCH_JOB_RUN", "ORCH_JOB_ATTEMPT", "ORCH_ARRAY_TASK", OUT_ENV)
"""The environment variables that tell a job who it is.

Its id (the marker of its processes), NAME.n, NAME and n, which attempt this is, the task of an array, its directory.
"""

CODE_ENV = ("ORCH_CODE_COMMIT", "ORCH_CODE_HEAD", "ORCH_CODE_BRANCH")
"""What tells a job with code which that is: the snapshot, and where the repository was, as far as there is one."""

UNKNOWN_JOB = "there is no job called "
"""What every host says of a name that it never had."""

NAME_RULE = "a letter or digit, then at most 63 letters, digits, '_' or '-'"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


class Refusal(Exception):
    """Something asked for is not done. ``kind`` is stable for programs, ``hint`` the next thing to type.

    Kinds: ``usage`` ``not_found`` ``refused`` ``name_in_use`` ``conflict`` ``host`` ``not_authorised``
    ``no_code`` (of a snapshot that a job needs not everything is here).
    ``there``: the hint is a command for a shell on the host.
    """

    def __init__(self, kind: str, message: str, hint: str = "", there: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.there = there


def is_name(text: str) -> bool:
    """Whether ``text`` may name a job, a reader or a submission key."""
    return _NAME.match(text) is not None


def check_name(text: str, what: str = "job name") -> str:
    """Return ``text``, or refuse it with the rule in the message."""
    if not is_name(text):
        raise Refusal("usage", "%s %r is not allowed: it takes %s" % (what, text, NAME_RULE))
    return text


_RUNS = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?\Z", re.ASCII)


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_variable(text: str) -> bool:
    """Whether ``text`` may name a secret, and the variable that holds it."""
    return _VARIABLE.fullmatch(text) is not None


class JobRef(NamedTuple):
    """``NAME`` (the newest run, or the array that it is a task of), ``NAME.n`` (the n-th) or ``NAME.n-m``."""

    name: str
    run: Optional[int]
    last: Optional[int] = None

    @staticmethod
    def parse(text: str) -> JobRef:
        """Read a reference; refuses what is none."""
        name, dot, runs = text.partition(".")
        if not dot:
            return JobRef(check_name(name), None)
        found = _RUNS.match(runs)
        first, last = (int(word) if word else None for word in found.groups()) if found else (None, None)
        if first is None or (last is not None and last < first):
            raise Refusal("usage", "%r is not a job: write NAME or NAME.RUN, as in train.3" % text)
        return JobRef(check_name(name), first, None if last == first else last)

    def covers(self, run: int) -> bool:
        """Whether this run of the name is one of those meant; any, where no number is said."""
        return self.run is None or self.run <= run <= (self.last or self.run)

    def __str__(self) -> str:
        runs = "" if self.run is None else ".%d" % self.run
        return self.name + runs + ("" if self.last is None else "-%d" % self.last)


class JobSpec(NamedTuple):
    """What to run, and on what terms: fixed at submission, the same for every attempt.

    ``mem``: bytes to reserve, None to learn them; ``mem_max``: bytes at which it is killed. ``cpus``: to reserve.
    ``timeout`` ``retry_delay`` ``stall``: seconds. ``retries``: further attempts. ``after``: NAME or NAME.n, each of
    which must complete first. ``array``: as Slurm writes it, ``0-9%3``. ``nice``: lower goes first. ``log_max``: bytes.
    ``code``: the snapshot of a working tree that it runs in (``check.check_code``); then ``cwd`` is below the top of
    that, unless it is absolute. ``secrets``: what each variable is kept as; never a value.
    """

    name: str
    command: str
    cwd: Optional[str] = None
    env: Mapping[str, str] = {}
    tty: bool = True
    keep_children: bool = False
    mem: Optional[int] = None
    mem_max: Optional[int] = None
    cpus: float = 0.0
    timeout: Optional[float] = None
    retries: int = 0
    retry_delay: float = 10.0
    nice: int = 0
    after: Sequence[str] = ()
    array: Optional[str] = None
    log_max: int = 10 << 30
    stall: Optional[float] = None
    code: Optional[Mapping[str, Any]] = None
    secrets: Mapping[str, str] = {}


class Result(NamedTuple):
    """How a job ended. ``exit_code`` and ``signal`` are both None where nobody could know.

    ``cause``: who ended it where it was not the command itself, or a stranger: ``cancel`` (a person), ``timeout``,
    ``stall``, ``guard`` (of the host's memory), ``limit`` (--mem-max), ``kernel``, ``host`` (it went down), ``needs``
    (a job that had to complete first did not).
    """

    state: str
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    reason: Optional[str] = None
    mem_peak_bytes: Optional[int] = None
    cpu_seconds: Optional[float] = None
    log_lost_bytes: int = 0
    attempt: int = 0
    cause: Optional[str] = None


class Pending(NamedTuple):
    """Accepted and durable, not started."""

    reason: str


class Running(NamedTuple):
    """Its process tree lives. ``orphaned``: without a runner, somebody must adopt it. ``reason``: what holds it.

    ``frozen``: by the guard.
    """

    started_at: float
    pid: int
    orphaned: bool = False
    reason: Optional[str] = None
    frozen: bool = False


class Ended(NamedTuple):
    """Over, at ``at``."""

    at: float
    result: Result


State = Union[Pending, Running, Ended]


class Usage(NamedTuple):
    """What a job uses: anonymous and shared memory in bytes, processor time in seconds.

    ``stalled_since``: since when it has done nothing, where that is long ago. Then it does not wait for input.
    """

    mem_bytes: int
    mem_peak_bytes: int
    cpu_seconds: float
    waiting_for_input: Optional[bool] = None
    stalled_since: Optional[float] = None


def rfc3339(at: Optional[float]) -> Optional[str]:
    """``2026-02-16T14:30:00.250Z``; None stays None."""
    if at is None:
        return None
    millis = round(at * 1000)
    return _second(millis // 1000) + ".%03dZ" % (millis % 1000)


@functools.cache
def _second(at: int) -> str:
    # Whoever shows thousands of jobs asks for the same again and again.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


JobView = Mapping[str, Any]
"""A job as every face sees it: the JSON object of the contract. Keys never change meaning."""
