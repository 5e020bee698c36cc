"""``orch pull``: what a job left on its host, brought here."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence

from orch import paths
from orch.errors import INTERRUPTED, REFUSED, OrchError, explained
from orch.model import label
from orch.ops import hosts
from orch.ops.kept import Kept, keep
from orch.ops.pull import Pull
from orch.remote import Remote
from orch_agent.model import JobView, Refusal

from . import options
from .args import Arguments, Command, Option
from .asking import agreed
from .leftovers import can_ask, tell
from .output import clean, document, note, note_of_link, say, size
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
    to = os.path.expanduser(args["to"] or ".")
    pull = Pull(remote, args.words[0], _asked(remote, args.words[1:]), to, note_of_link)
    over = args["yes"]
    if pull.differing and not over and can_ask(args):
        note(clean(f"orch: {pull.warning}"))
        over = agreed("Write over it?", "")
        if not over:
            say("nothing was brought")
            return {}, REFUSED
    pulled, line = _bring(pull, over, to, "the same command")
    if not args["json"]:
        say(line)
    return {"job": pull.job, **pulled}, REFUSED * bool(pull.left)


def brought(
    remote: Remote, job: JobView, asked: Sequence[str], as_json: bool
) -> tuple[Mapping[str, object] | None, int]:
    """What was brought to the current directory at the end of a job, over nothing that is newer; and an exit status.

    What fails is told, and no error: the job itself may have gone well.
    """
    again = f"orch pull {label(job)} {shlex.join(asked)}"
    try:
        pull = Pull(remote, label(job), _asked(remote, asked), ".", note_of_link)
        if pull.is_newer_here:
            raise OrchError("refused", pull.warning, f"{again} --yes    # writes over it; --to DIR brings it elsewhere")
        pulled, line = _bring(pull, True, ".", again)
    except (Refusal, OSError) as error:
        wrong = explained(error)
        hint = wrong.hint or again
        if as_json:
            note(json.dumps({"error": {"kind": wrong.kind, "message": f"not pulled: {wrong.message}", "hint": hint}}))
        else:
            note(clean(f"orch: not pulled: {wrong.message}"))
            note(clean(f"  {hint}"))
        return None, REFUSED
    except KeyboardInterrupt:
        return None, INTERRUPTED
    note(line)
    return pulled, REFUSED * bool(pull.left)


def _asked(remote: Remote, asked: Sequence[str]) -> Sequence[str]:
    """Below the home there, where the shell here may have written our home in the place of ~."""
    return asked if remote.transport.here else [paths.elsewhere(path) for path in asked]


def _bring(pull: Pull, over: bool, to: str, again: str) -> tuple[dict[str, object], str]:
    """What that has brought, for programs and in words."""
    try:
        with Transfer(pull.total) as transfer:
            files, count = pull.bring(over, transfer.tell)
    except KeyboardInterrupt:
        note(f"\nwhat has come stays; {again} goes on with the rest")
        raise
    tell(pull.changed, pull.left)
    here = f"; {pull.same} {'was' if pull.same == 1 else 'were'} here already" if pull.same else ""
    line = f"{label(pull.job)}: {files} file{'s' * (files != 1)}, {size(count)}, in {clean(to)}{here}"
    told = {"to": pull.place.path, "files": files, "bytes": count, "same": pull.same}
    return {**told, "changed": pull.changed, "left": [one._asdict() for one in pull.left]}, line
