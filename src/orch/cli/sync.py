"""``orch sync``: the working tree here, as it is now, to a host."""

from __future__ import annotations

import os

from orch import code
from orch.ops import hosts
from orch.ops.sync import sync

from . import options
from .args import Arguments, Command
from .code import taken
from .output import clean, document, note_of_link, say, size
from .revision import told
from .run import here
from .waking import awake

COMMAND = Command(
    name="sync",
    words="",
    options=(options.HOST, options.JSON),
    most=0,
    text="""\
Brings what `orch run --sync` would bring, and runs nothing: the first time it takes long, later only what has changed
goes. It is the working tree of the git repository that you are in, or without one the directory of orch.toml, or this
one: uncommitted changes and new files too, without what .gitignore or .orchignore name. Nothing here is changed. On the
host it is a snapshot; each job that runs in one has a directory of its own.

  orch sync --host box
  orch diff train            # what has changed since that job""",
)


def main(args: Arguments) -> int:
    """Take a snapshot, and bring it there."""
    remote = hosts.load().one(args["host"])
    delivery = taken(here(), remote.begin("receive"))
    answer = awake({remote.host.name: remote.host}, lambda: sync(remote, delivery, note_of_link))
    if args["json"]:
        shared = answer.get("share")
        document(
            {"host": remote.host.name, "code": code.code_of(delivery.snapshot), "bytes": delivery.sent, "share": shared}
        )
    else:
        went = f"{size(delivery.sent)} went" if delivery.sent else "it was there already"
        say(f"{told(code.code_of(delivery.snapshot))} is on {remote.host.name}; {went}")
        for path in delivery.snapshot.share:
            where = os.path.dirname(os.path.join(str(answer.get("share")), path))
            say(f"{path} is shared by all runs there: orch push {path} {clean(f'{remote.host.name}:{where}')}")
    return 0
