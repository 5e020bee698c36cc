"""``submit``: accept a job, exactly once, and start it.

The client makes the id. The same id again, after any failure at any point, is the same job.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from typing import BinaryIO

from .. import cgroup, joblog, layout, observe, procs, wire
from ..launch import detach
from ..ledger import Ledger, Record, open_ledger
from ..model import Ended, JobSpec, Refusal, Running, check_name, check_spec
from .common import Request, text, view


def stream(request: Request, out: BinaryIO) -> None:
    """Accept, start, and say on ``out`` what became of it. Then open the view: nobody has to wait for that."""
    job_id = check_name(text(request, "id"), "submission key")
    spec = _at_home(check_spec(wire.spec_from(request.get("spec") or {})))
    # Never closed but by our end: who closes it last brings it to the disk anew, and that may as well be the runner.
    ledger = open_ledger()
    record, created = _accept(ledger, job_id, spec)
    if record.is_pending:
        _start(record)
    try:
        out.write(wire.encode({"job": view(ledger, record), "created": created}))
        out.flush()
    finally:
        if record.is_pending:
            detach.aside(lambda: _open_view(record))


def _accept(ledger: Ledger, job_id: str, spec: JobSpec) -> tuple[Record, bool]:
    """The job's row, and whether this call wrote it."""
    known = ledger.get(job_id)
    if known is None:
        _check_cwd(spec)
        for directory in (layout.job_dir(job_id), layout.live_dir()):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        with ledger.transaction():
            known = ledger.get(job_id)
            if known is None:
                _check_free(ledger, spec.name)
                record = ledger.insert(job_id, _next_run(ledger, spec.name), spec, time.time())
                joblog.create(record.log_path, layout.log_link(record.name))
                return record, True
    if known.spec_json != wire.spec_to_json(spec):
        raise Refusal(
            "conflict", "the id %s belongs to %s, submitted with another command or options" % (job_id, known.ref)
        )
    return known, False


def _at_home(spec: JobSpec) -> JobSpec:
    """With an absolute directory: ``~/work`` and ``work`` are below the home."""
    if spec.cwd is None or os.path.isabs(spec.cwd):
        return spec
    first, _, below = spec.cwd.partition("/")
    if first.startswith("~") and first != "~":
        said = "only ~ itself is known as a home, and the working directory is %s" % ascii(spec.cwd)
        raise Refusal("usage", said, "write its path: --cwd /...")
    return spec._replace(cwd=os.path.normpath(os.path.join(layout.home(), below if first == "~" else spec.cwd)))


def _check_cwd(spec: JobSpec) -> None:
    where = spec.cwd or layout.home()
    said, word = ascii(where), shlex.quote(where)
    if not os.path.lexists(where):
        raise Refusal("refused", "there is no directory %s on this host" % said, "mkdir -p %s" % word, there=True)
    if not os.path.isdir(where):
        raise Refusal("refused", "%s is not a directory" % said, "ls -ld %s" % word, there=True)
    if not os.access(where, os.X_OK):
        raise Refusal("refused", "the directory %s may not be entered" % said, "ls -ld %s" % word, there=True)


def _check_free(ledger: Ledger, name: str) -> None:
    for record in ledger.live_runs(name):
        state = observe.look(ledger, record)
        if not isinstance(state, Ended):
            hint = "orch run %s --replace …, or another name; look at it: orch attach %s" % (name, name)
            said = "%s is still %s" % (record.ref, "running" if isinstance(state, Running) else "pending")
            raise Refusal("name_in_use", said, hint)


def _next_run(ledger: Ledger, name: str) -> int:
    """The next number without a log that says something: logs outlive a lost ledger, and are never written over."""
    run = ledger.last_run(name) + 1
    while _is_used(layout.log_file(name, run)):
        run += 1
    return run


def _is_used(log: str) -> bool:
    try:
        found = os.lstat(log)
    except OSError:
        return False
    return found.st_size > 0 or not stat.S_ISREG(found.st_mode)


def _start(record: Record) -> None:
    if procs.MARKER in os.environ:
        # A job submits a job: what we start, a tmux server perhaps, is not to count as that job's.
        cgroup.keep_apart()
    detach.agent("runner", record.id)


def _open_view(record: Record) -> None:
    from ..launch import tmux  # late: what it needs takes as long to import as all the rest of a submission

    tmux.open_if_few(record)
