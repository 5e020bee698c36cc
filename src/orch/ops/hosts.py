"""From a name to the agent that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from orch import config, settings
from orch.answers import nonsense
from orch.errors import OrchError, nearest, of_host
from orch.model import Host, HostStatus, is_meant
from orch.providers import provider_of
from orch.providers.base import Cloud
from orch.remote import Answer, Remote
from orch.transport import Off
from orch_agent.model import UNKNOWN_JOB, JobRef, JobView

from . import cache
from .parallel import Asked

PATIENCE = 10.0  # seconds a host is given before it counts as silent
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


def load() -> Hosts:
    """The configured hosts; every one's options are checked, none is contacted."""
    loaded = config.load()
    for host in loaded.hosts.values():
        known = {**provider_of(host).options, **settings.OPTIONS}
        config.check_keys(host.options, known, host.source, f"[hosts.{host.name}]")
        settings.of(host)
    return Hosts(loaded)


def connect(host: Host) -> Remote:
    """The agent of ``host``."""
    return Remote(host, provider_of(host).transport(host))


def usd_per_hour(told: HostStatus) -> float | None:
    """What the host costs an hour, as it is now; asks nobody."""
    provider = provider_of(told.host)
    return provider.usd_per_hour(told.host, told.state) if isinstance(provider, Cloud) else None


def _jobs(remote: Remote, refs: Sequence[str]) -> list[JobView]:
    jobs: list[JobView] = status_of(remote, refs, False)["jobs"]
    return jobs


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
    near = nearest(JobRef.parse(refs[0]).name, cache.names())
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
        return Off(name, error.state, then)
    return OrchError(error.kind, then + error.message, error.hint)
