"""What codespaces have used in a month, and what is still free.

Invariants
- Nobody is woken, and an agent comes to nobody: only codespaces that run, and have been used from here, are asked.
- What GitHub says of the account goes before what was counted here, and what was counted is marked as such.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from orch import answers, files, paths
from orch.errors import OrchError
from orch.model import Host
from orch.providers.codespaces import gh, prices, usage
from orch.providers.codespaces.prices import Quota
from orch.providers.codespaces.space import Space
from orch.providers.codespaces.usage import Month, Span, Total, Used

from . import cache, codespaces
from .hosts import PATIENCE, REST, connect
from .parallel import in_order

_BILL = 3600.0  # seconds for which a bill that is only glanced at need not be asked for again


class Counted(NamedTuple):
    """When a codespace was awake, this month and the last, as it said at ``as_of``; ``cores`` it had then."""

    spans: Sequence[Span]
    as_of: float
    cores: int


class Line(NamedTuple):
    """One codespace; ``space`` is None for one that is gone, ``as_of`` for one that nobody has asked."""

    name: str
    space: Space | None
    used: Used
    as_of: float | None


class Costs(NamedTuple):
    """A month. ``by_github``: ``total`` is what GitHub bills the account for; else it is ``counted``, here."""

    month: Month
    lines: Sequence[Line]
    counted: Total
    total: Total
    whole: Total
    by_github: bool
    plan: str
    is_plan_known: bool
    free: Quota
    notes: Sequence[tuple[str, str]]
    """What could not be asked, and the command that mends it."""

    def used(self, name: str) -> Used:
        """What the codespace of that name has used."""
        return next((line.used for line in self.lines if line.name == name), usage.UNKNOWN)

    @property
    def left(self) -> Quota:
        """What is still free."""
        return usage.left(self.total, self.free)


class _Bill(NamedTuple):
    """What GitHub says of the account: ``login`` is empty where it says nothing, the others None."""

    login: str = ""
    plan: str | None = None
    total: Total | None = None
    notes: Sequence[tuple[str, str]] = ()


def gather(back: int = 0) -> Costs:
    """What this month has cost so far, or one ``back`` months before."""
    return _gathered(codespaces.refresh(0.0), back, 0.0, None)


def glance(listed: Sequence[Space], reached: Collection[str]) -> Costs:
    """The same of this month, where only those in ``reached`` are to be asked, and of the bill an old one will do."""
    return _gathered(listed, 0, _BILL, reached)


def _gathered(listed: Sequence[Space], back: int, patience: float, reached: Collection[str] | None) -> Costs:
    counted = _answers(listed, reached)
    month = usage.month(time.time(), back)
    existed = [one for one in listed if (one.created_at or 0.0) < month.end]
    lines = [*_lines(existed, counted, month), *_gone({one.name for one in listed}, month)]
    bill = _remembered(month, patience) or _billed(month)
    own = [one.used for one in lines if not one.space or not bill.login or one.space.payer in ("", bill.login)]
    counted_here = usage.total(own)
    total = bill.total or counted_here
    free = prices.FREE.get(bill.plan or "free", prices.FREE["free"])
    so_far = total._replace(core_hours=max(total.core_hours, counted_here.core_hours))  # the bill comes later
    whole = usage.whole(so_far, own, month)
    known = bill.total is not None, bill.plan or "free", bill.plan is not None
    return Costs(month, lines, counted_here, total, whole, *known, free, bill.notes)


def _billed(month: Month) -> _Bill:
    login, plan = "", None
    try:
        login, plan = usage.account()
        bill = _Bill(login, plan, usage.billed(login, month))
    except OrchError as error:
        code = error.code if isinstance(error, gh.Failure) else 0
        hint = "gh auth refresh -h github.com -s user" if code in (403, 404) else error.hint
        bill = _Bill(login, plan, None, [(f"GitHub does not tell what it bills: {error.message}", hint)])
    files.keep(paths.bill(), json.dumps({"month": month.label, "at": time.time(), "bill": bill}))
    return bill


def _remembered(month: Month, patience: float) -> _Bill | None:
    """What it said lately of this month; what it refused is no news then."""
    try:
        with open(paths.bill(), encoding="ascii") as file:
            said = json.load(file)
        login, plan, total, _ = said["bill"]
        is_recent = said["month"] == month.label and 0 <= time.time() - _number(said["at"]) < patience
        bill = _Bill(str(login), plan and str(plan), total and Total(*map(_number, total)))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OrchError):
        return None
    return bill if is_recent else None


def _lines(listed: Sequence[Space], counted: Mapping[str, Counted | None], month: Month) -> list[Line]:
    found = []
    for one in listed:
        told = counted[one.name]
        used = usage.used(one, None if told is None else told.spans, month)
        found.append(Line(one.name, one, used, None if told is None else told.as_of))
    return found


def _gone(present: set[str], month: Month) -> list[Line]:
    """Codespaces that were used from here and are no more: their hours count, their disks nobody knows."""
    found = []
    for name in _kept_names():
        told = None if name in present else _load(name)
        seconds = usage.awake(told.spans, month) if told else 0.0
        if told and seconds:
            hours = seconds / 3600
            found.append(Line(name, None, Used(hours, hours * told.cores, None, None), told.as_of))
    return found


# Asking


def _asked(space: Space, host: Host, reached: Collection[str] | None) -> Callable[[], Counted | None]:
    """How to find out: by asking, where that is due."""
    kept = _load(space.name)
    is_fresh = kept is not None and 0 <= time.time() - kept.as_of < REST
    is_there = not space.off and (reached is None or space.name in reached)
    if not is_there or is_fresh or (kept is None and not cache.is_known(host.name)):
        return lambda: kept
    return partial(_ask, host, space)


def _answers(listed: Sequence[Space], reached: Collection[str] | None) -> dict[str, Counted | None]:
    """What each says; of one that does not answer, what it said last."""
    hosts = codespaces.hosts_of(listed)
    said = in_order([_asked(*both, reached) for both in zip(listed, hosts, strict=True)]) if listed else []
    found: dict[str, Counted | None] = {}
    for one, answer in zip(listed, said, strict=True):
        if isinstance(answer, Exception) and not isinstance(answer, OrchError):
            raise answer
        found[one.name] = _load(one.name) if isinstance(answer, Exception) else answer
    return found


def _ask(host: Host, space: Space) -> Counted:
    answer = connect(host).call("awake", {}, PATIENCE)
    told = Counted(_spans(answer["spans"]), time.time(), space.machine.cpus if space.machine else 0)
    files.keep(paths.awake(space.name), json.dumps(told._asdict()))
    return told


# What was said before


def _load(name: str) -> Counted | None:
    try:
        with open(paths.awake(name), encoding="ascii") as file:
            said = json.load(file)
        return Counted(_spans(said["spans"]), _number(said["as_of"]), int(_number(said["cores"])))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OrchError):
        return None


def _kept_names() -> list[str]:
    try:
        return sorted(file.removesuffix(".json") for file in os.listdir(paths.awake_all()) if file.endswith(".json"))
    except OSError:
        return []


def _spans(said: Any) -> list[Span]:
    if not isinstance(said, list) or not all(isinstance(one, list) and len(one) == 2 for one in said):
        raise answers.nonsense("the codespace", "its spans are no spans")
    return [(_number(start), _number(end)) for start, end in said]


def _number(said: Any) -> float:
    if type(said) not in (int, float) or not answers.is_measure(abs(said)):
        raise answers.nonsense("the codespace", "what should be a time is none")
    return float(said)
