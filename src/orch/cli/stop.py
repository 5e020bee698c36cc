"""``orch stop``: a machine stopped, its disk kept."""

from __future__ import annotations

from orch.errors import OrchError
from orch.model import Host
from orch.ops import hosts, machines

from .args import Arguments, Command, Option
from .output import say
from .progress import Progress

COMMAND = Command(
    name="stop",
    words="HOST",
    options=(Option("--force", "also while jobs run or wait there: those that run end as NODE_FAIL"),),
    least=1,
    most=1,
    text="""\
The disk stays, and is paid for. To end a job: orch cancel NAME.""",
)


def main(args: Arguments) -> int:
    """Stop it."""
    host = _host(args.words[0])
    progress = Progress()
    with progress:
        machines.stop(host, args["force"], progress.tell)
    say(f"{host.name} is stopped; orch run starts it again")
    return 0


def _host(name: str) -> Host:
    """The host; who names a job is told what ends one."""
    try:
        return hosts.load().config.host(name)
    except OrchError as error:
        error.hint = f"{error.hint}\nto end a job: orch cancel {name}"
        raise
