"""A job as every face sees it. The keys are the contract's and never change meaning."""

from __future__ import annotations

import time
from typing import Optional

from . import layout, stall, usage, workplace
from .ledger import Record
from .model import PENDING, RUNNING, Ended, JobView, Pending, Running, State, Usage, rfc3339


def job_view(record: Record, state: State, learned: Optional[int] = None) -> JobView:
    """The JSON object of one run. ``host`` is filled in by the client, who knows what it calls this machine.

    ``learned``: the bytes that a job which waits will reserve where it does not ask for others.
    """
    spec = record.spec
    ended = state if isinstance(state, Ended) else None
    used = _used(record, ended)
    waits = used.waiting_for_input if used and not ended else None
    still = _still(used) if used and not ended else None
    granted = record.reserved if record.mem is None else record.mem
    mem = learned if granted is None else granted
    return {
        "id": record.id,
        "name": record.name,
        "run": record.run,
        "host": None,
        "state": ended.result.state if ended else PENDING if isinstance(state, Pending) else RUNNING,
        "reason": _reason(state, still),
        "command": spec.command,
        "cwd": workplace.directory(record) if spec.code else spec.cwd,
        "submitted_at": rfc3339(record.submitted_at),
        "started_at": rfc3339(record.started_at),
        "ended_at": rfc3339(ended.at) if ended else None,
        "exit_code": ended.result.exit_code if ended else None,
        "signal": ended.result.signal if ended else None,
        "attempt": record.attempt,
        "retries": spec.retries,
        "due_at": rfc3339(record.due) if isinstance(state, Pending) else None,
        "timeout_seconds": spec.timeout,
        "nice": record.nice,
        "cpus": record.cpus or None,
        "mem_request_bytes": mem,
        "mem_request_learned": mem is not None and spec.mem is None,
        "mem_max_bytes": spec.mem_max,
        "mem_bytes": (used.mem_bytes or None) if used and not ended else None,
        "mem_peak_bytes": (used.mem_peak_bytes or None) if used else None,
        "cpu_seconds": used.cpu_seconds if used else None,
        "log_path": record.log_path,
        "code": spec.code,
        "after": (record.after or "").split(),
        "array_id": record.array_id,
        "array_task": record.task,
        "frozen": isinstance(state, Running) and state.frozen,
        "waiting_for_input": waits,
        "prompt": _prompt(record) if waits else None,
        "stalled_seconds": still,
        "cost_usd": None,
    }


def _reason(state: State, still: Optional[float]) -> Optional[str]:
    """What holds it, or why it ended as it did."""
    if isinstance(state, Ended):
        return state.result.reason
    return state.reason or (None if still is None else stall.report(still))


def _still(used: Usage) -> Optional[float]:
    """For how many seconds a job that has stalled has done nothing."""
    return None if used.stalled_since is None else round(max(0.0, time.time() - used.stalled_since), 1)


def _prompt(record: Record) -> Optional[str]:
    from . import logtext  # few jobs wait for input, and few who look have need of it

    return logtext.prompt(record.log_path)


def _used(record: Record, ended: Optional[Ended]) -> Optional[Usage]:
    """The newest sample, or the final account of a job that has ended."""
    if ended is None:
        return usage.read(layout.usage_file(record.id)) if record.started_at is not None else None
    peak, cpu = ended.result.mem_peak_bytes, ended.result.cpu_seconds
    return Usage(0, peak or 0, cpu) if cpu is not None else usage.read(layout.usage_file(record.id))
