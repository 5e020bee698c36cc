"""``orch init``: write the configuration file with the person."""

from __future__ import annotations

import re
import sys

from orch.config import name_for
from orch.errors import OrchError, usage
from orch.model import Host
from orch.ops import init
from orch_agent.model import check_name

from .args import Arguments, Command, Option
from .output import is_terminal, say

HERE = "here"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")

COMMAND = Command(
    name="init",
    words="",
    options=(
        Option("--ssh", "jobs run on the machine that ssh reaches there; asks nothing", "ADDRESS"),
        Option("--ec2", "jobs run on a machine at AWS that `orch up` makes in this region; asks nothing", "REGION"),
        Option("--yes", "take the defaults, ask nothing; a file that exists is never overwritten"),
    ),
    most=0,
    text="""\
ADDRESS is anything ssh understands: me@box.example, or an alias of ~/.ssh/config.
Without a configuration orch works too: its one host is then `local`, this machine.""",
)


def main(args: Arguments) -> int:
    """Ask where there is somebody to ask, then write."""
    if args["ssh"] is not None and args["ec2"] is not None:
        raise usage("--ssh and --ec2 name two places: which one?", "orch help init")
    asks = not args["yes"] and args["ssh"] is None and args["ec2"] is None
    if asks and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise OrchError("refused", "init asks questions, and there is no terminal", "orch init --yes")
    overwrite = asks and init.exists() and _sure()
    if asks and init.exists() and not overwrite:
        say("nothing was changed")
        return 0
    host = _asked() if asks else _given(args)
    say(f"wrote {init.write(host, overwrite)}\n{_next(host)}")
    return 0


def _given(args: Arguments) -> Host:
    if args["ec2"] is not None:
        return _cloud(args["ec2"])
    return _host(HERE if args["ssh"] is None else args["ssh"])


def _cloud(region: str) -> Host:
    if not _REGION.fullmatch(region):
        raise usage(f"{region!r} is no AWS region", "orch init --ec2 ap-northeast-1")
    return Host("cloud", "ec2", {"region": region})


def _asked() -> Host:
    place = _ask("Where do jobs run: here, at an address for ssh (me@box.example, or an alias), or at ec2", HERE)
    host = _cloud(_ask("In which AWS region", "ap-northeast-1")) if place == "ec2" else _host(place)
    return host._replace(name=check_name(_ask("What shall that machine be called", host.name), "host name"))


def _host(place: str) -> Host:
    if place in (HERE, "local"):
        return Host("local", "local")
    return Host(name_for(place), "ssh", {"address": place})


def _next(host: Host) -> str:
    if host.provider == "ec2":
        return f"now: orch up {host.name}    # shows what it makes and what that costs, and asks"
    if host.provider == "local":
        return 'now: orch run hello "echo hello"'
    return f"now, where ssh may ask: orch ssh {host.name}\nthen: orch doctor {host.name}"


def _sure() -> bool:
    return _ask("There is a configuration already. Overwrite it? yes or no", "no").lower() in ("y", "yes")


def _ask(question: str, default: str) -> str:
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        raise OrchError("refused", "no answer, so nothing was written", "orch init --yes") from None
