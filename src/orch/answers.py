"""What a host said, looked at before anybody relies on it.

Invariants
- What passes has the types that the contract gives it, so no face has to ask again; what a job lacks is None.
- Whatever does not pass is an error of kind ``host`` that names the host: it is neither a bug of orch nor a guess.
- Only here do jobs learn the name that their host has on this laptop.
- A job's name and state are words of ours, which command no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orch_agent import wire
from orch_agent.model import END_STATES, LIVE_STATES, JobRef, Refusal, is_name

from .errors import OrchError, notices

KINDS = frozenset(
    {"usage", "not_found", "refused", "name_in_use", "conflict", "host", "stopped", "not_authorised", "no_code"}
)
"""The kinds of error that a host may speak of; a bug is ours or, from there, the host's failure."""
_MOST = 1 << 63  # bytes, seconds: more than anybody has
_RUNS = 10**9


class Answer(dict[str, Any]):
    """An object that a host said, and ``said`` as it came. To ask for what it lacks is that host's error."""

    def __init__(self, host: str, said: Mapping[str, Any]) -> None:
        super().__init__(said)
        self.said = said
        self._host = host

    def __missing__(self, key: str) -> Any:
        raise nonsense(self._host, f"it lacks {key}")


def nonsense(host: str, why: str) -> OrchError:
    """The error of a host whose agent answers what no agent does."""
    return OrchError("host", f"the answer of the agent on {host} makes no sense: {why}", f"orch doctor {host}")


def checked(host: str, fields: Mapping[str, Any]) -> Answer:
    """The answer, with the jobs in it named after ``host``; refuses one that makes no sense."""
    answer = Answer(host, fields)
    for key, is_right in _FIELDS.items():
        if key in answer and not is_right(answer[key]):
            raise nonsense(host, f"{key} is no {key} that there can be")
    notices.extend(f"{host}: {text}" for text in answer.pop("notices", []))
    if "job" in answer:
        answer["job"] = job(answer["job"], host)
    if "jobs" in answer:
        answer["jobs"] = list(jobs(answer["jobs"], host, bool(answer.pop("packed", False))))
    if "host" in answer:
        answer["host"] = facts(answer["host"])
    return answer


def jobs(said: list[Any], host: str, packed: bool) -> Iterator[dict[str, Any]]:
    """Jobs as every face may show them. ``packed``: what one does not say is as the one before it said."""
    before = None
    for one in said:
        found = job(one, host, before)
        yield found
        before = found if packed else None


def job(said: Any, host: str, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A job as every face may show it; what it does not say is as in ``before``."""
    if not isinstance(said, dict):
        raise _no_job(host)
    for key, value in said.items():
        if value is not None and key in _JOB and not _JOB[key](value):
            raise _no_job(host)
    whole = {**(before or _UNSAID), **said, "host": host}
    if None in (whole["name"], whole["run"], whole["state"]):
        raise _no_job(host)
    return whole


def _no_job(host: str) -> OrchError:
    return nonsense(host, "it holds a job that there cannot be")


def facts(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a host measured of itself, and what it says of the codespace that it is; anything else is left out."""
    found: dict[str, Any] = {key: value for key, value in said.items() if is_measure(value)}
    if isinstance(said.get("codespace"), dict):
        found["codespace"] = {key: value for key, value in said["codespace"].items() if _is_plain(value)}
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str)) or is_measure(value)


def is_measure(value: Any) -> bool:
    """Whether it is a number that something can measure."""
    # NaN is neither more nor less than anything.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


_Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_measure(value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_run(value: Any) -> bool:
    """Whether it is a reference that goes on meaning the same: with a number."""
    try:
        return isinstance(value, str) and JobRef.parse(value).run is not None
    except Refusal:
        return False


def _is_spec(value: Any) -> bool:
    try:
        wire.spec_from(value)
    except Refusal:
        return False
    return True


def _is_command(value: Any) -> bool:
    """Whether it is what to type next; None is "nothing"."""
    return value is None or (_has(value, {"command": _is_text, "there": _is_truth}) and value["command"].isprintable())


def _is_autopsy(value: Any) -> bool:
    return value is None or _has(value, _AUTOPSY)


def _are_attempts(value: Any) -> bool:
    return isinstance(value, list) and all(_has(one, _ATTEMPT) for one in value)


def _is_curve(value: Any) -> bool:
    """Whether it is a table in columns."""
    if value is None:
        return True
    if not isinstance(value, dict) or not _or_none(_is_number)(value.get("mem_slope")):
        return False
    columns = [value.get(key) for key in ("seconds", "mem_bytes", "cpu_seconds", "host_available_bytes")]
    right = all(isinstance(column, list) and all(map(is_measure, column)) for column in columns)
    return right and len({len(column) for column in columns if isinstance(column, list)}) == 1


def _is_number(value: Any) -> bool:
    return is_measure(abs(value)) if isinstance(value, (int, float)) else False


def _has(value: Any, promised: Mapping[str, _Check]) -> bool:
    """Whether it is an object that holds all this."""
    return isinstance(value, dict) and all(is_right(value.get(key)) for key, is_right in promised.items())


def _or_none(is_right: _Check) -> _Check:
    return lambda value: value is None or is_right(value)


def _all(is_right: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


_ATTEMPT: Mapping[str, _Check] = {
    "attempt": _is_count,
    **dict.fromkeys(("state", "why", "started_at", "ended_at"), _or_none(_is_text)),
    "mem_peak_bytes": _or_none(_is_count),
}
_PROCESS: Mapping[str, _Check] = {"pid": _is_count, "program": _is_text, "mem_bytes": _is_count}
_NEIGHBOUR: Mapping[str, _Check] = {"job": _is_text, "mem_bytes": _is_count}
_AUTOPSY: Mapping[str, _Check] = {
    "ended_by": _is_text,
    **dict.fromkeys(("how", "first_error"), _or_none(_is_text)),
    "peak_processes": _all(lambda value: _has(value, _PROCESS)),
    "neighbours": _or_none(_all(lambda value: _has(value, _NEIGHBOUR))),
    "neighbours_count": _or_none(_is_count),
    **dict.fromkeys(("neighbours_mem_bytes", "host_available_bytes", "disk_free_bytes"), _or_none(_is_count)),
}
_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("created", "timed_out", "tty", "packed"), _is_truth),
    **dict.fromkeys(("offset", "size", "tasks"), _is_count),
    "each": lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "runs": lambda value: isinstance(value, list) and all(map(_is_run, value)),
    **dict.fromkeys(("log_size_bytes", "log_lost_bytes"), lambda value: value is None or _is_count(value)),
    "why": lambda value: value is None or _is_text(value),
    "autopsy": _is_autopsy,
    "attempts": _are_attempts,
    "usage_curve": _is_curve,
    "next": _is_command,
    **dict.fromkeys(("log_tail", "note"), _is_text),
    **dict.fromkeys(("notices", "remarks"), lambda value: isinstance(value, list) and all(map(_is_text, value))),
    "spec": _is_spec,
    "job": lambda value: isinstance(value, dict),
    "jobs": lambda value: isinstance(value, list),
    "host": lambda value: isinstance(value, dict),
}
"""What each thing is that an answer may hold, whatever the verb."""
_JOB: Mapping[str, _Check] = {
    "name": lambda value: isinstance(value, str) and is_name(value),
    "run": lambda value: _is_count(value) and 0 < value < _RUNS,
    "state": lambda value: isinstance(value, str) and value in LIVE_STATES | END_STATES,
    "id": _is_text,
    **dict.fromkeys(("reason", "command", "cwd", "submitted_at", "started_at", "ended_at"), _is_text),
    **dict.fromkeys(("exit_code", "signal", "attempt", "retries"), _is_count),
    "due_at": _is_text,
    "timeout_seconds": is_measure,
    "nice": lambda value: isinstance(value, int) and is_measure(abs(value)),
    "cpus": is_measure,
    "mem_request_bytes": _is_count,
    "mem_request_learned": _is_truth,
    **dict.fromkeys(("mem_max_bytes", "mem_bytes", "mem_peak_bytes"), _is_count),
    "cpu_seconds": is_measure,
    "log_path": _is_text,
    "code": lambda value: isinstance(value, dict),
    "after": lambda value: isinstance(value, list) and all(map(_is_run, value)),
    "array_id": _is_text,
    "array_task": _is_count,
    "frozen": _is_truth,
    "waiting_for_input": _is_truth,
    "prompt": _is_text,
    "stalled_seconds": is_measure,
    "cost_usd": is_measure,
}
"""What each thing is that a job may have besides its host, in the order of the contract."""
_UNSAID: Mapping[str, Any] = dict.fromkeys(("id", "name", "run", "host", "state", *_JOB))
