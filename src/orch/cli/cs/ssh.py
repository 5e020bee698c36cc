"""``cs ssh``: the person's own shell in a codespace, or one command there."""

from __future__ import annotations

from orch.ops import codespaces, hosts

from .. import ssh
from ..args import Arguments, Command
from ..waking import awake
from . import CODESPACE
from .choosing import meant

COMMAND = Command(
    name="ssh",
    words="[CODESPACE] [-- COMMAND...]",
    options=(CODESPACE,),
    most=1,
    takes_rest=True,
    text="""\
Without COMMAND a shell; one that is stopped is started. The words of COMMAND are joined by blanks and read by the shell
there. The exit status is the shell's or the command's own, and 255 where the connection is lost.""",
)


def main(args: Arguments) -> int:
    """Take the person there."""
    space = meant(args)
    remote = hosts.connect(codespaces.host(space))
    return awake({remote.host.name: remote.host}, lambda: ssh.enter(remote, args.rest))
