"""Staying with a job until its end, and leaving it alone on Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from orch.errors import INTERRUPTED, while_waiting
from orch.model import called, gathered, job_status, jobs_status, label, span
from orch.ops.logs import Log, Newlines
from orch.ops.submit import Submitted
from orch.ops.wait import wait_on
from orch.remote import Remote
from orch_agent.model import COMPLETED, JobView

from .output import document, note, note_of_link


def follow(remote: Remote, job: JobView, results: Sequence[str] = ()) -> int:
    """Print the job's log until its end, bring ``results`` here, and give its exit status."""
    with while_waiting():
        try:
            copy(Log(remote, {"job": label(job), "follow": True}, note_of_link, surely=True))
            ended = wait_on(remote, [label(job)], tell=note_of_link, surely=True)["jobs"][0]
        except KeyboardInterrupt:
            return left(job)
        note(outcome([ended], "show"))
        _kept(remote, [ended])
    _, failed = _brought(remote, ended, results)
    return job_status(ended) or failed


def wait(remote: Remote, submitted: Submitted, as_json: bool, results: Sequence[str] = ()) -> int:
    """Wait for the end of the job, or of every task; bring ``results`` of the one job here; give its exit status."""
    with while_waiting():
        try:
            ended = wait_on(remote, [submitted.ref], tell=note_of_link, surely=True)["jobs"]
        except KeyboardInterrupt:
            return left(submitted.job) if submitted.tasks is None else left_all(submitted)
        for group in () if as_json else gathered(ended, how):
            note(outcome(group, "show"))
        pulled, failed = _brought(remote, ended[0], results, as_json)
        if as_json:
            document({"job": ended[0], **pulled} if submitted.tasks is None else {"jobs": ended})
        return jobs_status(_kept(remote, ended)) or failed


def _brought(
    remote: Remote, job: JobView, paths: Sequence[str], as_json: bool = False
) -> tuple[dict[str, object], int]:
    """What was brought here of what the job has left, and the exit status of that."""
    if not paths:
        return {}, 0
    from .pull import brought

    pulled, status = brought(remote, job, paths, as_json)
    return {"pulled": pulled}, status


def _kept(remote: Remote, ended: Sequence[JobView]) -> Sequence[JobView]:
    """The same jobs, once they are kept here where their host may vanish; how they ended is told by then."""
    from orch.ops.kept import keep_one

    for job in ended:
        keep_one(remote, job, note_of_link)
    return ended


def how(job: JobView) -> tuple[object, ...]:
    """What tells two ends apart."""
    return job["state"], job["exit_code"], job["signal"]


def outcome(jobs: Sequence[JobView], command: str) -> str:
    """``fl.1 FAILED, exit status 4; orch show fl``: how jobs ended alike, and for a failure what to type next."""
    job = jobs[0]
    if job["signal"]:
        status = f", signal {job['signal']}"
    else:
        status = "" if job["exit_code"] is None else f", exit status {job['exit_code']}"
    hint = "" if job["state"] == COMPLETED else f"; orch {command} {called(job)}"
    return f"{span(jobs)} {job['state']}{status}{hint}"


def left(job: JobView, command: str = "logs -f") -> int:
    """Say that only the looking has ended, and the command that goes on with it."""
    ref = called(job)
    note(f"\n{label(job)} runs on; come back: orch {command} {ref}; end it: orch cancel {ref}")
    return INTERRUPTED


def left_all(submitted: Submitted) -> int:
    """The same of an array."""
    name = submitted.job["name"]
    note(f"\n{submitted.ref} run on; come back: orch wait {name}; end them: orch cancel {name}")
    return INTERRUPTED


def copy(log: Log, raw: bool = False) -> None:
    """Write a log's bytes to standard output, each as soon as it is there."""
    sys.stdout.flush()
    chunks = log.chunks()
    for chunk in chunks if raw or not log.tty else as_written(chunks):
        write(chunk)


def as_written(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """The bytes without what a terminal did to their newlines."""
    newlines = Newlines()
    for chunk in chunks:
        yield newlines.feed(chunk)
    yield newlines.flush()


def write(data: bytes) -> None:
    """Write all of it, past every buffer."""
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
