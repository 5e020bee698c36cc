"""Wait until jobs have ended, for as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from orch.remote import ANSWER, Answer, Remote
from orch.transport import Off
from orch_agent.model import JobView

from .hosts import Hosts, heard, runs_of
from .parallel import as_they_end
from .patience import Patience, Tell, unheard


class Waited(NamedTuple):
    """The jobs in the order asked for, of arrays each task; with ``any`` those that hosts had told of by then."""

    jobs: list[JobView]
    timed_out: bool


def wait(
    hosts: Hosts,
    refs: Sequence[str],
    timeout: float | None = None,
    any_of: bool = False,
    host: str | None = None,
    tell: Tell = unheard,
) -> Waited:
    """Come back when all jobs (or any of them) have ended, or ``timeout`` seconds are over.

    On a host that is off nothing runs: of jobs that are known to have ended there, that is the answer.
    """
    try:
        return _wait(hosts, refs, timeout, any_of, host, tell)
    except Off as off:
        from .archives import ends

        known = ends(hosts, off, refs)
        if known is None:
            raise
        return Waited(known, False)


def _wait(
    hosts: Hosts, refs: Sequence[str], timeout: float | None, any_of: bool, host: str | None, tell: Tell
) -> Waited:
    groups = hosts.groups(refs, host)
    seen: dict[str, list[JobView]] = {}
    timed_out = False
    for place, outcome in as_they_end([partial(wait_on, *group, timeout, any_of, tell) for group in groups]):
        if isinstance(outcome, Exception):
            raise outcome
        seen.update(groups[place].answered(outcome))
        timed_out = timed_out or outcome["timed_out"]
        if any_of and not outcome["timed_out"]:
            return Waited(_ordered(refs, seen), False)
    return Waited(_ordered(refs, seen), timed_out)


def wait_on(
    remote: Remote,
    refs: list[str],
    timeout: float | None = None,
    any_of: bool = False,
    tell: Tell = unheard,
    surely: bool = False,
) -> Answer:
    """The same on one host, through any number of cut links. ``surely``: the jobs are known to be there.

    Our end of the line stays open: when we are gone, the host stops waiting.
    """
    until = None if timeout is None else time.monotonic() + timeout
    runs = runs_of(remote, refs)

    def attempt() -> Answer:
        request: dict[str, Any] = {"jobs": runs, "any": any_of}
        if until is not None:
            request["timeout"] = max(0.0, until - time.monotonic())
        answer, stream = remote.open("wait", request, None if until is None else request["timeout"] + ANSWER)
        stream.finish()
        return answer

    waited = Patience(remote.host.name, tell, until=until).go(attempt, surely)
    heard(remote, waited["jobs"])
    return waited


def _ordered(refs: Sequence[str], seen: dict[str, list[JobView]]) -> list[JobView]:
    return [job for ref in dict.fromkeys(refs) for job in seen.get(ref, [])]
