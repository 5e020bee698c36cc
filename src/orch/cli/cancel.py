"""``orch cancel``: TERM to whole process trees, then KILL; returns when all of it is dead."""

from __future__ import annotations

from orch.model import label
from orch.ops import hosts
from orch.ops.cancel import GRACE, cancel
from orch_agent.model import CANCELLED, JobView

from . import options
from .args import Arguments, Command, Option
from .output import document, say
from orch.units import duration

COMMAND = Command(
    name="cancel",
    words="NAME...",
    options=(
        Option("--grace", "time between TERM and KILL; 10s unless said", "T", duration),
        options.JSON,
        options.HOST,
    ),
    least=1,
    text="A job that has ended already is left as it is, which is no error.",
)


def main(args: Arguments) -> int:
    """Cancel, then say what became of each."""
    grace = GRACE if args["grace"] is None else args["grace"]
    jobs = cancel(hosts.load(), args.words, grace, args["host"])
    if args["json"]:
        document({"jobs": jobs})
    else:
        for job in jobs:
            say(_line(job))
    return 0


def _line(job: JobView) -> str:
    state = job["state"]
    return f"{label(job)} {state}" if state == CANCELLED else f"{label(job)} had ended already: {state}"
