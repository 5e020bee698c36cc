"""From a name to the agent that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from orch import config
from orch.errors import OrchError
from orch.model import Host, is_meant
from orch.providers import provider_of
from orch.remote import Answer, Remote
from orch_agent.model import JobRef, JobView

from .parallel import in_order

PATIENCE = 10.0  # seconds a host is given before it counts as silent


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
        """The host of each job; nobody is asked where there is only one host that it can be."""
        for ref in refs:
            JobRef.parse(ref)
        remotes = self.some(host)
        if len(remotes) == 1:
            return dict.fromkeys(refs, remotes[0])
        answers = in_order([partial(_jobs, remote, refs) for remote in remotes])
        found = list(zip(remotes, answers, strict=True))
        return {ref: _owner(ref, found) for ref in refs}

    def groups(self, refs: Sequence[str], host: str | None = None) -> list[tuple[Remote, list[str]]]:
        """The jobs by the host that has them, so that each host is asked once."""
        grouped: dict[str, tuple[Remote, list[str]]] = {}
        for ref, remote in self.of_jobs(refs, host).items():
            grouped.setdefault(remote.host.name, (remote, []))[1].append(ref)
        return list(grouped.values())


def load() -> Hosts:
    """The configured hosts; every one's options are checked, none is contacted."""
    loaded = config.load()
    for host in loaded.hosts.values():
        config.check_keys(host.options, provider_of(host).options, host.source, f"[hosts.{host.name}]")
    return Hosts(loaded)


def connect(host: Host) -> Remote:
    """The agent of ``host``."""
    return Remote(host, provider_of(host).transport(host))


def _jobs(remote: Remote, refs: Sequence[str]) -> list[JobView]:
    jobs: list[JobView] = status_of(remote, refs, False)["jobs"]
    return jobs


def status_of(remote: Remote, names: Sequence[str], show_all: bool) -> Answer:
    """A host's status; names that it does not know are left out, for they may be another host's."""
    request = {"names": list(names), "all": show_all}
    try:
        return remote.call("status", {key: value for key, value in request.items() if value}, PATIENCE)
    except OrchError as error:
        if error.kind != "not_found":
            raise
    if len(names) == 1:
        return {**remote.call("status", {}, PATIENCE), "jobs": []}
    answers = [status_of(remote, [name], show_all) for name in names]
    return {**answers[0], "jobs": [job for answer in answers for job in answer["jobs"]]}


def _owner(ref: str, found: Sequence[tuple[Remote, list[JobView] | Exception]]) -> Remote:
    wanted = JobRef.parse(ref)
    silent = [remote.host.name for remote, jobs in found if isinstance(jobs, Exception)]
    owners = [
        remote
        for remote, jobs in found
        if not isinstance(jobs, Exception) and any(is_meant(job, wanted) for job in jobs)
    ]
    if len(owners) == 1:
        return owners[0]
    if owners:
        names = ", ".join(remote.host.name for remote in owners)
        raise OrchError("refused", f"{ref} lives on {names}", f"say which: --host {owners[0].host.name}")
    if silent:
        raise OrchError("host", f"no host that answers has {ref}; {', '.join(silent)} did not answer", "orch status")
    raise OrchError("not_found", f"there is no job called {ref} on any host", "orch status --all")
