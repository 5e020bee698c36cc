"""Staying with a job until its end, and leaving it alone on Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from orch.errors import INTERRUPTED, while_waiting
from orch.model import job_status, label
from orch.ops.logs import Log, Newlines
from orch.ops.wait import wait_on
from orch.remote import Remote
from orch_agent.model import COMPLETED, JobView

from .output import document, note, note_of_link


def follow(remote: Remote, job: JobView) -> int:
    """Print the job's log until its end, and give its exit status."""
    with while_waiting():
        try:
            copy(Log(remote, {"job": label(job), "follow": True}, note_of_link, surely=True))
            ended = wait_on(remote, [label(job)], tell=note_of_link, surely=True).jobs[0]
        except KeyboardInterrupt:
            return left(job)
        note(outcome(ended, "show"))
        return job_status(ended)


def wait(remote: Remote, job: JobView, as_json: bool) -> int:
    """Wait for the job's end, and give its exit status."""
    with while_waiting():
        try:
            ended = wait_on(remote, [label(job)], tell=note_of_link, surely=True).jobs[0]
        except KeyboardInterrupt:
            return left(job)
        if as_json:
            document({"job": ended})
        else:
            note(outcome(ended, "show"))
        return job_status(ended)


def outcome(job: JobView, command: str) -> str:
    """``fl.1 FAILED, exit status 4; orch show fl``: how it ended, and for a failure what to type next."""
    if job["signal"]:
        how = f", signal {job['signal']}"
    else:
        how = "" if job["exit_code"] is None else f", exit status {job['exit_code']}"
    hint = "" if job["state"] == COMPLETED else f"; orch {command} {job['name']}"
    return f"{label(job)} {job['state']}{how}{hint}"


def left(job: JobView, command: str = "logs -f") -> int:
    """Say that only the looking has ended, and the command that goes on with it."""
    note(f"\n{label(job)} runs on; come back: orch {command} {job['name']}; end it: orch cancel {job['name']}")
    return INTERRUPTED


def copy(log: Log, raw: bool = False) -> None:
    """Write a log's bytes to standard output, each as soon as it is there."""
    sys.stdout.flush()
    chunks = log.chunks()
    for chunk in chunks if raw or not log.tty else _as_written(chunks):
        write(chunk)


def _as_written(chunks: Iterable[bytes]) -> Iterable[bytes]:
    newlines = Newlines()
    for chunk in chunks:
        yield newlines.feed(chunk)
    yield newlines.flush()


def write(data: bytes) -> None:
    """Write all of it, past every buffer."""
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
