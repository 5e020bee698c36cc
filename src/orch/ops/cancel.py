"""End jobs with their whole process trees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orch.remote import ANSWER, Answer, Remote
from orch_agent.model import JobView

from .hosts import Hosts, runs_of
from .parallel import in_order
from .patience import PAUSES, Patience

GRACE = 10.0  # seconds between TERM and KILL


def cancel(hosts: Hosts, refs: Sequence[str], grace: float = GRACE, host: str | None = None) -> list[JobView]:
    """Cancel jobs, wherever they are, and come back when every tree is dead; in the order given, each task."""
    groups = hosts.groups(refs, host)
    cancelled: dict[str, list[JobView]] = {}
    for group, answer in zip(groups, in_order([partial(cancel_on, *group, grace) for group in groups]), strict=True):
        if isinstance(answer, Exception):
            raise answer
        cancelled.update(group.answered(answer))
    return [job for ref in dict.fromkeys(refs) for job in cancelled[ref]]


def cancel_on(remote: Remote, refs: list[str], grace: float = GRACE) -> Answer:
    """The same on one host: of each name the runs that it means at first, however often the link is cut."""
    request = {"jobs": runs_of(remote, refs), "grace": grace}
    ask = partial(remote.call, "cancel", request, grace + ANSWER)
    return Patience(remote.host.name, tries=len(PAUSES)).go(ask)
