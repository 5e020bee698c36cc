"""From a name to the agent that has it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from orch import config, paths, settings
from orch.answers import nonsense
from orch.errors import OrchError, nearest, of_host
from orch.model import Host, HostStatus, is_live, is_meant
from orch.providers import provider_of
from orch.providers.base import Startable
from orch.remote import Answer, Remote
from orch.transport import NeverUsed, Off
from orch_agent.model import UNKNOWN_JOB, JobRef, JobView

from . import cache
from .parallel import Asked

PATIENCE = 10.0  # seconds a host is given before it counts as silent
REST = 60.0  # seconds between two looks at a host that counts visits
_MORE = 1.0  # seconds that the others are given once every job is found
_Said = list[JobView] | Exception


class Group(NamedTuple):
    """Jobs of one host, as typed."""

    remote: Remote
    refs: list[str]

    def answered(self, answer: Answer) -> dict[str, list[JobView]]:
        """The jobs that the host tells of, by what was typed: of arrays each task."""
        jobs = iter(answer["jobs"])
        each = answer.get("each") or [1] * len(self.refs)
        if len(each) != len(self.refs) or sum(each) != len(answer["jobs"]):
            said = f"{len(answer['jobs'])} jobs where {len(self.refs)} were asked for"
            raise nonsense(self.remote.host.name, said)
        return {ref: list(islice(jobs, count)) for ref, count in zip(self.refs, each, strict=True)}


class Hosts(NamedTuple):
    """The hosts of this laptop, as configured."""

    config: config.Config

    def all(self) -> list[Remote]:
        """Every host."""
        return [connect(host) for host in self.config.hosts.values()]

    def one(self, name: str | None) -> Remote:
        """The host called ``name``, or the default one."""
        if not self.config.hosts:
            raise OrchError(
                "not_found", "there is no codespace yet, or none that is known here", "cs create; cs status"
            )
        return connect(self.config.host(name))

    def some(self, name: str | None) -> list[Remote]:
        """The host called ``name``, or every one."""
        return [self.one(name)] if name else self.all()

    def of_job(self, ref: str, host: str | None = None) -> Remote:
        """The host that has a job."""
        return self.of_jobs([ref], host)[ref]

    def of_jobs(self, refs: Sequence[str], host: str | None = None) -> Mapping[str, Remote]:
        """The host of each job; nobody is asked where there is only one host that it can be.

        A host that is silent has the jobs that it had when it was last seen: what may be on two hosts is refused.
        """
        for ref in refs:
            JobRef.parse(ref)
        remotes = self.some(host)
        if len(remotes) == 1:
            return dict.fromkeys(refs, remotes[0])
        said = list(zip(remotes, _asked(remotes, refs), strict=True))
        return {ref: _owner(ref, said) for ref in refs}

    def groups(self, refs: Sequence[str], host: str | None = None) -> list[Group]:
        """The jobs by the host that has them, so that each host is asked once."""
        grouped: dict[str, Group] = {}
        for ref, remote in self.of_jobs(refs, host).items():
            grouped.setdefault(remote.host.name, Group(remote, [])).refs.append(ref)
        return list(grouped.values())


only = ""
"""The provider whose hosts alone there are, for a face that knows no others; empty: there are all."""


def load() -> Hosts:
    """The configured hosts, and the codespaces in use; every one's options are checked, none is contacted."""
    loaded = _meant(config.load())
    for host in loaded.hosts.values():
        known = {**provider_of(host).options, **settings.OPTIONS}
        config.check_keys(host.options, known, host.source, f"[hosts.{host.name}]")
        settings.of(host)
    return Hosts(loaded)


def _meant(loaded: config.Config) -> config.Config:
    if only == "" and not os.path.exists(paths.codespaces()):
        return loaded
    from orch.providers import codespaces

    found = {**codespaces.remembered(loaded, is_used=None if only else cache.is_known), **loaded.hosts}
    if only == "":
        return loaded._replace(hosts={**loaded.hosts, **found})
    found = {name: host for name, host in found.items() if host.provider == only}
    return loaded._replace(hosts=found, default_host=next(iter(found)) if len(found) == 1 else None)


def connect(host: Host) -> Remote:
    """The agent of ``host``."""
    return Remote(host, provider_of(host).transport(host))


def usd_per_hour(told: HostStatus) -> float | None:
    """What the host costs an hour, as it is now; asks nobody."""
    provider = provider_of(told.host)
    return provider.usd_per_hour(told.host, told.state) if isinstance(provider, Startable) else None


def recent(remote: Remote) -> HostStatus | None:
    """What a host that counts visits said, where a mere look is to do with that. None where it has to be asked.

    It is asked once a minute; while a job lives, and somebody is connected anyway, always. One that may not stop
    itself, and should have, is not asked any more: each visit would keep it awake, and paid for.
    """
    if not remote.transport.counts_visits or remote.transport.is_shut():
        return None
    known = cache.load(remote.host)
    if known is None or not known.kept:
        return None
    if remote.transport.is_open() and any(map(is_live, known.jobs)):
        return None
    is_recent = 0 <= time.time() - (known.as_of or 0) < REST
    return known if is_recent or is_overdue(known) else None


def heard(remote: Remote, jobs: Sequence[JobView]) -> None:
    """Remember what a host that is not asked again soon has said of some jobs."""
    if remote.transport.counts_visits:
        for job in jobs:
            cache.add(remote.host, job)


def is_overdue(told: HostStatus) -> bool:
    """Whether it has been idle for so long that it would have stopped itself, if it may."""
    facts, idle = told.facts.get("codespace"), told.facts.get("idle_seconds")
    if told.error or not isinstance(facts, dict) or idle is None or facts.get("can_stop") is True:
        return False
    limit, age = facts.get("idle_stop_seconds"), time.time() - (told.as_of or 0)
    return isinstance(limit, int | float) and 0 < limit <= idle + max(0.0, age)


def _jobs(remote: Remote, refs: Sequence[str]) -> list[JobView]:
    kept = recent(remote)
    return list(kept.jobs if kept else status_of(remote, refs, False)["jobs"])


def runs_of(remote: Remote, refs: Sequence[str]) -> list[str]:
    """Each of ``refs`` as the run or runs that it means now: asked again after a cut, it then means the same.

    This machine is asked but once, so there a name may stay a name.
    """
    if remote.transport.here or all(JobRef.parse(ref).run for ref in refs):
        return list(refs)
    # Long enough for a lane that died while the laptop slept to be noticed, and made anew.
    runs: list[str] = remote.call("resolve", {"jobs": list(refs)}, 2 * PATIENCE)["runs"]
    if len(runs) != len(refs):
        raise nonsense(remote.host.name, f"{len(runs)} jobs where {len(refs)} were asked for")
    return runs


def status_of(remote: Remote, names: Sequence[str], show_all: bool) -> Answer:
    """A host's status; names that it does not know are left out, for they may be another host's."""
    request = {"names": list(names), "all": show_all, "packed": True}
    try:
        return remote.call("status", {key: value for key, value in request.items() if value}, PATIENCE)
    except NeverUsed:
        return Answer(remote.host.name, {"jobs": [], "host": {}})
    except OrchError as error:
        if error.kind != "not_found":
            raise
    if len(names) == 1:
        return Answer(remote.host.name, {"jobs": [], "host": remote.call("status", {"packed": True}, PATIENCE)["host"]})
    answers = [status_of(remote, [name], show_all) for name in names]
    jobs = [job for answer in answers for job in answer["jobs"]]
    return Answer(remote.host.name, {"jobs": jobs, "host": answers[0]["host"]})


def _asked(remotes: Sequence[Remote], refs: Sequence[str]) -> list[_Said]:
    """What each host says of the jobs; when every job is found, who is slow is not waited for."""
    asked = Asked([partial(_jobs, remote, refs) for remote in remotes])
    asked.start()
    said: dict[int, _Said] = {}
    for place, jobs in asked.outcomes():
        said[place] = jobs
        if all(any(_has(jobs, ref) for jobs in said.values()) for ref in refs):
            break
    said.update(asked.outcomes(_MORE))
    return [said.get(place, _silent(remote)) for place, remote in enumerate(remotes)]


def _silent(remote: Remote) -> OrchError:
    return OrchError("host", f"{remote.host.name} does not answer", f"orch doctor {remote.host.name}")


def _has(said: _Said, ref: str) -> bool:
    return not isinstance(said, Exception) and any(is_meant(job, JobRef.parse(ref)) for job in said)


def _had(remote: Remote, ref: str) -> bool:
    kept = cache.load(remote.host)
    return kept is not None and _has(list(kept.jobs), ref)


def _owner(ref: str, said: Sequence[tuple[Remote, _Said]]) -> Remote:
    """The only host that has it. Nothing is done with a job whose name a silent host had too."""
    owners = [remote for remote, jobs in said if _has(jobs, ref)]
    silent = {remote.host.name: error for remote, error in said if isinstance(error, Exception)}
    perhaps = [remote.host.name for remote, _ in said if remote.host.name in silent and _had(remote, ref)]
    if len(owners) == 1 and not perhaps:
        return owners[0]
    if owners:
        names = [remote.host.name for remote in owners]
        seen = f" and, when last seen, on {', '.join(perhaps)}, which did not answer" if perhaps else ""
        raise OrchError("refused", f"{ref} lives on {', '.join(names)}{seen}", f"say which: --host {names[0]}")
    if len(perhaps) == 1:
        raise _unreachable(ref, perhaps[0], silent[perhaps[0]])
    if silent:
        raise _nowhere(ref, silent)
    raise _unknown(ref, [remote for remote, _ in said])


def _unknown(ref: str, remotes: Sequence[Remote]) -> OrchError:
    """That no host has it, in the words of one that had: there it may have become too old."""
    for remote in remotes:
        try:
            remote.call("resolve", {"jobs": [ref]}, PATIENCE)
        except OrchError as error:
            if error.kind == "not_found" and not error.message.startswith(UNKNOWN_JOB):
                return error
    return no_job([ref], "any host")


def no_job(refs: Sequence[str], place: str) -> OrchError:
    """Nobody has them; one may be a misspelling of another that this laptop has seen."""
    typed = {JobRef.parse(ref).name.lower() for ref in refs}
    near = nearest(JobRef.parse(refs[0]).name, [name for name in cache.names() if name.lower() not in typed])
    hint = f"did you mean {near}?\norch status --all" if near else "orch status --all"
    return OrchError("not_found", f"there is no job called {', '.join(refs)} on {place}", hint)


def _nowhere(ref: str, silent: Mapping[str, Exception]) -> Exception:
    """Why it may be on a host that cannot be asked; what a person has to see to comes first."""
    told = sorted(silent.items(), key=lambda one: getattr(one[1], "kind", "") != "not_authorised")
    first = told[0][1]
    if not isinstance(first, OrchError):
        return first
    why = "; ".join(of_host(name, str(error)) for name, error in told)
    return OrchError(first.kind, f"no host that answers has {ref}: {why}", first.hint or "orch status")


def _unreachable(ref: str, name: str, error: Exception) -> Exception:
    """Why the one host that had the job cannot be asked."""
    if not isinstance(error, OrchError):
        return error
    then = f"{ref} was on {name} when that was last seen: "
    if isinstance(error, Off):
        return Off(name, error.state, then, hint=error.hint)
    return OrchError(error.kind, then + error.message, error.hint)
