"""End jobs with their whole process trees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orch.remote import ANSWER, Remote
from orch_agent.model import JobView

from .hosts import Hosts, runs_of
from .parallel import in_order
from .patience import PAUSES, Patience

GRACE = 10.0  # seconds between TERM and KILL


def cancel(hosts: Hosts, refs: Sequence[str], grace: float = GRACE, host: str | None = None) -> list[JobView]:
    """Cancel jobs, wherever they are, and come back when every tree is dead; in the order given."""
    groups = hosts.groups(refs, host)
    cancelled: dict[str, JobView] = {}
    for group, jobs in zip(groups, in_order([partial(cancel_on, *group, grace) for group in groups]), strict=True):
        if isinstance(jobs, Exception):
            raise jobs
        cancelled.update(group.answered(jobs))
    return [cancelled[ref] for ref in dict.fromkeys(refs)]


def cancel_on(remote: Remote, refs: list[str], grace: float = GRACE) -> list[JobView]:
    """The same on one host: of each name the run that it means at first, however often the link is cut."""
    request = {"jobs": runs_of(remote, refs), "grace": grace}
    ask = partial(remote.call, "cancel", request, grace + ANSWER)
    jobs: list[JobView] = Patience(remote.host.name, tries=len(PAUSES)).go(ask)["jobs"]
    return jobs
