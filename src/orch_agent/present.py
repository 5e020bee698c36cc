"""A job as every face sees it. The keys are the contract's and never change meaning."""

from __future__ import annotations

from typing import Optional

from . import layout, usage
from .ledger import Record
from .model import PENDING, RUNNING, Ended, JobView, Pending, State, Usage, rfc3339


def job_view(record: Record, state: State, learned: Optional[int] = None) -> JobView:
    """The JSON object of one run. ``host`` is filled in by the client, who knows what it calls this machine.

    ``learned``: the bytes that a job which waits will reserve where it does not ask for others.
    """
    spec = record.spec
    ended, live = (state, None) if isinstance(state, Ended) else (None, state)
    used = _used(record, ended)
    mem = next((one for one in (record.mem, record.reserved, learned) if one is not None), None)
    return {
        "id": record.id,
        "name": record.name,
        "run": record.run,
        "host": None,
        "state": ended.result.state if ended else PENDING if isinstance(state, Pending) else RUNNING,
        "reason": live.reason if live else ended.result.reason if ended else None,
        "command": spec.command,
        "cwd": spec.cwd,
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
        "code": None,
        "after": (record.after or "").split(),
        "array_id": record.array_id,
        "array_task": record.task,
        "waiting_for_input": used.waiting_for_input if used and not ended else None,
        "cost_usd": None,
    }


def _used(record: Record, ended: Optional[Ended]) -> Optional[Usage]:
    """The newest sample, or the final account of a job that has ended."""
    if ended is None:
        return usage.read(layout.usage_file(record.id)) if record.started_at is not None else None
    peak, cpu = ended.result.mem_peak_bytes, ended.result.cpu_seconds
    return Usage(0, peak or 0, cpu) if cpu is not None else usage.read(layout.usage_file(record.id))
