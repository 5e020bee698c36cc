"""``submit``: accept a job, exactly once, and see to it that it starts.

The client makes the id. The same id again, after any failure at any point, is the same job.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import stat
import sys
import time
from collections.abc import Mapping
from typing import Any, Optional

from .. import (
    again,
    arrays,
    closed,
    files,
    given,
    joblog,
    layout,
    memory,
    observe,
    queue,
    remarks,
    settings,
    supervision,
    traces,
    vault,
    wire,
)
from ..check import check_spec
from ..ledger import Ledger, Record, open_ledger
from ..model import Ended, JobSpec, Refusal, Running, check_name
from ..schedule import size
from .common import Answer, Request, find_all, label, text, view


def run(request: Request) -> Answer:
    """Accept, see to it that somebody starts it, and say what became of it."""
    job_id = _check_id(text(request, "id"))
    spec = _at_home(check_spec(wire.spec_from(request.get("spec") or {})))
    remarks.check(spec)
    if request.get("pack") is not None:
        _receive(request["pack"], spec)
    secrets = vault.checked(request.get("secrets"))
    if spec.code is not None or spec.secrets:
        supervision.renew()
    # Never closed but by our end: who closes it last brings it to the disk anew, and that may as well be another.
    ledger = open_ledger()
    settings.keep(request.get("settings"))
    records, created = _accept(ledger, job_id, spec, secrets)
    first = records[0]
    if spec.after:
        queue.resolve_needs(ledger)  # of those that have ended already it is known at once what follows
        first = ledger.get(first.id) or first
    answer = {"job": view(ledger, first), "created": created}
    supervision.poke()
    if spec.array is not None:
        answer["tasks"] = len(records)
    told = remarks.made(ledger, first) + (vault.remarks() if secrets else []) + _empty(spec)
    return {**answer, "remarks": told} if told else answer


def _receive(fields: Any, spec: JobSpec) -> None:
    """The code that it comes with."""
    from .. import packs  # most jobs come without

    pack = packs.Pack.parse(fields)
    code = spec.code or {}
    if (pack.store, pack.commit) != (code.get("store"), code.get("commit")):
        raise Refusal("usage", "what is sent with %s is not the code that it is to run" % spec.name)
    packs.receive(pack, sys.stdin.buffer)
    fields["size"] = 0  # should the verb be done again, it is here


def _empty(spec: JobSpec) -> list[str]:
    """That somebody may look for data which is nowhere yet."""
    code = spec.code or {}
    places = [(path, layout.shared_dir(code["store"], path)) for path in code.get("share", ())]
    said = "%s is shared by all runs, and empty: what is put into %s there is what they find"
    return [said % (path, place) for path, place in places if not files.names(place)]


def _kept(job_id: str, spec: JobSpec) -> contextlib.AbstractContextManager[None]:
    """Within it, and once its row is written for as long as that is there, its code stays."""
    if spec.code is None:
        return contextlib.nullcontext()
    from .. import stores

    return stores.kept(job_id, spec.code)


def _accept(ledger: Ledger, job_id: str, spec: JobSpec, secrets: Mapping[str, str]) -> tuple[list[Record], bool]:
    """The job's row, or the rows of its array, and whether this call wrote them."""
    known = _submitted(ledger, job_id)
    if not known:
        if spec.secrets:
            given.check(spec, secrets)  # first: whatever else is refused may be quoted
        _check_cwd(spec)
        _check_room(spec)
        os.makedirs(layout.live_dir(), mode=0o700, exist_ok=True)
        tasks = None if spec.array is None else arrays.parse(spec.array)
        is_ours = False
        try:
            with _kept(job_id, spec), ledger.transaction():
                known = _submitted(ledger, job_id)
                if not known:
                    _check_open()
                    is_ours = True  # nobody else writes down this id before we are through
                    _check_free(ledger, spec.name)
                    fresh = [_one(ledger, job_id, spec)] if tasks is None else _all(ledger, job_id, spec, tasks)
                    if secrets:
                        vault.keep(job_id, secrets)
                    _write_down(ledger, job_id, fresh[0])
                    return fresh, True
        except sqlite3.IntegrityError:
            raise Refusal("conflict", "the id of a task, %s-N, belongs to another job" % job_id) from None
        except (OSError, sqlite3.Error):
            if is_ours:
                traces.forget(job_id)
                vault.forget(job_id)
            raise
    again.check(job_id, known[0], spec)
    if secrets and not vault.read(job_id):
        given.bring(ledger, job_id, secrets)
    return known, False


def _write_down(ledger: Ledger, owner: str, first: Record) -> None:
    """Beside its row, in case that the ledger is lost; before anybody is told."""
    needs = [one for (one,) in ledger.rows("SELECT needs_id FROM needs WHERE job_id = ?", [owner])]
    traces.keep(owner, first, needs)


def _submitted(ledger: Ledger, job_id: str) -> list[Record]:
    """What was submitted under this id before."""
    return list(ledger.select("WHERE id = ? OR array_id = ? ORDER BY run", [job_id, job_id]))


def _one(ledger: Ledger, job_id: str, spec: JobSpec) -> Record:
    os.makedirs(layout.job_dir(job_id), mode=0o700, exist_ok=True)
    record = _insert(ledger, job_id, _next_run(ledger, spec.name), spec, _need(ledger, job_id, spec))
    joblog.create(record.log_path, layout.log_link(record.name))
    return record


def _all(ledger: Ledger, array_id: str, spec: JobSpec, array: arrays.Array) -> list[Record]:
    """A row for each task: runs that follow one another. Their directories and logs are made when they start."""
    check_name("%s-%d" % (array_id, array.tasks[-1]), "submission key of an array's task")
    first = _next_run(ledger, spec.name, len(array.tasks))
    after = _need(ledger, array_id, spec)
    return [
        _insert(ledger, "%s-%d" % (array_id, task), run, spec, after, array_id, task, array.limit)
        for run, task in enumerate(array.tasks, first)
    ]


def _insert(
    ledger: Ledger,
    job_id: str,
    run: int,
    spec: JobSpec,
    after: Optional[str],
    array_id: Optional[str] = None,
    task: Optional[int] = None,
    task_limit: Optional[int] = None,
) -> Record:
    return ledger.insert(
        job_id,
        run,
        spec,
        time.time(),
        **queue.terms(spec),
        after=after,
        array_id=array_id,
        task=task,
        task_limit=task_limit,
    )


def _need(ledger: Ledger, owner: str, spec: JobSpec) -> Optional[str]:
    """Have ``owner``, a job or a whole array, wait for the runs that must complete first; what they are called."""
    groups = [find_all(ledger, ref) for ref in spec.after]
    for needed in (one for group in groups for one in group):
        ledger.write("INSERT OR IGNORE INTO needs VALUES (?, ?)", [owner, needed.id])
    return " ".join(map(label, groups)) or None


def _check_id(job_id: str) -> str:
    """Refuse an id that is no name, or the name of what lies beside jobs: the supervisor's lock, the keepers' group."""
    if check_name(job_id, "submission key").lower() in ("supervisor", "keepers"):
        raise Refusal("usage", "the submission key %s is taken by orch itself" % job_id, "choose another --id")
    return job_id


def _check_room(spec: JobSpec) -> None:
    """Refuse what could never start here."""
    if spec.mem is None and not spec.cpus:
        return
    host = memory.look()
    room = host.total - host.reserve
    if spec.mem is not None and spec.mem > room:
        said = "it asks for %s of memory, and this host has %s for jobs" % (size(spec.mem), size(room))
        raise Refusal("refused", said, "orch run %s --mem %dM …" % (spec.name, room >> 20))
    if spec.cpus > host.cpus:
        said = "it asks for %g processors, and this host has %d" % (spec.cpus, host.cpus)
        raise Refusal("refused", said, "orch run %s --cpus %d …" % (spec.name, host.cpus))


def _at_home(spec: JobSpec) -> JobSpec:
    """With an absolute directory: ``~/work`` and ``work`` are below the home."""
    if spec.cwd is None or os.path.isabs(spec.cwd) or (spec.code is not None and not spec.cwd.startswith("~")):
        return spec
    first, _, below = spec.cwd.partition("/")
    if first.startswith("~") and first != "~":
        said = "only ~ itself is known as a home, and the working directory is %s" % ascii(spec.cwd)
        raise Refusal("usage", said, "write its path: --cwd /...")
    return spec._replace(cwd=os.path.normpath(os.path.join(layout.home(), below if first == "~" else spec.cwd)))


def _check_cwd(spec: JobSpec) -> None:
    if spec.code is not None and not os.path.isabs(spec.cwd or ""):
        return  # below the top of what is yet to be laid out
    where = spec.cwd or layout.home()
    said, word = ascii(where), shlex.quote(where)
    if not os.path.lexists(where):
        raise Refusal("refused", "there is no directory %s on this host" % said, "mkdir -p %s" % word, there=True)
    if not os.path.isdir(where):
        raise Refusal("refused", "%s is not a directory" % said, "ls -ld %s" % word, there=True)
    if not os.access(where, os.X_OK):
        raise Refusal("refused", "the directory %s may not be entered" % said, "ls -ld %s" % word, there=True)


def _check_open() -> None:
    """Inside the transaction: who closes a host looks for jobs in one, too."""
    why = closed.why()
    if why is not None:
        raise Refusal("stopped", "this host %s, and takes no jobs meanwhile" % why, "the same again in a minute")


def _check_free(ledger: Ledger, name: str) -> None:
    for record in ledger.live_runs(name):
        state = observe.look(ledger, record)
        if not isinstance(state, Ended):
            one = name if record.array_id is None else record.ref
            word, look = ("running", "attach") if isinstance(state, Running) else ("pending", "show")
            hint = "orch run %s --replace …, or another name; look at it: orch %s %s" % (name, look, one)
            said = "%s is still %s" % (record.ref, word)
            raise Refusal("name_in_use", said, hint)


def _next_run(ledger: Ledger, name: str, count: int = 1) -> int:
    """The next number, or the first of several, without a log that says something: no log is ever written over."""
    run = ledger.last_run(name) + 1
    while any(_is_used(layout.log_file(name, one)) for one in range(run, run + count)):
        run += 1
    return run


def _is_used(log: str) -> bool:
    try:
        found = os.lstat(log)
    except OSError:
        return False
    return found.st_size > 0 or not stat.S_ISREG(found.st_mode)
