"""The answer to ``orch status`` as a table and as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch.errors import of_host
from orch.model import HostStatus, called, gathered, is_live, label, span
from orch_agent.model import PENDING, JobView, rfc3339

from .output import DIM, age, clean, local_time, size, state_colour, table


class Row(NamedTuple):
    """A line of the table: a job, or tasks of an array that stand together and all wait, or have ended alike."""

    place: int
    host: HostStatus
    jobs: Sequence[JobView]

    @property
    def job(self) -> JobView:
        """The first of them."""
        return self.jobs[0]


def lines(told: Sequence[HostStatus], live_first: bool = False) -> list[str]:
    """Header and rows; nothing where there are no jobs. ``live_first``: then the ended ones, the newest first."""
    return _laid_out(told, rows(told, live_first))


def rows(told: Sequence[HostStatus], live_first: bool = False) -> list[Row]:
    """What the table has to show, in its order."""
    found = [Row(place, host, jobs) for place, host in enumerate(told) for jobs in gathered(host.jobs, _alike)]
    if not live_first:
        return found
    ended = sorted((row for row in found if not is_live(row.job)), key=_end, reverse=True)
    return [*(row for row in found if is_live(row.job)), *ended]


def part(told: Sequence[HostStatus], places: Collection[int], header: bool) -> list[str]:
    """The rows of some hosts only, laid out as in the whole table, below the header where that is wanted."""
    every = rows(told) if places else []
    if not any(row.place in places for row in every):
        return []
    first, *laid_out = _laid_out(told, every)
    chosen = [line for row, line in zip(every, laid_out, strict=True) if row.place in places]
    return [first, *chosen] if header else chosen


def _alike(job: JobView) -> object:
    """What tasks in one row have in common: they wait for their turn, or they have ended alike."""
    if is_live(job):
        return PENDING if job["state"] == PENDING and job["due_at"] is None else None
    return job["state"], job["exit_code"], job["signal"]


def _laid_out(told: Sequence[HostStatus], every: Sequence[Row]) -> list[str]:
    if not every:
        return []
    columns = _columns(told, every)
    shown = [_CELLS[column] for column in columns]
    cells = [columns, *([cell(row) for cell in shown] for row in every)]
    return table(
        cells, ([] if row is None else [_colour(column, row.job) for column in columns] for row in [None, *every])
    )


def _end(row: Row) -> str:
    return row.job.get("ended_at") or ""


def _colour(column: str, job: JobView) -> str:
    return state_colour(job["state"]) if column == "STATE" else DIM if column == "SEEN" else ""


def _columns(told: Sequence[HostStatus], every: Sequence[Row]) -> list[str]:
    names = [job["name"] for row in every for job in row.jobs]
    optional = {
        "RUN": len(set(names)) < len(names),
        "HOST": len(told) > 1,
        "SEEN": any((host.error or host.kept) and host.jobs for host in told),
        "REASON": any(map(_reason, every)),
    }
    return [column for column in _CELLS if optional.get(column, True)]


def _memory(jobs: Sequence[JobView]) -> str:
    """What it uses, what it used at most; of one that waits what it will reserve."""
    job = jobs[0]
    if job["state"] == PENDING and job["mem_request_bytes"] is not None:
        return f"{size(job['mem_request_bytes'])} {'learned' if job['mem_request_learned'] else 'asked'}"
    if is_live(job):
        return size(job.get("mem_bytes"))
    return size(max((one["mem_peak_bytes"] for one in jobs if one.get("mem_peak_bytes") is not None), default=None))


def _reason(row: Row) -> str:
    """What holds it; how one ended is for ``show`` to say, and of a host that is off nobody knows."""
    if not is_live(row.job):
        return ""
    return f"as last seen: its host is {row.host.off}" if row.host.off else row.job["reason"] or ""


def _age(host: HostStatus) -> str:
    return age(time.time() - (host.as_of or 0))


_CELLS: Mapping[str, Callable[[Row], str]] = {
    "NAME": lambda row: str(row.job["name"]),
    "RUN": lambda row: span(row.jobs).partition(".")[2],
    "HOST": lambda row: row.host.host.name,
    "STATE": lambda row: str(row.job["state"]),
    "STARTED": lambda row: local_time(row.job["started_at"]),
    "MEMORY": lambda row: _memory(row.jobs),
    "SEEN": lambda row: f"{_age(row.host)} ago" if row.host.error or row.host.kept else "now",
    "REASON": _reason,
}
"""The columns, in their order."""


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
    """A line for each job that waits for somebody to type, with what it asks, and for each that does nothing."""
    for job in (job for host in told if not host.error for job in host.jobs if is_live(job)):
        if job.get("waiting_for_input"):
            asks = f" ({job['prompt']})" if job.get("prompt") else ""
            yield clean(f"{label(job)} waits for input{asks}: orch send {called(job)} TEXT")
        elif job.get("stalled_seconds") is not None:
            yield clean(f"{label(job)} {job['reason']}: orch attach {called(job)}")


def as_json(told: Sequence[HostStatus]) -> dict[str, Any]:
    """The document of the contract."""
    return {"jobs": [job for host in told for job in host.jobs], "hosts": [_host(host) for host in told]}


def _host(told: HostStatus) -> dict[str, Any]:
    facts = {key: told.facts.get(key) for key in ("mem_total_bytes", "mem_available_bytes", "cpus", "idle_seconds")}
    return {
        "name": told.host.name,
        "provider": told.host.provider,
        "launcher": "tmux",
        "state": told.state,
        **facts,
        "as_of": rfc3339(told.as_of),
        "error": told.error,
    }
