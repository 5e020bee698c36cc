"""``orch ports``: what a job listens on, and how to reach it from here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orch.errors import INTERRUPTED, usage
from orch.model import called, label
from orch.ops import hosts
from orch.ops.ports import Forwarding, Listener, listening, pair
from orch.ops.relay import HERE
from orch_agent.model import JobView

from . import options
from .args import Arguments, Command
from .following import outcome
from .output import clean, document, note, note_of_link, say, table

COMMAND = Command(
    name="ports",
    words="NAME [PORT | HERE:THERE]...",
    options=(options.JSON, options.HOST),
    least=1,
    text=f"""\
Without a PORT: what the processes of the job listen on. With one, {HERE}:PORT on this machine, and from no other,
leads to that port of the job's host, until Ctrl-C or the end of the job; after a cut link new connections work again.
HERE:THERE has another number here, :THERE any that is free.

  orch ports train
  orch ports train 6006 8080:80""",
)


def main(args: Arguments) -> int:
    """List, or forward."""
    pairs = [pair(word) for word in args.words[1:]]
    if pairs and args["json"]:
        raise usage("--json lists what a job listens on, without a PORT", f"orch ports {args.words[0]} --json")
    remote = hosts.load().of_job(args.words[0], args["host"])
    job, listeners = listening(remote, args.words[0])
    if not pairs:
        return _list(job, listeners, args["json"])
    forwarding = Forwarding(remote, job, pairs, note_of_link)
    processes = {one.port: one.process for one in listeners}
    for here, there in forwarding.pairs:
        name = f" ({clean(processes[there])})" if there in processes else ""
        say(f"{HERE}:{here} -> {remote.host.name}:{there}{name}")
        if there not in processes:
            note_of_link(f"nothing of {label(job)} listens on port {there} yet")
    sys.stdout.flush()
    try:
        ended = forwarding.until_the_end()
    except KeyboardInterrupt:
        note(f"\nnothing is forwarded any more; {label(job)} runs on")
        return INTERRUPTED
    note(f"{outcome([ended], 'show')}; nothing is forwarded any more")
    return 0


def _list(job: JobView, listeners: Sequence[Listener], as_json: bool) -> int:
    if as_json:
        document({"job": job, "ports": [one._asdict() for one in listeners]})
    elif listeners:
        rows = [[str(one.port), one.address, clean(one.process)] for one in listeners]
        for line in table([["PORT", "ADDRESS", "PROCESS"], *rows], [[]] * (1 + len(rows))):
            say(line)
        sys.stdout.flush()
        note(f"reach one from here: orch ports {called(job)} {listeners[0].port}")
    else:
        note_of_link(f"{label(job)} is {job['state']} and listens on nothing")
    return 0
