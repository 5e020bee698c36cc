"""``cs init``: the repository's devcontainer.json, made ready for jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from orch.ops import devcontainer
from orch.ops.devcontainer import Draft

from ..args import Arguments, Command, Option
from ..asking import again, agreed
from ..output import GREEN, RED, clean, colour, note, say

COMMAND = Command(
    name="init",
    words="[FILE]",
    options=(Option("--yes", "write without asking"),),
    most=1,
    text="""\
Writes .devcontainer/devcontainer.json in the repository of the current directory: an image, the machine that jobs are
promised (4 processors, 16 GB of memory, 64 GB of disk), sshd, tmux, and what wakes orch when the codespace starts. In a
file that is there, only what is missing is added: what it says stays, and so do its comments.

FILE says which, where a repository has several. A codespace is made of what GitHub has: commit the file, and push.""",
)


def main(args: Arguments) -> int:
    """Show what would change, ask, write."""
    root = devcontainer.repository(os.getcwd())
    path = devcontainer.place(root, args.words[0]) if args.words else devcontainer.find(root)
    draft = devcontainer.draft(root, path)
    name = os.path.relpath(draft.path)
    for line in filter(None, (*draft.told, devcontainer.larger_machine(root, draft))):
        note(clean(f"orch: {line}"))
    if draft.after == draft.before:
        say(f"{clean(name)} has all that jobs need")
        return 0
    for line in _diff(draft, name):
        say(line)
    if not args["yes"] and not agreed(f"Write {clean(name)}?", again({"--yes": ""})):
        say("nothing was written")
        return 0
    devcontainer.write(draft)
    say(f"wrote {clean(name)}; for codespaces to come: commit it, and push")
    say("for one that is there, once it has pulled that: gh codespace rebuild -c NAME    # ends what runs there")
    return 0


def _diff(draft: Draft, name: str) -> Iterator[str]:
    from difflib import unified_diff

    before, after = draft.before.splitlines(), draft.after.splitlines()
    label = name if draft.before else "/dev/null"
    for line in unified_diff(before, after, label, name, lineterm=""):
        yield colour(clean(line.expandtabs(4)), {"+": GREEN, "-": RED}.get(line[:1], ""))
