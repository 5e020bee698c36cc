"""Who ended a job, in which words, and what to type next; and how a person is told."""

from __future__ import annotations

from typing import Any

import pytest

from orch.cli import autopsy as told
from orch_agent import autopsy, wire
from orch_agent.autopsy import Seen
from orch_agent.ledger import Record
from orch_agent.model import CANCELLED, FAILED, NODE_FAIL, OUT_OF_MEMORY, TIMEOUT, JobSpec, Result
from tests.unit.fakes import job

G = 1 << 30
NOTHING = Seen("train", {}, 0, 30 * G, None, "/home/me")


def record(reserved: int | None = None, **spec: Any) -> Record:
    text = wire.spec_to_json(JobSpec("train", "true", **spec))
    return Record("id", "train", 3, text, 1.0, 1, 1.0, 1, "", "", None, 2.0, None, reserved=reserved)


ENDS = {
    "itself": [
        (Result(FAILED, 1), "exit status 1"),
        (Result(FAILED, 127), "exit status 127: a command was not found: is it installed"),
        (Result(FAILED, 126), "exit status 126: a command was found but may not be executed"),
        (Result(FAILED, None, 11), "killed by SIGSEGV: it used memory that is not its own"),
        (Result(FAILED, 139), "exit status 139: a process of it was killed by SIGSEGV: it used memory"),
        (Result(FAILED, 255), "exit status 255"),
    ],
    "outside": [
        (Result(FAILED, None, 9), "killed by SIGKILL: somebody outside orch sent it"),
        (Result(FAILED, 137), "exit status 137: a process of it was killed by SIGKILL: somebody outside"),
        (Result(FAILED, None, 15), "killed by SIGTERM: somebody outside orch sent it"),
        (Result(FAILED, None, 9, "killed by SIGKILL"), "killed by SIGKILL: somebody outside orch sent it"),
    ],
    "person": [
        (Result(CANCELLED, None, 15, "cancelled", cause="cancel"), "cancelled"),
        (Result(CANCELLED, None, 15, "cancelled"), "cancelled"),  # an older agent's
    ],
    "time_limit": [(Result(TIMEOUT, None, 15, "it reached its time limit", cause="timeout"), "it reached")],
    "stall_limit": [(Result(CANCELLED, None, 15, "stalled: x", cause="stall"), "stalled: x")],
    "guard": [(Result(OUT_OF_MEMORY, None, 9, "the host ran short", cause="guard"), "the host ran short")],
    "memory_limit": [(Result(OUT_OF_MEMORY, None, 9, "over --mem-max", cause="limit"), "over --mem-max")],
    "kernel": [(Result(OUT_OF_MEMORY, None, 9, "killed by the kernel", cause="kernel"), "killed by the kernel")],
    "host": [(Result(NODE_FAIL, None, 15, "the host was going down", cause="host"), "the host was going down")],
    "dependency": [(Result(CANCELLED, None, None, "prep.3, which …", cause="needs"), "prep.3, which …")],
    "unknown": [
        (Result(NODE_FAIL, None, None, "its runner was killed"), "its runner was killed"),
        (Result(FAILED), "FAILED"),
        (Result(CANCELLED, cause="a cause of later versions"), "CANCELLED"),
    ],
}


@pytest.mark.parametrize("who", ENDS)
def test_who_ended_it_and_how(who: str) -> None:
    for result, words in ENDS[who]:
        assert autopsy.ended_by(result) == who, result
        assert autopsy.why(result).startswith(words), autopsy.why(result)
        assert autopsy.why(result).count("killed by") <= 1, "nothing is said twice"
        assert who in told._BY


def test_nobody_outside_is_blamed_for_what_orch_did() -> None:
    for state in (CANCELLED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL):
        assert autopsy.how(Result(state, None, 9)) == "killed by SIGKILL"


OUT = Result(OUT_OF_MEMORY, None, 9)
STEPS = [
    (record(), OUT, NOTHING._replace(peak=9 * G), "orch rerun train --mem 11G"),
    (record(), OUT, NOTHING._replace(peak=500 << 20), "orch rerun train --mem 600M"),
    (record(reserved=12 * G), OUT, NOTHING._replace(peak=9 * G), "orch rerun train --mem 12G"),
    (record(mem_max=9 * G), OUT, NOTHING._replace(peak=9 * G), "orch rerun train --mem 11G --mem-max 11G"),
    (record(mem_max=20 * G), OUT, NOTHING._replace(peak=9 * G), "orch rerun train --mem 11G"),
    (record(), OUT, NOTHING._replace(peak=29 * G), "orch rerun train --mem 35G --host LARGER"),
    (record(), OUT, NOTHING, "orch logs train"),
    (record(timeout=3 * 3600.0), Result(TIMEOUT, None, 15), NOTHING, "orch rerun train --timeout 6h"),
    (record(timeout=2700.0), Result(TIMEOUT, None, 15), NOTHING, "orch rerun train --timeout 90m"),
    (
        record(timeout=0.5),
        Result(TIMEOUT, None, 15),
        NOTHING._replace(name="train.3"),
        "orch rerun train.3 --timeout 1s",
    ),
    (record(), Result(NODE_FAIL), NOTHING, "orch rerun train"),
    (record(), Result(CANCELLED, cause="cancel"), NOTHING, "orch rerun train"),
    (record(), Result(CANCELLED, cause="stall"), NOTHING, "orch logs train"),
    (record(), Result(CANCELLED, reason="prep.3, which had to …", cause="needs"), NOTHING, "orch show prep.3"),
    (record(), Result(FAILED, 1), NOTHING._replace(error="x: command not found"), "orch logs train"),
    (record(), Result(FAILED, 127), NOTHING, "orch logs train"),
    (record(), Result(FAILED, None, 9), NOTHING._replace(has_log=False), "orch rerun train"),
    (
        record(),
        Result(FAILED, 127),
        NOTHING._replace(error="bash: line 1: nvcc: command not found"),
        'bash -lc "type -a nvcc"',
    ),
    (record(), Result(FAILED, 127), NOTHING._replace(error="bash: $(x): command not found"), "orch logs train"),
    (
        record(),
        Result(FAILED, 126),
        NOTHING._replace(error="bash: line 1: ./train's.sh: Permission denied"),
        "ls -l '/home/me/./train'\"'\"'s.sh'",
    ),
]


@pytest.mark.parametrize(("asked", "result", "seen", "command"), STEPS)
def test_what_to_type_next(asked: Record, result: Result, seen: Seen, command: str) -> None:
    following = autopsy.next_step(asked, result, seen)
    assert (following.command, following.there) == (command, not command.startswith("orch "))


# Words

CURVE = {
    "seconds": [1.0, 2.0, 3.0, 4.0],
    "mem_bytes": [G, 2 * G, 4 * G, 3 * G],
    "cpu_seconds": [0.0] * 4,
    "host_available_bytes": [G] * 4,
    "mem_slope": 1.0 * G,
}
BOX = {
    "peak": {
        "mem_bytes": 4 * G,
        "processes": [{"pid": 1, "program": "python a.py", "mem_bytes": 3 * G}],
    },
    "end": {
        "neighbours": [{"job": f"n.{at}", "mem_bytes": G} for at in range(1, 6)],
        "neighbours_count": 12,
        "neighbours_mem_bytes": 9 * G,
        "host_available_bytes": G // 2,
        "disk_free_bytes": 12 * G,
    },
}


def facts(curve: Any, box: Any, **more: Any) -> dict[str, str]:
    found = autopsy.facts(Result(OUT_OF_MEMORY, None, 9, cause="guard"), NOTHING._replace(box=box, error="MemoryError"))
    return {name: text for name, text in told.facts(job(**more), found, curve) if text}


def test_everything_is_told() -> None:
    assert facts(CURVE, BOX, mem_peak_bytes=4 * G, mem_request_bytes=2 * G) == {
        "ended by": "the guard of the host's memory",
        "first error": "MemoryError",
        "memory": "4.0GB at its peak after 3s, rising by 1.0GB a second; 2.0GB were reserved",
        "at the peak": "python a.py 3.0GB",
        "other jobs": "n.1 1.0GB, n.2 1.0GB, n.3 1.0GB and 9 more; 9.0GB in all",
        "host": "512.0MB of memory were left",
        "disk": "12.0GB free",
    }


def test_what_nobody_saw_is_not_told() -> None:
    assert facts(None, {}) == {"ended by": "the guard of the host's memory", "first error": "MemoryError"}


def test_what_hardly_changes_is_not_rising() -> None:
    assert told.memory(job(mem_peak_bytes=4 * G), {**CURVE, "mem_slope": 100.0}) == "4.0GB at its peak after 3s"
    assert told.memory(job(mem_peak_bytes=4 * G), {**CURVE, "mem_slope": None}) == "4.0GB at its peak after 3s"


def test_a_curve_in_one_line() -> None:
    assert told.drawn([1.0, 2.0, 3.0, 4.0], [0, 3, 7, 3]) == "▁▄█▄"
    assert told.drawn([0.0, 1.0, 10.0], [1, 4, 8]) == "▅▅█", "where nothing was noted it is as it was before"
    assert told.drawn([float(at) for at in range(1000)], list(range(1000)))[::13] == "▁▃▆█"
    assert told.drawn([1.0, 2.0], [1, 2]) == told.drawn([1.0, 2.0, 3.0], [0, 0, 0]) == ""
