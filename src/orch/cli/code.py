"""The working tree that a job is to run in, as the command line says it."""

from __future__ import annotations

import os

from orch import code, paths
from orch.code import Snapshot
from orch.errors import OrchError, usage
from orch.model import JobDefaults
from orch.ops.sync import Delivery
from orch.remote import Begun
from orch_agent.model import JobSpec

from .args import Arguments
from .output import note_of_link
from .progress import Progress, Transfer


def is_wanted(args: Arguments, defaults: JobDefaults | None) -> bool:
    """Whether the job is to run in a snapshot."""
    if args["sync"] and args["no_sync"]:
        raise usage("--sync and --no-sync contradict each other", "orch help run")
    by_default = defaults is not None and defaults.sync is True
    return bool(args["sync"]) or (by_default and not args["no_sync"])


def taken(start: str, begun: Begun) -> Delivery:
    """A snapshot of the working tree that ``start`` is in, on its way to who has ``begun`` to wait for it."""
    with Progress() as progress:
        snapshot = code.take(start, progress.tell)
    for text in snapshot.notes:
        note_of_link(text)
    return Delivery(snapshot, Transfer, begun)


def laid_out(spec: JobSpec, snapshot: Snapshot, cwd: str | None) -> JobSpec:
    """``spec`` in the snapshot: in the directory where it was taken, or ``cwd`` as it was typed there.

    What ran in an earlier snapshot begins where it began then.
    """
    if cwd is None and spec.code is not None:
        return spec._replace(code=code.code_of(snapshot))
    if cwd is not None and (os.path.isabs(cwd) or cwd.startswith("~")):
        return spec._replace(code=code.code_of(snapshot), cwd=paths.elsewhere(os.path.expanduser(cwd)))
    below = os.path.normpath(os.path.join(snapshot.directory, cwd or ""))
    if below == ".." or below.startswith("../"):
        raise usage(
            f"--cwd {cwd} is not in {snapshot.top}, which goes to the host", "a directory of the host: --cwd /DIR"
        )
    below = "" if below == "." else below
    if not code.has_directory(snapshot, below):
        says = f"there would be no directory {below} for the job to begin in: nothing in it goes along"
        raise OrchError("refused", says, "cd elsewhere, or --cwd DIR; what is ignored stays here")
    return spec._replace(code=code.code_of(snapshot), cwd=below or None)
