"""What documents hold, as promised to scripts: exactly these keys, of these types."""

from __future__ import annotations

import re
from typing import Any

_NUMBER, _NONE = (int, float), type(None)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

JOB: dict[str, Any] = {
    "id": str,
    "name": str,
    "run": int,
    "host": str,
    "state": str,
    "reason": (str, _NONE),
    "command": str,
    "cwd": (str, _NONE),
    "submitted_at": str,
    "started_at": (str, _NONE),
    "ended_at": (str, _NONE),
    "exit_code": (int, _NONE),
    "signal": (int, _NONE),
    "attempt": int,
    "retries": int,
    "due_at": (str, _NONE),
    "timeout_seconds": (*_NUMBER, _NONE),
    "nice": int,
    "cpus": (*_NUMBER, _NONE),
    "mem_request_bytes": (int, _NONE),
    "mem_request_learned": bool,
    "mem_max_bytes": (int, _NONE),
    "mem_bytes": (int, _NONE),
    "mem_peak_bytes": (int, _NONE),
    "cpu_seconds": (*_NUMBER, _NONE),
    "log_path": str,
    "code": (dict, _NONE),
    "after": list,
    "array_id": (str, _NONE),
    "array_task": (int, _NONE),
    "frozen": bool,
    "waiting_for_input": (bool, _NONE),
    "prompt": (str, _NONE),
    "stalled_seconds": (*_NUMBER, _NONE),
    "cost_usd": (*_NUMBER, _NONE),
}
AUTOPSY: dict[str, Any] = {
    "ended_by": str,
    "how": (str, _NONE),
    "first_error": (str, _NONE),
    "peak_processes": list,
    "neighbours": (list, _NONE),
    "neighbours_count": (int, _NONE),
    "neighbours_mem_bytes": (int, _NONE),
    "host_available_bytes": (int, _NONE),
    "disk_free_bytes": (int, _NONE),
}
HOST: dict[str, Any] = {
    "name": str,
    "provider": str,
    "launcher": str,
    "state": str,
    "mem_total_bytes": (int, _NONE),
    "mem_available_bytes": (int, _NONE),
    "cpus": (int, _NONE),
    "idle_seconds": (*_NUMBER, _NONE),
    "as_of": (str, _NONE),
    "error": (str, _NONE),
}


def check(document: Any, promised: dict[str, Any]) -> None:
    """Fail unless ``document`` is what was promised."""
    assert list(document) == list(promised)
    for key, kinds in promised.items():
        value = document[key]
        assert isinstance(value, kinds), f"{key} is {value!r}"
        assert not isinstance(value, bool) or kinds in (bool, (bool, _NONE)), f"{key} is {value!r}"
        if key.endswith("_at") or key == "as_of":
            assert value is None or _RFC3339.fullmatch(value), f"{key} is {value!r}"


def check_job(document: Any) -> None:
    """A job."""
    check(document, JOB)


def check_host(document: Any) -> None:
    """A host."""
    check(document, HOST)
