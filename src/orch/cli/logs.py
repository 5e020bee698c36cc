"""``orch logs``: the bytes a job wrote and nothing else; notes go to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orch.errors import INTERRUPTED, OrchError, usage
from orch.model import is_live, label
from orch.ops import hosts
from orch.ops.archives import Past, left_behind, may_have, past
from orch.ops.logs import Log
from orch.transport import Off
from orch_agent.model import check_name

from . import options
from .args import Arguments, Command, Option
from .following import as_written, copy, left, write
from .output import local_time, note_of_link
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
NAME is the newest run, NAME.3 the third. Ctrl-C while following stops the following, never the job. Of a host that is
stopped or gone, the log comes from where it is kept (EC2: CloudWatch).

  orch logs -f train
  orch logs train --since 10m --grep 'loss|error'
  orch logs train --new my-script    # what came since my-script last asked""",
)


def main(args: Arguments) -> int:
    """Print a log."""
    known, request = hosts.load(), _request(args)
    try:
        log = Log(known.of_job(args.words[0], args["host"]), request, note_of_link)
    except Off as off:
        return _print(past(known, off, request), args["raw"])
    except OrchError as error:
        told = left_behind(known, request) if error.kind == "not_found" else None
        if told is None:
            raise
        return _print(told, args["raw"])
    try:
        copy(log, args["raw"])
    except Off as off:  # it went while we looked
        if may_have(known, off, label(log.job)):
            off.hint = f"orch logs {label(log.job)} --tail 100    # what it wrote at the end\n{off.hint}"
        raise
    except KeyboardInterrupt:
        return left(log.job) if args["follow"] and is_live(log.job) else INTERRUPTED
    return 0


def _print(told: Past, raw: bool) -> int:
    """What is left of a run that cannot be live."""
    run = f"{told.run.name}.{told.run.run}"
    note_of_link(f"{told.state}; from {told.where}: {run}{_end(told.run.ended)}")
    for chunk in told.lines if raw or not told.run.tty else as_written(told.lines):
        write(chunk)
    return 0


def _end(ended: Mapping[str, Any] | None) -> str:
    """``COMPLETED, exit 0, ended 2026-02-16 14:30:00``."""
    if ended is None:
        return ", whose end was not recorded: it ran when the machine went"
    code, signal, at = (ended.get(key) for key in ("exit_code", "signal", "ended_at"))
    how = f", signal {signal}" if signal else "" if code is None else f", exit {code}"
    return f" {ended.get('state')}{how}" + (f", ended {local_time(at)}" if isinstance(at, str) else "")


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
