"""``orch doctor``: is everything as jobs need it, here, on the way, and on the hosts; and what mends what is not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orch.errors import REFUSED, OrchError
from orch.model import Check
from orch.ops import doctor, hosts
from orch.remote import Remote

from . import options
from .args import Arguments, Command, Option
from .output import BOLD, DIM, GREEN, RED, YELLOW, clean, colour, document, is_terminal, note, say

COMMAND = Command(
    name="doctor",
    words="[HOST]",
    options=(
        Option("--fix", "run what mends it, where that harms nothing; asks before each command"),
        Option("--yes", "with --fix: do not ask"),
        options.JSON,
    ),
    most=1,
    text="""\
Looks at one host, or at every one. Below each thing that is not as it should be stands the command that mends it, to
be typed here. The exit status is 1 where something has failed; a warning is no failure.""",
)

_COLOURS = {"ok": GREEN, "warning": YELLOW, "failed": RED, "skipped": DIM}
_Reports = dict[str, list[Check]]


def main(args: Arguments) -> int:
    """Look at the hosts that are meant."""
    return at(args, lambda: hosts.load().some(args.words[0] if args.words else None))


def at(args: Arguments, meant: Callable[[], Sequence[Remote]]) -> int:
    """Look, mend what may be mended, and look again, for behind one thing that is wrong there may be another."""
    terminal = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    if args["fix"] and not (terminal or args["yes"]):
        raise OrchError("refused", "doctor asks before it mends, and there is no terminal", "orch doctor --fix --yes")
    remotes = meant()
    reports = _look(remotes, args["json"])
    if args["fix"]:
        tried: set[str] = set()
        mended = remotes
        while mended := [one for one in mended if _mend(one, reports[one.host.name], tried, args["yes"], terminal)]:
            reports |= _look(mended, args["json"])
    if args["json"]:
        document({"hosts": [_as_json(remote, reports[remote.host.name]) for remote in remotes]})
    failed = any(check.state == "failed" for checks in reports.values() for check in checks)
    return REFUSED if failed else 0


def _look(remotes: Sequence[Remote], silently: bool) -> _Reports:
    reports: _Reports = {}
    for remote, checks in doctor.examine(remotes):
        reports[remote.host.name] = checks
        for line in () if silently else _lines(remote, checks):
            say(line)
    return reports


def _lines(remote: Remote, checks: Sequence[Check]) -> Iterator[str]:
    yield colour(remote.host.name, BOLD)
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"  {colour(f'{check.state:<7}', _COLOURS[check.state])}  {check.name:<{width}}  {clean(check.says)}"
        if check.mend and check.state != "ok":
            for line in doctor.typed(remote, check).splitlines():
                yield f"  {'':<7}  {'':<{width}}  {clean(line)}"


def _mend(remote: Remote, checks: Sequence[Check], tried: set[str], yes: bool, terminal: bool) -> bool:
    """Run what may be run and was not ``tried``, which grows; whether anything was run."""
    ran = False
    for check in checks:
        command = doctor.typed(remote, check)
        if not check.safe or check.state == "ok" or command in tried:
            continue
        tried.add(command)
        note(f"{remote.host.name}: {clean(check.says)}\n  {clean(command)}")
        if yes or _sure():
            ran = True
            failure = doctor.fix(remote, check, terminal)
            note(f"  failed: {clean(failure)}" if failure else "  done")
    return ran


def _sure() -> bool:
    sys.stderr.write("  Run it? yes or no [no]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _as_json(remote: Remote, checks: Sequence[Check]) -> dict[str, Any]:
    rows = [{"name": one.name, "state": one.state, "says": one.says, "mend": _told(remote, one)} for one in checks]
    return {"name": remote.host.name, "checks": rows}


def _told(remote: Remote, check: Check) -> str | None:
    return doctor.typed(remote, check) or None if check.state != "ok" else None
