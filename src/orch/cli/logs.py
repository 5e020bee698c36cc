"""``orch logs``: the bytes a job wrote and nothing else; notes go to standard error."""

from __future__ import annotations

from typing import Any

from orch.errors import INTERRUPTED, usage
from orch.model import is_live
from orch.ops import hosts
from orch.ops.logs import Log
from orch_agent.model import check_name

from . import options
from .args import Arguments, Command, Option
from .following import copy, left
from .output import note_of_link
from .values import count, moment

COMMAND = Command(
    name="logs",
    words="NAME",
    options=(
        options.FOLLOW,
        Option("--tail", "only the last N lines", "N", count, short="-n"),
        Option("--since", "only what was written since: 5m, '2026-02-16 14:30', RFC 3339", "T", moment),
        Option("--grep", "only lines in which this Python regular expression is found", "RE"),
        Option("--new", "only what this reader has not seen yet; remembers how far it has come", "READER"),
        Option("--raw", "the log file's own bytes, with the terminal's carriage returns"),
        options.HOST,
    ),
    least=1,
    most=1,
    text="""\
NAME is the newest run, NAME.3 the third. Ctrl-C while following stops the following, never the job.

  orch logs -f train
  orch logs train --since 10m --grep 'loss|error'
  orch logs train --new my-script    # what came since my-script last asked""",
)


def main(args: Arguments) -> int:
    """Print a log."""
    name = args.words[0]
    log = Log(hosts.load().of_job(name, args["host"]), _request(args), note_of_link)
    try:
        copy(log, args["raw"])
    except KeyboardInterrupt:
        return left(log.job) if args["follow"] and is_live(log.job) else INTERRUPTED
    return 0


def _request(args: Arguments) -> dict[str, Any]:
    reader = args["new"]
    if reader is not None:
        check_name(reader, "reader")
        if args["tail"] is not None or args["since"] is not None:
            raise usage("--new begins where its reader stopped: --tail and --since do not go with it", "orch help logs")
        if args["follow"] and args["grep"] is not None:
            # Of a log that grows and is filtered on the host, nobody here can tell how much of it was looked at.
            raise usage("--new, --follow and --grep do not go together: leave out one", "orch help logs")
    asked = {
        "job": args.words[0],
        "follow": args["follow"] or None,
        "tail": args["tail"],
        "since": args["since"],
        "grep": args["grep"],
        "reader": reader,
    }
    return {key: value for key, value in asked.items() if value is not None}
