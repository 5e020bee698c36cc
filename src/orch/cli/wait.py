"""``orch wait``: come back when jobs have ended, with their exit status."""

from __future__ import annotations

from orch.errors import INTERRUPTED, LOST, while_waiting
from orch.model import gathered, is_live, jobs_status, span
from orch.ops import hosts
from orch.ops.wait import Waited, wait
from orch.units import duration
from orch_agent.model import CANCELLED, JobView

from . import options
from .args import Arguments, Command, Option
from .output import clean, document, note, note_of_link, say

COMMAND = Command(
    name="wait",
    words="NAME...",
    options=(
        Option("--timeout", "stop waiting after T: 10s, 5m, 3h, 1d", "T", duration),
        Option("--any", "until the first of them has ended"),
        options.JSON,
        options.HOST,
    ),
    least=1,
    text="""\
Ends with the job's own exit status: 128+n for signal n, 124 for TIMEOUT, 137 for OUT_OF_MEMORY, 143 for CANCELLED;
255 for NODE_FAIL and PREEMPTED, for --timeout, and where orch itself fails.
Of several jobs, the first status that is not 0. NAME is all tasks of an array, NAME.7 one of them.""",
)


def main(args: Arguments) -> int:
    """Wait, then say how it went."""
    with while_waiting():
        try:
            known = hosts.load()
            waited = wait(known, args.words, args["timeout"], args["any"], args["host"], note_of_link)
        except KeyboardInterrupt:
            note(f"\nstopped waiting; the jobs run on: orch status {' '.join(args.words)}")
            return INTERRUPTED
        status = _tell(waited, args)
        _keep(known, waited)
        return status


def _keep(known: hosts.Hosts, waited: Waited) -> None:
    """What has ended on a host that may vanish is kept here; how it ended is told by then."""
    from orch.ops.kept import keep_ended

    keep_ended(known, waited.jobs, note_of_link)


def _tell(waited: Waited, args: Arguments) -> int:
    ended = [job for job in waited.jobs if not is_live(job)]
    if args["json"]:
        document({"jobs": waited.jobs, "timed_out": waited.timed_out})
    else:
        for group in gathered(ended, lambda job: (job["state"], _because(job))):
            say(f"{span(group)} {group[0]['state']}{_because(group[0])}")
    if waited.timed_out:
        live = " ".join(map(span, gathered((job for job in waited.jobs if is_live(job)), is_live)))
        if not args["json"]:
            note(f"orch: not ended in time: {live}\n  wait on: orch wait {live}")
        return LOST
    return jobs_status(ended if args["any"] else waited.jobs)


def _because(job: JobView) -> str:
    """Why it was cancelled, where that was not because somebody said so."""
    reason = job["reason"] or ""
    return f": {clean(reason)}" if job["state"] == CANCELLED and not reason.startswith("cancelled") else ""
