"""``orch up``: make a host, or bring it to what the configuration says."""

from __future__ import annotations

from orch.errors import INTERRUPTED, OrchError
from orch.model import Host
from orch.ops import hosts, machines, repos
from orch.providers.base import Plan

from . import repo
from .args import Arguments, Command, Option
from .asking import agreed
from .output import clean, note, say
from .progress import Progress

COMMAND = Command(
    name="up",
    words="[HOST]",
    options=(
        Option("--dry-run", "show what would be done, and the template that AWS would get; change nothing"),
        Option("--when-idle", "where jobs would be interrupted: wait until none runs or waits"),
        Option("--move", "to a second machine, for another architecture: copies, switches, deletes the first"),
        Option("--keep-failed", "what could not be set up stays, to be looked at; it costs money until orch down"),
        Option("--yes", "do it without asking"),
    ),
    most=1,
    text="""\
HOST is one of the configuration, of provider ec2; what it is to be is written there. Run again, it changes what has
changed there, in place: the instance type (which stops the machine, so not while jobs run), a larger disk, who may
connect, when it stops by itself. Ctrl-C stops the watching; the next `orch up` goes on from there.

The `repos` of the configuration are cloned to ~/work at the end, as `orch repo add` does; of a host of provider ssh
that is all that there is to do.

  orch init --ec2 ap-northeast-1     # writes a configuration
  orch up cloud --dry-run
  orch up cloud""",
)


def main(args: Arguments) -> int:
    """Show the plan, ask, do it."""
    host = hosts.load().config.host(args.words[0] if args.words else None)
    wanted = repos.configured(host)
    if host.provider == "ssh" and wanted:
        return _clone_only(host, args["dry_run"])
    again = " ".join(["orch up", host.name, *(word for word in ("--move", "--keep-failed") if args[_key(word)])])
    with Progress() as progress:
        plan = machines.plan(host, progress.tell, args["move"])
    _show(plan)
    if plan.misses:
        raise OrchError(
            "refused", f"{host.name} cannot be made yet: see above", f"orch up {host.name}    # again, then"
        )
    if args["dry_run"]:
        say(plan.document or "(nothing that AWS would be given)")
        return 0
    if plan.facts and not (args["yes"] or agreed("Do it?", f"{again} --yes")):
        say("nothing was changed")
        return 0
    progress = Progress()
    try:
        with progress:
            machines.carry_out(host, plan, progress.tell, again, args["when_idle"], args["keep_failed"])
    except KeyboardInterrupt:
        note(f"\nno longer watched; what AWS was told to do it does, and no more\n  {again}    # goes on from there")
        return INTERRUPTED
    if args["move"]:
        _leave(host, args["yes"])
    status = repo.apply(hosts.connect(host), wanted)
    say(f'{host.name} is up ({progress.seconds:.0f} s); now: orch run --host {host.name} hello "echo hello"')
    return status


def _clone_only(host: Host, dry_run: bool) -> int:
    """A machine that is there already is as it is; what can be brought to it are clones."""
    wanted = repos.configured(host)
    if dry_run:
        for one in wanted:
            say(clean(f"{one.repository.url} would be cloned to ~/work/{one.name}, if it is not there"))
        return 0
    return repo.apply(hosts.connect(host), wanted)


def _key(word: str) -> str:
    return word.strip("-").replace("-", "_")


def _leave(host: Host, unasked: bool) -> None:
    """Only a person who is asked has the first machine deleted: nobody has looked at the second one yet."""
    if unasked or not agreed("Delete the first machine, with its disk?", f"orch down {host.name} --old"):
        say(f"the first machine is stopped, and its disk is paid for: orch down {host.name} --old deletes it")
        return
    with Progress() as progress:
        machines.leave(host, progress.tell)


def _show(plan: Plan) -> None:
    say(clean(plan.title) + (":" if plan.facts or plan.misses else ""))
    for miss in plan.misses:
        say(f"  missing  {miss.name}: {clean(miss.says)}")
        for line in miss.mend.splitlines():
            say(f"           {clean(line)}")
    for text in plan.notes:
        note(f"orch: {clean(text)}")
    width = max((len(name) for name, _ in plan.facts), default=0)
    before = ""
    for name, text in plan.facts:
        say(f"  {name if name != before else '':<{width}}  {clean(text)}")
        before = name
