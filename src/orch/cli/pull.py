"""``orch pull``: what a job left on its host, brought here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from orch import paths
from orch.errors import REFUSED
from orch.model import label
from orch.ops import hosts
from orch.ops.kept import Kept, keep
from orch.ops.pull import Pull
from orch.remote import Remote

from . import options
from .args import Arguments, Command, Option
from .asking import agreed
from .output import clean, document, is_terminal, note, note_of_link, say, size
from .progress import Transfer

COMMAND = Command(
    name="pull",
    words="NAME [PATH...]",
    options=(
        Option("--to", "the directory to bring it to, made if need be; otherwise the current one", "DIR"),
        Option("--log", "keep the run's log and record on this machine, for when the host is gone"),
        Option("--yes", "write over what is here and not the same, without asking"),
        options.JSON,
        options.HOST,
    ),
    least=1,
    text="""\
Without a PATH: what the job has put into the directory that $ORCH_OUT names. A PATH is a file or a directory below the
directory that the job runs in, or a pattern, quoted; it keeps its path here. Of one that is not below that directory,
its last name. What is here already and the same is not brought again, and what a cut link broke off goes on where it
stopped. Works while the job runs. With --log alone nothing else is brought.

  orch pull train
  orch pull train results/ 'checkpoints/*.pt' --to ~/lros
  orch pull train.3 --log""",
)
_TOLD = 20  # lines


def main(args: Arguments) -> int:
    """Bring what is asked for."""
    remote = hosts.load().of_job(args.words[0], args["host"])
    kept = keep(remote, args.words[0], note_of_link) if args["log"] else None
    pulled: Mapping[str, object] = {}
    status = 0
    if args.words[1:] or not args["log"]:
        pulled, status = _pull(remote, args)
    if args["json"]:
        nothing: dict[str, object] = {"to": None, "files": 0, "bytes": 0, "same": 0, "changed": [], "left": []}
        record = {"log": kept.log, "record": kept.record} if kept else None
        document({"job": kept.job if kept else None, **nothing, **pulled, "kept": record})
    elif kept is not None:
        say(_line(kept))
    return status


def _line(kept: Kept) -> str:
    return f"{label(kept.job)}: its log is kept in {kept.log}"


def _pull(remote: Remote, args: Arguments) -> tuple[Mapping[str, object], int]:
    asked = args.words[1:]
    if not remote.transport.here:
        asked = [paths.elsewhere(path) for path in asked]  # the shell here may have written our home in the place of ~
    to = os.path.expanduser(args["to"] or ".")
    pull = Pull(remote, args.words[0], asked, to, note_of_link)
    over = args["yes"]
    if pull.differing and not over and _can_ask(args):
        note(clean(f"orch: {pull.warning}"))
        over = agreed("Write over it?", "")
        if not over:
            say("nothing was brought")
            return {}, REFUSED
    try:
        with Transfer(pull.total) as transfer:
            files, count = pull.bring(over, transfer.tell)
    except KeyboardInterrupt:
        note("\nwhat has come stays; the same command goes on with the rest")
        raise
    _tell(pull)
    if not args["json"]:
        here = f"; {pull.same} {'was' if pull.same == 1 else 'were'} here already" if pull.same else ""
        say(f"{label(pull.job)}: {files} file{'s' * (files != 1)}, {size(count)}, in {clean(to)}{here}")
    told = {"job": pull.job, "to": pull.place.path, "files": files, "bytes": count, "same": pull.same}
    return {**told, "changed": pull.changed, "left": [one._asdict() for one in pull.left]}, REFUSED * bool(pull.left)


def _can_ask(args: Arguments) -> bool:
    return not args["json"] and is_terminal(sys.stdin) and is_terminal(sys.stdout)


def _tell(pull: Pull) -> None:
    """What is not as somebody may think."""
    lines = [f"{path} was changed while it was read" for path in pull.changed]
    lines += [f"{one.path} is left out: {one.why}" for one in pull.left]
    for line in lines[:_TOLD]:
        note(clean(f"orch: {line}"))
    if lines[_TOLD:]:
        note(f"orch: and {len(lines) - _TOLD} more; --json has all of them")
