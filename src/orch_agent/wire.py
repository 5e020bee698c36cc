"""The language between laptop and host: one JSON object a line, versioned, tolerant both ways.

Invariants
- Pure ASCII on the wire: any text survives, also bytes that are no UTF-8 (as lone surrogates).
- A reader ignores keys it does not know and has a default for those it misses, so old and new meet.
- A field with its default value is not written, so a specification hashes the same in every version
  that gives it the same meaning.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

from .model import END_STATES, JobSpec, Refusal, Result

VERSION = 1
_DIGITS = 18
"""What SQLite takes as a whole number has no more."""
GAP = 92
"""Status of the verb ``logs`` that has come to what is missing in a log: ask again, ``beyond`` it."""


def encode(document: Mapping[str, Any]) -> bytes:
    """One line of ASCII JSON, with its newline."""
    return json.dumps({"v": VERSION, **document}, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object in ``line``; refuses anything else. A request begins with ``#``: to any shell it is a comment."""
    try:
        document = json.loads(line[line.startswith(b"#") :], parse_constant=_no_number)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Refusal("usage", "the message, of %d bytes, is not a JSON object" % len(line))  # not quoted: secrets
    return document


def _no_number(word: str) -> None:
    """NaN and the infinities, which Python reads and JSON has not."""
    raise ValueError(word)


def _whole(word: str) -> int:
    if len(word.lstrip("-")) > _DIGITS:
        raise ValueError(word)
    return int(word)


def _decimal(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def table(text: Optional[str]) -> dict[str, Any]:
    """The object in a file of ours, which jobs and bad disks write to as well; empty where it holds anything else.

    It has no number that is none, or larger than anything there is.
    """
    try:
        found = json.loads(text or "{}", parse_constant=_no_number, parse_int=_whole, parse_float=_decimal)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def spec_to_json(spec: JobSpec) -> str:
    """Canonical text of a specification: equal text means equal specification."""
    defaults = JobSpec._field_defaults
    fields = {key: value for key, value in spec._asdict().items() if defaults.get(key, ...) != value}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


@functools.lru_cache(maxsize=16)
def spec_from_json(text: str) -> JobSpec:
    """The specification in ``text``; unknown keys are ignored. The tasks of an array have one for all."""
    return spec_from(json.loads(text))


_Kinds = Mapping[str, frozenset[type]]
_KINDS: _Kinds = {
    **dict.fromkeys(("name", "command", "cwd", "array"), frozenset({str})),
    **dict.fromkeys(("tty", "keep_children"), frozenset({bool})),
    **dict.fromkeys(("mem", "mem_max", "retries", "nice", "log_max"), frozenset({int})),
    **dict.fromkeys(("cpus", "timeout", "retry_delay", "stall"), frozenset({int, float})),
    **dict.fromkeys(("env", "secrets", "code"), frozenset({dict})),
    "after": frozenset({list, tuple}),
}


def _known(fields: Mapping[str, Any], kinds: _Kinds) -> dict[str, Any]:
    """What an object says of all that there can be."""
    return {key: value for key, value in fields.items() if value is not None and key in kinds}


def _mistyped(known: Mapping[str, Any], kinds: _Kinds) -> Optional[str]:
    """What of it is of another type, if anything is."""
    for key, value in known.items():
        if type(value) not in kinds[key]:
            return key
    return None


def spec_from(fields: Mapping[str, Any]) -> JobSpec:
    """The specification in a decoded object; refuses one that lacks a name or a command, or has other types."""
    if not isinstance(fields, dict):
        raise Refusal("usage", "a specification is an object")
    known = _known(fields, _KINDS)
    wrong = _mistyped(known, _KINDS)
    if wrong is not None:
        raise Refusal("usage", "the specification's %s is of another type" % wrong)
    if "after" in known:
        known["after"] = tuple(known["after"])
    texts = [*known.get("env", {}).values(), *known.get("secrets", {}).values(), *known.get("after", ())]
    if not all(isinstance(value, str) for value in texts):
        raise Refusal("usage", "the specification's env, secrets or after holds something that is no text")
    try:
        return JobSpec(**known)
    except TypeError:
        raise Refusal("usage", "a job needs a name and a command") from None


def packed(jobs: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each without what it has in common with the one before it, and the first without what is null."""
    before: Mapping[str, Any] = {}
    for job in jobs:
        yield {key: value for key, value in job.items() if before.get(key) != value}
        before = job


def result_to_json(ended_at: float, result: Result, started_at: Optional[float] = None) -> str:
    """Text of a result file, which tells when the attempt began, too: nothing else might be left to tell it."""
    began = {} if started_at is None else {"started_at": started_at}
    return json.dumps({**began, "ended_at": ended_at, **result._asdict()}, separators=(",", ":"))


def result_from_json(text: str) -> Optional[tuple[float, Result]]:
    """End and result in ``text``, or None where it holds none (an interrupted or foreign write)."""
    return result_from(table(text))


def result_from(fields: Any) -> Optional[tuple[float, Result]]:
    """End and result in a decoded object, or None."""
    known = _known(fields, _RESULT) if isinstance(fields, dict) else {}
    if _mistyped(known, _RESULT) is not None:
        return None
    at, state = known.pop("ended_at", None), known.get("state")
    return None if at is None or state not in END_STATES else (float(at), Result(**known))


_RESULT: _Kinds = {
    **dict.fromkeys(("state", "reason", "cause"), frozenset({str})),
    **dict.fromkeys(("exit_code", "signal", "mem_peak_bytes", "log_lost_bytes", "attempt"), frozenset({int})),
    **dict.fromkeys(("cpu_seconds", "ended_at"), frozenset({int, float})),
}


def start_to_json(start: Mapping[str, Any], attempt: int, runner: int) -> str:
    """Text of a lock file: which process is which attempt of the job, and which its runner."""
    return json.dumps({**start, "attempt": attempt, "runner": runner}, separators=(",", ":"))
