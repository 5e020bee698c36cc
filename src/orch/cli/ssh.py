"""``orch ssh``: the person's own shell on a host, or one command there, through the connection that all commands share.

Here ssh may ask: for a password, a passphrase, whether a host key is the right one. Everything else asks for nothing
and goes through the connection that was made here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orch.errors import OrchError
from orch.ops import hosts
from orch.remote import Remote

from . import child
from .args import Arguments, Command
from .output import is_terminal

COMMAND = Command(
    name="ssh",
    words="[HOST] [-- COMMAND...]",
    options=(),
    most=1,
    takes_rest=True,
    text="""\
Without COMMAND a shell. The words of COMMAND are joined by blanks and read by the shell there, as ssh does it:

  orch ssh box
  orch ssh box -- nvidia-smi
  orch ssh box -- 'cd work && ls | wc -l'

This is where ssh asks for passwords and passphrases, and whether an unknown host key is the right one; all other
commands then go through the connection that it has made. The exit status is the shell's or the command's own, and 255
where the connection is lost.""",
)


def main(args: Arguments) -> int:
    """Take the person there, and come back with the exit status."""
    return enter(hosts.load().one(args.words[0] if args.words else None), args.rest)


def enter(remote: Remote, command: Sequence[str] | None) -> int:
    """The person's shell there, or the words of ``command`` in it; gives its exit status."""
    terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    asks = is_terminal(sys.stderr)
    try:
        argv = remote.transport.login(" ".join(command or ()) or None, terminal, asks)
    except OrchError as error:
        if asks or error.kind != "not_authorised":
            raise
        raise OrchError(error.kind, f"{error.message}; ssh cannot ask: there is no terminal", error.hint) from None
    try:
        return child.run(argv)
    except OSError as error:
        hint = f"orch doctor {remote.host.name}"
        raise OrchError("host", f"cannot start {argv[0]}: {error.strerror}", hint) from None
