"""``orch down``: a host deleted, with all that was made for it."""

from __future__ import annotations

from orch.errors import INTERRUPTED
from orch.model import Host
from orch.ops import clones, hosts, machines

from .args import Arguments, Command, Option
from .asking import agreed
from .output import clean, note, say
from .progress import Progress

COMMAND = Command(
    name="down",
    words="HOST",
    options=(
        Option("--snapshot", "keep a copy of the disk, which costs money until it is deleted (orch sweep)"),
        Option("--old", "only the machine that it was before `orch up --move`"),
        Option("--force", "also while jobs run or wait there"),
        Option("--yes", "delete without asking"),
    ),
    least=1,
    most=1,
    text="""\
Deletes everything that `orch up` made, and nothing else. Says first what data goes with it: what jobs have left in
~/work is to be copied before, and `orch logs` has what they wrote.""",
)


def main(args: Arguments) -> int:
    """Say what goes, ask, delete it."""
    host = hosts.load().config.host(args.words[0])
    if args["old"]:
        return _leave(host, args["yes"])
    lost = machines.loss(host)
    if not lost:
        say(f"there is nothing of {host.name} to delete")
        return 0
    say(f"of {host.name} this is deleted:")
    for name, text in lost:
        say(f"  {name:<8} {clean(text)}")
    if not args["yes"] and not agreed("Delete it, with all data on it?", f"orch down {host.name} --yes"):
        say("nothing was deleted")
        return 0
    offered = not args["yes"] and not args["snapshot"]
    snapshot = args["snapshot"] or (offered and agreed("Keep a copy of the disk, a snapshot?", ""))
    keys = clones.kept_at(host)  # before what tells of them is gone
    progress = Progress()
    try:
        with progress:
            machines.down(host, args["force"], snapshot, progress.tell)
    except KeyboardInterrupt:
        note(f"\nno longer watched; what was begun goes on\n  orch down {host.name}    # goes on watching")
        return INTERRUPTED
    say(f"{host.name} is gone ({progress.seconds:.0f} s)")
    for text in clones.forgotten(keys):
        note(f"orch: {clean(text)}")
    return 0


def _leave(host: Host, unasked: bool) -> int:
    left = machines.former(host)
    if not left:
        say(f"nothing is left of a machine that {host.name} was before")
        return 0
    say(f"this is deleted: {', '.join(left)}")
    question = f"Delete the machine that {host.name} was before it moved, with its disk?"
    if unasked or agreed(question, f"orch down {host.name} --old --yes"):
        with Progress() as progress:
            machines.leave(host, progress.tell)
    return 0
