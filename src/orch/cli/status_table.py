"""The answer to ``orch status`` as a table and as JSON."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from orch.errors import of_host
from orch.model import HostStatus, is_live, label
from orch_agent.model import JobView, rfc3339

from .output import DIM, age, clean, local_time, size, state_colour, table


def lines(told: Sequence[HostStatus], live_first: bool = False) -> list[str]:
    """Header and rows; nothing where there are no jobs. ``live_first``: then the ended ones, the newest first."""
    rows = [(host, job) for host in told for job in host.jobs]
    if live_first:
        ended = sorted((row for row in rows if not is_live(row[1])), key=_end, reverse=True)
        rows = [*(row for row in rows if is_live(row[1])), *ended]
    if not rows:
        return []
    columns = _columns(told, [job for _, job in rows])
    cells = [list(columns), *([_cell(column, host, job) for column in columns] for host, job in rows)]
    return table(cells, [[], *([_colour(column, job) for column in columns] for _, job in rows)])


def part(told: Sequence[HostStatus], places: Collection[int]) -> list[str]:
    """The rows of some hosts only, without the header, laid out as in the whole table."""
    owners = [place for place, host in enumerate(told) for _ in host.jobs]
    return [line for place, line in zip(owners, lines(told)[1:], strict=True) if place in places]


def _end(row: tuple[HostStatus, JobView]) -> str:
    return row[1].get("ended_at") or ""


def _colour(column: str, job: JobView) -> str:
    return {"STATE": state_colour(job["state"]), "SEEN": DIM}.get(column, "")


def _columns(told: Sequence[HostStatus], jobs: Sequence[JobView]) -> list[str]:
    names = [job["name"] for job in jobs]
    optional = {
        "RUN": len(set(names)) < len(names),
        "HOST": len(told) > 1,
        "SEEN": any(host.error and host.jobs for host in told),
    }
    columns = ["NAME", "RUN", "HOST", "STATE", "STARTED", "MEMORY", "SEEN"]
    return [column for column in columns if optional.get(column, True)]


def _cell(column: str, host: HostStatus, job: JobView) -> str:
    match column:
        case "STARTED":
            return local_time(job.get("started_at"))
        case "MEMORY":
            return size(job.get("mem_bytes") if is_live(job) else job.get("mem_peak_bytes"))
        case "SEEN":
            return f"{_age(host)} ago" if host.error else "now"
        case _:
            return str(job[column.lower()])


def _age(host: HostStatus) -> str:
    return age(time.time() - (host.as_of or 0))


def notes(told: Sequence[HostStatus], by_name: bool = False) -> Iterator[str]:
    """What a person should know besides: what waits, who is silent, what to do where nothing is (and nothing named)."""
    yield from waiting(told)
    yield from silence(told)
    if not by_name and not any(host.error or host.jobs for host in told):
        yield 'no jobs in the last 24 hours; start one: orch run NAME "COMMAND"; older ones: orch status --all'


def silence(told: Sequence[HostStatus]) -> Iterator[str]:
    """Why each silent host is silent, and what to type next."""
    for host in (host for host in told if host.error):
        known = "" if host.as_of is None else f" (last seen {_age(host)} ago)"
        yield clean(f"orch: {why(host)}{known}")
        yield from (f"  {clean(line)}" for line in host.hint.splitlines())


def why(host: HostStatus) -> str:
    """What is wrong with a silent host."""
    return of_host(host.host.name, host.error or "")


def waiting(told: Sequence[HostStatus]) -> Iterator[str]:
    """A line for each job that waits for somebody to type."""
    for job in (job for host in told if not host.error for job in host.jobs):
        if is_live(job) and job.get("waiting_for_input"):
            yield clean(f"{label(job)} waits for input: orch send {job['name']} TEXT")


def as_json(told: Sequence[HostStatus]) -> dict[str, Any]:
    """The document of the contract."""
    return {"jobs": [job for host in told for job in host.jobs], "hosts": [_host(host) for host in told]}


def _host(told: HostStatus) -> dict[str, Any]:
    facts = {key: told.facts.get(key) for key in ("mem_total_bytes", "mem_available_bytes", "cpus")}
    return {
        "name": told.host.name,
        "provider": told.host.provider,
        "launcher": "tmux",
        "state": "unreachable" if told.error else "running",
        **facts,
        "as_of": rfc3339(told.as_of),
        "error": told.error,
    }
