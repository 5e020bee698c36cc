"""``orch push``: files and directories from here, put on a host."""

from __future__ import annotations

from orch.errors import REFUSED, usage
from orch.ops import hosts
from orch.ops.push import Push

from . import options
from .args import Arguments, Command, Option
from .asking import agreed
from .leftovers import can_ask, tell
from .output import clean, document, note, note_of_link, say, size
from .progress import Transfer

COMMAND = Command(
    name="push",
    words="PATH... HOST:DIR",
    options=(
        Option("--yes", "write over what is there and not the same, without asking"),
        options.JSON,
    ),
    least=2,
    text="""\
DIR is below the home there unless it begins with a slash, and is made if need be; HOST: is the home itself. A PATH
keeps its last name; one that ends with a slash is what that directory holds. Links stay links, wherever they lead; a
PATH that is one itself means what it leads to. What is there already and the same is not sent again, and what a cut
link or Ctrl-C broke off goes on where it stopped.

  orch push data box:inputs          # becomes ~/inputs/data
  orch push data/ box:inputs         # what data holds, in ~/inputs
  orch push model.pt config.toml box:/scratch/me""",
)


def main(args: Arguments) -> int:
    """Send what is named."""
    *paths, there = args.words
    name, to = _place(paths, there)
    remote = hosts.load().one(name)
    push = Push(remote, paths, to, note_of_link)
    over = args["yes"]
    if push.differing and not over and can_ask(args):
        note(clean(f"orch: {push.warning}"))
        over = agreed("Write over it?", "")
        if not over:
            say("nothing was sent")
            return REFUSED
    try:
        with Transfer(push.total) as transfer:
            files, count = push.send(over, transfer.tell)
    except KeyboardInterrupt:
        note("\nwhat has come there stays; the same command goes on with the rest")
        raise
    tell(push.changed, push.left)
    where = f"{name}:{push.place}"
    if args["json"]:
        told = {"host": name, "to": push.place, "files": files, "bytes": count, "same": push.same}
        document({**told, "changed": push.changed, "left": [one._asdict() for one in push.left]})
    else:
        here = f"; {push.same} {'was' if push.same == 1 else 'were'} there already" if push.same else ""
        say(f"{files} file{'s' * (files != 1)}, {size(count)}, in {clean(where)}{here}")
    return REFUSED * bool(push.left)


def _place(paths: list[str], there: str) -> tuple[str, str]:
    """The host and the directory that ``HOST:DIR`` names."""
    name, colon, to = there.partition(":")
    if not colon or not name or "/" in name:
        hint = f"orch push {' '.join([*paths, there] if len(paths) < 2 else paths)} HOST:DIR    # orch hosts"
        raise usage(f"where to? {there!r} is no HOST:DIR", hint)
    return name, to
