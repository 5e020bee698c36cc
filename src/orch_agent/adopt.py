"""Stay with a job whose runner was killed, until its last process has ended.

Invariants
- One adopter a job. It holds the job's lock, so the job is seen to live.
- What it could not see it does not claim: the exit status stays unknown, and the state is NODE_FAIL
  (its keeper failed, not the job) unless the job was cancelled.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Optional

from . import (
    badness,
    cgroup,
    files,
    freezer,
    layout,
    locks,
    outofmemory,
    recorder,
    request,
    supervision,
    tree,
    usage,
    view,
    wire,
)
from .launch import detach
from .ledger import Ledger, Record, Start, open_ledger
from .logcap import Cap
from .model import CANCELLED, NODE_FAIL, OUT_OF_MEMORY, TIMEOUT, Ended, Result
from .observe import written_end

_LOOK = 0.25


def main(job_id: str) -> None:
    """Watch over the job, unless somebody else does or there is nothing to watch."""
    detach.deafen()
    cgroup.keep_apart()
    badness.spare()
    if locks.try_hold(layout.adopt_file(job_id)) is None:
        return
    with open_ledger() as ledger:
        record = ledger.get(job_id)
        if record is None or record.started_at is None:
            return
        if record.ended_at is not None or written_end(record):
            locks.release(job_id)  # it ended while we were on our way, and our own file shall not stay
            return
        if _has_runner(job_id):
            return  # its lock was taken away, not its life
        locks.hold(layout.lock_file(job_id), start_told(record))
        _settle(ledger, record, _watch(record))


def start_told(record: Record) -> str:
    """What the lock file of an adopted job tells: the start that was, and us as its keeper."""
    start = Start(record.started_at or 0.0, record.pid or 0, record.birth or "", record.boot_id or "", record.cgroup)
    return wire.start_to_json(start._asdict(), record.attempt, os.getpid())


def _has_runner(job_id: str) -> bool:
    try:
        os.chdir(layout.job_dir(job_id))
    except OSError:
        return False
    runner = view.connect(patience=0)
    if runner is not None:
        runner.close()
    return runner is not None


def _watch(record: Record) -> Ended:
    """Sample the tree, end it if asked to, and return when it is gone."""
    family = tree.of(record)
    sampler = usage.Sampler(family.group)
    sampler.last = usage.read(layout.usage_file(record.id)) or sampler.last
    fd = usage.open_file(layout.usage_file(record.id))
    limit = outofmemory.Limit(record, family.group)
    kept = recorder.Recorder(record)
    ran_out: Optional[outofmemory.End] = None
    cap = Cap(record.id, record.log_path, record.spec.log_max)
    cancelled = timed_out = stalled = False
    ending = None
    members = family.survivors()
    while members:
        grace = request.read(record.id)
        cancelled = cancelled or grace is not None
        if grace is None and not family.has_root():
            if record.spec.keep_children:
                break
            grace = tree.SURVIVORS_GRACE  # the command has exited: what it left behind ends with it
        if ran_out is not None:
            grace = 0.0
        elif grace is None and ending is None and time.time() >= _limit(record):
            timed_out, grace = True, tree.TIMEOUT_GRACE
        elif grace is None and ending is None and kept.why_end is not None:
            stalled, grace = True, tree.TIMEOUT_GRACE
        if grace is not None:
            ending = ending or tree.Ending(family, grace)
            ending.step()
        used = sampler.sample(members.values(), None)
        usage.write(fd, kept.note(used, members.values(), _size(record.log_path)))
        ran_out = ran_out or limit.exceeded(sampler.last.mem_bytes)
        freezer.thaw_forgotten(record, family)
        cap.look()
        time.sleep(tree.STEP if ending is not None else min(_LOOK, limit.pause(sampler.last.mem_bytes)))
        members = family.survivors()
    if family.group is not None:
        family.group.remove()
    ran_out = ran_out or outofmemory.condemned(record)
    state, cause, reason = NODE_FAIL, None, ""
    if cancelled:
        state, cause, reason = CANCELLED, "cancel", "cancelled; "
    elif ran_out is not None:
        state, cause, reason = OUT_OF_MEMORY, ran_out.cause, "%s; " % ran_out.why
        sampler.note(ran_out.used)
    elif timed_out:
        state, cause, reason = TIMEOUT, "timeout", "it reached its time limit; "
    elif stalled:
        state, cause, reason = CANCELLED, "stall", "%s; " % kept.why_end
    kept.close()
    reason += "its runner was killed and the command ran on without it; its exit status is unknown"
    last = sampler.last
    result = Result(state, None, None, reason, last.mem_peak_bytes, last.cpu_seconds, cap.lost, record.attempt, cause)
    return Ended(time.time(), result)


def _limit(record: Record) -> float:
    """When its time is up, in seconds since the epoch."""
    return (record.started_at or 0.0) + (record.spec.timeout or float("inf"))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _settle(ledger: Ledger, record: Record, end: Ended) -> None:
    try:
        if written_end(record):
            return  # its runner lived after all, and knows better
        files.write_whole(layout.result_file(record.id), wire.result_to_json(end.at, end.result, record.started_at))
        locks.release(record.id)
        supervision.ensure()
        ledger.settle(record, end)
        supervision.poke()
    except (OSError, sqlite3.Error):
        pass  # a full disk: the lock falls with us, and whoever looks next finds nobody and says the same
