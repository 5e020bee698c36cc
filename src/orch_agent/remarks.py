"""What could not be promised of a job in a codespace when it was submitted: said then, kept, and shown with it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Optional

from . import codespace, files, layout, secrets, units
from .ledger import Ledger, Record
from .model import JobSpec, Refusal


def check(spec: JobSpec) -> None:
    """Refuse what no codespace can begin, or run to its end."""
    if codespace.is_here():
        _check_secrets()
    if codespace.is_here() and spec.timeout is not None and spec.timeout > codespace.longest():
        said = "GitHub stops a codespace after %d hours, and --timeout %s is longer"
        values = codespace.LONGEST // 60, units.duration(spec.timeout)
        raise Refusal("refused", said % values, "orch run %s --timeout %dh …" % (spec.name, values[0]))


def _check_secrets() -> None:
    given = secrets.read()
    size, room = secrets.size(given), secrets.room()
    if size > room:
        said = "this codespace has %d secrets of %s in all, and a program can be given %s: no job could begin"
        hint = "cs secret list    # cs secret rm NAME; one that is a file's text may as well be a file"
        raise Refusal("refused", said % (len(given), units.room(size), units.room(room)), hint)


def made(ledger: Ledger, record: Record) -> list[str]:
    """The remarks on a job that was just submitted; the same, should it be submitted again."""
    if not codespace.is_here():
        return []
    known = kept(record)
    if known is None:
        try:
            known = list(_found(ledger, record))
        except Exception as error:  # the job is in, whatever stands in the way here
            return ["what may keep this codespace awake, or stop it, could not be found out: %s" % error]
        try:
            files.write_whole(layout.remarks_file(_owner(record)), json.dumps(known) + "\n", durable=False)
        except OSError:
            pass  # a full disk: they are told now, at least
    return known


def kept(record: Record) -> Optional[list[str]]:
    """The remarks that were made on a job; None where nobody made any."""
    try:
        said = json.loads(files.read_text(layout.remarks_file(_owner(record))) or "")
    except ValueError:
        return None
    return [one for one in said if isinstance(one, str)] if isinstance(said, list) else None


def _way_out() -> str:
    """What a person can do about it who has given no token yet."""
    given = secrets.read()
    if "ORCH_GITHUB_TOKEN" in given:
        return ""
    repository = given.get("GITHUB_REPOSITORY") or os.environ.get("GITHUB_REPOSITORY") or "OWNER/REPO"
    return "; with a token of yours it may: cs secret set ORCH_GITHUB_TOKEN --user --repos %s" % repository


def _owner(record: Record) -> str:
    return record.array_id or record.id


def _found(ledger: Ledger, record: Record) -> Iterator[str]:
    from . import github  # only a codespace needs it

    rights, minutes = github.rights(), codespace.timer_minutes()
    if codespace.idle_stop() and not rights.can_stop:
        may = "may not stop itself" if rights.can_stop is False else "could not find out whether it may stop itself"
        said = "this codespace %s (%s): GitHub stops it %g minutes after the last job or use%s"
        yield said % (may, rights.why_not, minutes, _way_out() if github.has_gh() else "")
    expected = next(
        (took for (took,) in ledger.rows("SELECT seconds FROM learned WHERE name = ?", [record.name])), None
    )
    longest = min((one for one in (expected, record.spec.timeout) if one), default=None)
    if not rights.can_reach and (longest is None or longest > codespace.timer()):
        said = "nothing may keep this codespace awake (%s): GitHub stops it %g minutes after the last use, job or not"
        yield said % (rights.why_unreached, minutes)
    up = time.time() - codespace.started_at()
    if longest and longest + up > codespace.longest():
        said = "it may take %s, and this codespace has run for %s: GitHub stops it after %d hours"
        yield said % (units.span(longest), units.span(up), codespace.LONGEST // 60)
