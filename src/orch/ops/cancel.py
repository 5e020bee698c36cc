"""End jobs with their whole process trees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orch.remote import Answer, Remote
from orch_agent.model import JobView

from .hosts import Hosts
from .parallel import in_order
from .patience import PAUSES, Patience

GRACE = 10.0  # seconds between TERM and KILL


def cancel(hosts: Hosts, refs: Sequence[str], grace: float = GRACE, host: str | None = None) -> list[JobView]:
    """Cancel jobs, wherever they are, and come back when every tree is dead; in the order given."""
    groups = hosts.groups(refs, host)
    cancelled: dict[str, JobView] = {}
    for (_, asked), jobs in zip(groups, in_order([partial(_cancel, *group, grace) for group in groups]), strict=True):
        if isinstance(jobs, Exception):
            raise jobs
        cancelled.update(zip(asked, jobs, strict=True))
    return [cancelled[ref] for ref in dict.fromkeys(refs)]


def _cancel(remote: Remote, refs: list[str], grace: float) -> list[JobView]:
    def attempt() -> Answer:
        return remote.call("cancel", {"jobs": refs, "grace": grace})

    answer = Patience(remote.host.name, tries=len(PAUSES)).go(attempt)
    jobs: list[JobView] = answer["jobs"]
    return jobs
