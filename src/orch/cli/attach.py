"""``orch attach``: the job's own terminal on this one."""

from __future__ import annotations

import sys
import termios

from orch.errors import LOST, OrchError
from orch.model import called, is_live, label
from orch.ops import hosts
from orch.ops.attach import Viewing, again, attach
from orch.ops.wait import wait_on
from orch_agent.model import JobRef

from . import child, options
from .args import Arguments, Command
from .following import left, outcome, write
from .output import is_terminal, note, note_of_link

_SETTLING = 0.2  # seconds: a job's view closes a little before its end is written

RESTORED = (
    b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[m\r"
)
"""What tmux would have said to the terminal at its end: no second screen, no mouse, no brackets, a cursor."""

COMMAND = Command(
    name="attach",
    words="NAME",
    options=(options.HOST,),
    least=1,
    most=1,
    text="""\
Detach with tmux's own keys (Ctrl-b d, unless you chose others); the job runs on.
When the link to its host is cut, attach says so, waits, and comes back; Ctrl-C ends the waiting.""",
)


def main(args: Arguments) -> int:
    """Show it until the person leaves or the job ends; then say how it stands."""
    name = args.words[0]
    JobRef.parse(name)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "attach needs a terminal, and this is none", f"orch logs -f {name}")
    viewing = attach(hosts.load(), name, args["host"])
    status = _look(viewing)
    while status == LOST and not viewing.remote.transport.here:
        note(f"orch: the link to {viewing.remote.host.name} is lost; {label(viewing.job)} runs on. Ctrl-C leaves it")
        try:
            viewing = again(viewing, note_of_link)
        except KeyboardInterrupt:
            return left(viewing.job, "attach")
        except OrchError as error:
            if error.kind != "refused":
                raise
            break  # it has ended meanwhile
        status = _look(viewing)
    if not viewing.switches:
        note(_standing(viewing))
    elif status:
        raise OrchError("refused", "nobody looks at this tmux pane, so it cannot show the job", f"orch logs -f {name}")
    return 0 if status == LOST else status


def _look(viewing: Viewing) -> int:
    """Show it; an ssh that was killed leaves the terminal's keys and screen to us."""
    keys = termios.tcgetattr(sys.stdin)
    try:
        status = child.run(viewing.argv, viewing.env, silently=viewing.switches)
    except OSError as error:
        hint = f"orch logs -f {called(viewing.job)}"
        raise OrchError("host", f"cannot start {viewing.argv[0]}: {error.strerror}", hint) from None
    if status == LOST and not viewing.remote.transport.here:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, keys)
        write(RESTORED)
    return status


def _standing(viewing: Viewing) -> str:
    try:
        job = wait_on(viewing.remote, [label(viewing.job)], _SETTLING)["jobs"][0]
    except OrchError as error:
        return f"orch: {error.message}\n  orch status"
    return f"{label(job)} runs on; orch attach {called(job)}" if is_live(job) else outcome([job], "logs")
