"""``orch show``: everything known of one run; for a failure, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orch.model import called, is_live, label
from orch.ops import hosts
from orch.ops.jobs import show
from orch.transport import Off
from orch_agent.model import JobView

from . import autopsy, options
from .args import Arguments, Command
from .output import BOLD, RED, clean, colour, document, length, local_time, say, size, state_colour
from .revision import told

COMMAND = Command(
    name="show",
    words="NAME",
    options=(options.JSON, options.HOST),
    least=1,
    most=1,
    text="Of the environment given by --env only the names are shown.",
)


def main(args: Arguments) -> int:
    """Show one run."""
    known = hosts.load()
    try:
        shown = show(known, args.words[0], args["host"])
    except Off as off:
        from orch.ops.archives import ends

        if ends(known, off, args.words):
            off.hint = f"orch logs {args.words[0]}    # its log is kept here\n{off.hint}"
        raise
    if args["json"]:
        document(shown)
    else:
        for line in _lines(shown):
            say(line)
    return 0


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    job: JobView = shown["job"]
    yield colour(label(job), BOLD) + "  " + colour(job["state"], state_colour(job["state"]))
    yield from _table(_facts(shown, job))
    if shown["autopsy"]:
        yield from ["", colour("Why", RED), f"  {clean(shown['why'])}"]
        yield from _table(autopsy.facts(job, shown["autopsy"], shown["usage_curve"]))
    if shown.get("remarks"):
        yield from ["", colour("Said when it was submitted", BOLD), *(f"  {clean(text)}" for text in shown["remarks"])]
    if shown["attempts"]:
        yield from ["", colour("Attempts before", BOLD), *map(_attempt, shown["attempts"])]
    if shown["next"]:
        yield from ["", colour("Next", BOLD), f"  {clean(shown['next'])}"]
    if shown["log_tail"]:
        yield from ["", colour("The log ends with", BOLD)]
        yield from (f"  {clean(line)}" for line in _as_seen(shown["log_tail"]))


def _table(facts: Iterator[tuple[str, str]]) -> Iterator[str]:
    told = [(name, text) for name, text in facts if text not in ("", "-")]
    width = max((len(name) for name, _ in told), default=0)
    return (f"  {name:<{width}}  {clean(text)}" for name, text in told)


def _attempt(one: Mapping[str, Any]) -> str:
    peak = "" if one["mem_peak_bytes"] is None else f", {size(one['mem_peak_bytes'])} at its peak"
    return clean(f"  {one['attempt']}  {one['state']}  {local_time(one['ended_at'])}  {one['why']}{peak}")


def _facts(shown: Mapping[str, Any], job: JobView) -> Iterator[tuple[str, str]]:
    yield "waits for input", f"orch send {called(job)} TEXT" if is_live(job) and job["waiting_for_input"] else ""
    yield "prompt", job["prompt"] or ""
    yield "reason", "" if shown["autopsy"] else job["reason"] or ""
    yield "command", job["command"]
    yield "host", job["host"]
    yield "code", told(job["code"])
    yield "directory", job["cwd"] or ""
    yield "environment", " ".join(shown["env"])
    yield "secrets", " ".join(name if name == kept else f"{name}={kept}" for name, kept in shown["secrets"].items())
    yield from _terms(job)
    yield "submitted", local_time(job["submitted_at"])
    yield "starts", local_time(job["due_at"])
    yield "started", local_time(job["started_at"])
    yield "ended", local_time(job["ended_at"])
    yield "exit code", _text(job["exit_code"])
    yield "signal", _text(job["signal"])
    yield "memory", size(job["mem_bytes"])
    yield "peak memory", size(job["mem_peak_bytes"])
    yield "over time", autopsy.bars(shown["usage_curve"])
    yield "CPU", "" if job["cpu_seconds"] is None else f"{job['cpu_seconds']:.1f} s"
    yield "log", f"{job['log_path']} ({size(shown['log_size_bytes'])})"
    yield "log lost", size(shown["log_lost_bytes"]) if shown["log_lost_bytes"] else ""
    yield "id", job["id"]


def _terms(job: JobView) -> Iterator[tuple[str, str]]:
    """On what terms it runs, as far as it has any."""
    yield "array", "" if job["array_task"] is None else f"task {job['array_task']}"
    yield "attempt", f"{max(1, job['attempt'])} of {job['retries'] + 1}" if job["retries"] else ""
    yield "after", " ".join(job["after"] or ())
    yield f"memory {'learned' if job['mem_request_learned'] else 'asked'}", size(job["mem_request_bytes"])
    yield "memory limit", size(job["mem_max_bytes"])
    yield "processors", "" if job["cpus"] is None else f"{job['cpus']:g}"
    yield "time limit", "" if job["timeout_seconds"] is None else length(job["timeout_seconds"])
    yield "nice", str(job["nice"] or "")


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _as_seen(tail: str) -> list[str]:
    """The last lines as a terminal would have left them: behind a carriage return a line starts anew."""
    lines = tail.replace("\r\n", "\n").split("\n")
    return [line.rstrip("\r").rpartition("\r")[2] for line in lines if line.strip()]
