"""``orch cancel``: TERM to whole process trees, then KILL; returns when all of it is dead."""

from __future__ import annotations

from collections.abc import Sequence

from orch.model import gathered, span
from orch.ops import hosts
from orch.ops.cancel import GRACE, cancel
from orch.units import duration
from orch_agent.model import CANCELLED, JobView

from . import options
from .args import Arguments, Command, Option
from .output import document, say

COMMAND = Command(
    name="cancel",
    words="NAME...",
    options=(
        Option("--grace", "time between TERM and KILL; 10s unless said", "T", duration),
        options.JSON,
        options.HOST,
    ),
    least=1,
    text="""\
A job that has ended already is left as it is, which is no error.
NAME is all tasks of an array, NAME.7 one of them, NAME.7-9 three.""",
)


def main(args: Arguments) -> int:
    """Cancel, then say what became of each."""
    grace = GRACE if args["grace"] is None else args["grace"]
    jobs = cancel(hosts.load(), args.words, grace, args["host"])
    if args["json"]:
        document({"jobs": jobs})
    else:
        for group in gathered(jobs, lambda job: job["state"]):
            say(_line(group))
    return 0


def _line(jobs: Sequence[JobView]) -> str:
    state = jobs[0]["state"]
    return f"{span(jobs)} {state}" if state == CANCELLED else f"{span(jobs)} had ended already: {state}"
