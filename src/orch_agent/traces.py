"""What the directories and lock files of jobs tell of them, should the ledger be lost.

A submission lies in ``jobs/ID/spec.json`` before anybody is told of it, one for all tasks of an array; a start in the
text of the job's lock file; an end in its result file, or, of a job that never started, in its submission's list of
those. Nothing here looks at the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from . import arrays, files, layout, locks, wire
from .model import Ended, JobRef, JobSpec, Refusal, check_name

if TYPE_CHECKING:
    from .ledger import Record

Start = tuple[float, int, str, str, Optional[str]]
"""Time, pid, birth, boot id and control group, as a row has them."""
_COARSE = 0.01
"""Seconds by which a file's time may lie before the clock's."""


class Submission(NamedTuple):
    """What was asked for. ``run``: of the first task. ``needs``: ids of jobs that must complete first, as ``after``."""

    id: str
    run: int
    spec: JobSpec
    submitted_at: float
    after: Optional[str] = None
    needs: Sequence[str] = ()

    def tasks(self) -> Iterator[tuple[str, int, Optional[int]]]:
        """Id, run and number of each task; of a job that is no array its own, and no number."""
        if self.spec.array is None:
            yield self.id, self.run, None
            return
        for run, task in enumerate(arrays.parse(self.spec.array).tasks, self.run):
            yield "%s-%d" % (self.id, task), run, task


class Begun(NamedTuple):
    """An attempt that has begun. ``start`` is None where nobody knows more than that."""

    attempt: int
    start: Optional[Start]


def keep(owner: str, first: Record, needs: Sequence[str]) -> None:
    """Bring to the disk what was submitted as this row, and those of the tasks that follow it."""
    os.makedirs(layout.job_dir(owner), mode=0o700, exist_ok=True)
    fields = {"run": first.run, "submitted_at": first.submitted_at, "after": first.after, "needs": needs}
    text = json.dumps({**fields, "spec": json.loads(first.spec_json)}, separators=(",", ":"))
    files.write_whole(layout.spec_file(owner), text)


def forget(owner: str) -> None:
    """Nobody was told of this submission."""
    files.remove(layout.spec_file(owner))


def owners() -> list[str]:
    """The ids of all that may have a submission in their directory."""
    try:
        return os.listdir(layout.jobs_dir())
    except OSError:
        return []


def submitted(owner: str) -> Optional[Submission]:
    """What was submitted under this id; None where nobody knows, or what is written makes no sense."""
    fields = files.read_table(layout.spec_file(owner))
    try:
        spec, after, needs = wire.spec_from(fields["spec"]), fields["after"], list(map(check_name, fields["needs"]))
        check_name(spec.name)
        for ref in [] if after is None else after.split():
            JobRef.parse(ref)
        found = Submission(owner, int(fields["run"]), spec, float(fields["submitted_at"]), after, needs)
        list(found.tasks())
        return found if found.run > 0 else None
    except (AttributeError, KeyError, TypeError, ValueError, Refusal):
        return None


def begun(job_id: str) -> Optional[Begun]:
    """The latest attempt that is known to have begun: by the lock file's text, or by the result."""
    found = [_locked(job_id), _begun(files.read_table(layout.result_file(job_id)), "started_at")]
    return max((one for one in found if one), key=lambda one: (one.attempt, one.start is not None), default=None)


def _locked(job_id: str) -> Optional[Begun]:
    """What the lock file tells of. It is written first, and the first sample last, before the job is let go."""
    is_held = locks.is_held(layout.lock_file(job_id))
    found = _begun(files.read_table(layout.lock_file(job_id)), "at")
    if found is None or found.start is None or is_held:
        return found
    try:
        sampled_at = os.stat(layout.usage_file(job_id)).st_mtime
    except OSError:
        return None
    return found if sampled_at >= found.start[0] - _COARSE else None


def _begun(fields: dict[str, Any], at: str) -> Optional[Begun]:
    try:
        attempt = int(fields["attempt"])
        if attempt < 1:
            return None
        if fields.get(at) is None:
            return Begun(attempt, None)
        birth, boot_id, group = (_word(fields.get(key)) for key in ("birth", "boot_id", "cgroup"))
        return Begun(attempt, (float(fields[at]), int(fields.get("pid") or 0), birth, boot_id, group or None))
    except (KeyError, TypeError, ValueError):
        return None


def _word(value: object) -> str:
    """A text that the ledger takes."""
    return value if isinstance(value, str) and value.isascii() else ""


def ended(job_id: str) -> Optional[Ended]:
    """How the latest attempt that has ended did, by the result."""
    found = wire.result_from_json(files.read_text(layout.result_file(job_id)) or "")
    return None if found is None else Ended(*found)


def left_something(job_id: str, log: str) -> bool:
    """Whether a job that never should have begun has."""
    usage = (layout.usage_file(job_id), layout.samples_file(job_id))
    return any(map(os.path.exists, usage)) or (os.path.exists(log) and os.path.getsize(log) > 0)


def last_sign(job_id: str, log: str) -> float:
    """When something last happened to it, in seconds since the epoch."""
    paths = (layout.usage_file(job_id), layout.samples_file(job_id), log, layout.job_dir(job_id))
    return max(os.path.getmtime(path) for path in paths if os.path.exists(path))


def note_unstarted(owner: str, job_id: str, end: Ended) -> None:
    """Note the end of a job that has not started, for it leaves nothing else; on a full disk there is none."""
    line = '{"id":%s,"end":%s}\n' % (json.dumps(job_id), wire.result_to_json(end.at, end.result))
    try:
        fd = os.open(layout.unstarted_file(owner), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return
    try:
        os.write(fd, line.encode("ascii"))
    except OSError:
        pass
    finally:
        os.close(fd)


def unstarted(owner: str) -> dict[str, Ended]:
    """The ends of those that had not started, by their ids."""
    found = {}
    for line in (files.read_text(layout.unstarted_file(owner)) or "").splitlines():
        fields = wire.table(line)  # nothing, of half a line
        end = wire.result_from(fields.get("end"))
        if end is not None:
            found[_word(fields.get("id"))] = Ended(*end)
    return found
