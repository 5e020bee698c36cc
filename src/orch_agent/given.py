"""What a job is given that nobody else is to see: the secrets it names, and in a codespace those of GitHub's.

Invariants
- Values are read when a job starts, and go nowhere but into its environment.
- A job whose secrets cannot all be had does not start: it stays pending, says why, and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from . import codespace, secrets, units, vault, workplace
from .check import check_values
from .ledger import Ledger, Record
from .model import LACKS, JobSpec, Refusal

_AGAIN = 10.0
"""Seconds until it is looked for them again."""


class Given(NamedTuple):
    """Variables of the job's environment, and what its log may not show."""

    variables: Mapping[str, str]
    hidden: list[bytes]


class Lacking(Exception):
    """A secret cannot be had; its words say which, and what to type."""


def to(record: Record) -> Given:
    """What the job gets whose attempt is about to begin."""
    github, wanted = secrets.read(), record.spec.secrets
    values = _values(record, set(wanted.values()), github) if wanted else {}
    own = {variable: values[kept] for variable, kept in wanted.items()}
    return Given({**github, **own}, secrets.hidden([*secrets.private(github).values(), *own.values()]))


def check(spec: JobSpec, brought: Mapping[str, str]) -> None:
    """Refuse a submission whose secrets can never be had, are shown by it, or are too much for any program."""
    github = secrets.read()
    kept = {**{name: github[name] for name in spec.secrets.values() if name in github}, **brought}
    lacking = sorted(set(spec.secrets.values()) - kept.keys())
    if lacking and codespace.is_here():
        said = "this codespace does not have the secret %s" % ", ".join(lacking)
        hint = "cs secret set %s    # then cs stop: it knows it after its next start" % lacking[0]
        raise Refusal("refused", said, hint)
    if lacking and not _reads_by_itself():
        raise Refusal("refused", "no value came along for the secret %s" % ", ".join(lacking), "orch secret list")
    check_values(spec, kept)
    whole = {**github, **{variable: kept.get(name, "") for variable, name in spec.secrets.items()}}
    size, room = secrets.size(whole), secrets.room()
    if size > room:
        said = "its secrets are %s in all, and a program can be given %s"
        raise Refusal("refused", said % (units.room(size), units.room(room)), "pass what is large in a file")


def put_off(ledger: Ledger, record: Record, why: str) -> None:
    """Have the job, and the tasks of its array that could start too, wait for what is lacking."""
    now, owner = time.time(), workplace.owner(record)
    ledger.write(
        "UPDATE jobs SET admitted_at = NULL, reserved = NULL, due = ?, why = ? WHERE (id = ? OR array_id = ?) "
        "AND queued AND started_at IS NULL AND ended_at IS NULL AND coalesce(due, 0) <= ?",
        [now + _AGAIN, why, owner, owner, now],
    )


def bring(ledger: Ledger, owner: str, values: Mapping[str, str]) -> None:
    """Have the live jobs of this submission get these values from now on, and those go that wait for them."""
    with ledger.transaction():
        vault.keep(owner, values)
        vault.forget_if_over(ledger, owner)
        ledger.write(
            "UPDATE jobs SET due = NULL, why = NULL WHERE (id = ? OR array_id = ?) AND started_at IS NULL "
            "AND ended_at IS NULL AND why LIKE ?",
            [owner, owner, LACKS + "%"],
        )


def _values(record: Record, names: Collection[str], github: Mapping[str, str]) -> Mapping[str, str]:
    values = {**github, **vault.read(workplace.owner(record))}
    lacking = sorted(names - values.keys())
    if not lacking:
        return values
    what = LACKS + ", ".join(lacking)
    if codespace.is_here():
        raise Lacking("%s, which this codespace does not have: cs secret set %s" % (what, lacking[0]))
    if not _reads_by_itself():
        raise Lacking("%s, which a restart of the host took away: orch secret send %s" % (what, record.ref))
    from . import parameters

    found = parameters.read(lacking)
    lacking = [name for name in lacking if name not in found.values]
    if lacking and found.trouble:
        raise Lacking("%s, which cannot be read: %s" % (what, found.trouble))
    if lacking:
        raise Lacking("%s, which is not kept any more: orch secret set %s" % (what, lacking[0]))
    return {**values, **found.values}


def _reads_by_itself() -> bool:
    """Whether this host knows where its secrets are kept."""
    from . import parameters  # few hosts do

    return parameters.is_here()
