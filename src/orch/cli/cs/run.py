"""``cs run``: a job in a codespace that is chosen for it, started for it, and made for it if there is none."""

from __future__ import annotations

from orch import project
from orch.ops import codespaces, hosts, naming
from orch.providers.codespaces.space import Space
from orch_agent.model import JobSpec, check_name, is_name

from .. import options
from ..args import Arguments, Command, Option
from ..output import say
from ..run import check_options, command_of, defaults_of, delivery_of, here, spec_of, submit_and_stay, with_options
from . import CODESPACE
from .choosing import fit, made

COMMAND = Command(
    name="run",
    words='["COMMAND" | - | -- ARG...]',
    options=(
        CODESPACE,
        Option("--name", "what the job is called; otherwise after its repository and its program", "NAME"),
        Option("--machine", "standard, heavy, xheavy (4, 8, 16 cores), or one of GitHub's names", "MACHINE"),
        Option("--yes", "make, or enlarge, a codespace without asking"),
        *(option for option in options.SUBMIT if option is not options.HOST),
    ),
    later=options.LATER,
    most=1,
    takes_rest=True,
    text="""\
Which codespace: -c; else that of the repository of a leading `cd /workspaces/REPO`; else that of the repository of the
current directory; else the only one. One that is stopped is started; where there is none, one is made, after asking.
It runs in /workspaces/REPO unless it says otherwise. The codespace stays awake for as long as the job lives, stops
itself half an hour after the last one, and needs no laptop for either.

  cs run "cd /workspaces/lros && python train.py"
  cs run --name train --mem 20G -- python train.py    # in the repository that you are in""",
)


def main(args: Arguments) -> int:
    """Find or make the codespace, and submit."""
    check_options(args)
    args = _meant(args)
    name = check_name(args["name"]) if args["name"] else ""
    has_command = bool(args.words) or args.rest is not None
    defaults = defaults_of(name, args, has_command) if name else None
    command = command_of(name or "NAME", args.words, args.rest, defaults)
    space = _space(args, command)
    if space is None:
        say("nothing was submitted")
        return 0
    name = name or naming.job_name(space.repository, command)
    remote = hosts.connect(codespaces.host(space))
    spec = spec_of(name, command, defaults, remote)
    if spec.cwd is None:
        spec = spec._replace(cwd=codespaces.directory(space, command))
    delivery = delivery_of(args, remote, defaults)
    return submit_and_stay(remote, with_options(spec, args, remote, delivery), args, delivery)


def _meant(args: Arguments) -> Arguments:
    """``cs run train`` where orch.toml says what train runs."""
    if args["name"] or args.rest is not None or len(args.words) != 1 or not is_name(args.words[0]):
        return args
    found = project.load(here())
    if found is None or args.words[0] not in found.jobs:
        return args
    meant = args.having(name=args.words[0])
    meant.words = []
    return meant


def _space(args: Arguments, command: str) -> Space | None:
    """The codespace, fit for the job; None where the person would rather not."""
    wanted = codespaces.wanted(args["codespace"], command)
    machine, mem = args["machine"], (args["mem"] or ("mem", JobSpec._field_defaults["mem"]))[1]
    if wanted.space is not None:
        return fit(wanted.space, machine, mem, args["yes"])
    return made(wanted.repository, None, machine, mem, args["yes"])
