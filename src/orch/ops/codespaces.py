"""Which codespace is meant, and one that is fit for the job: listed, chosen, made, enlarged.

Invariants
- GitHub is asked by REST, which wakes nothing; what it said lately is not asked again.
- Nothing that costs money is made here without the caller's word.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from orch import config
from orch.errors import OrchError, nearest, notices, usage
from orch.model import Host
from orch.providers.base import Tell, reached
from orch.providers.codespaces import PROVIDER, choice, gh, host_of, memory, name_of, origin, power
from orch.providers.codespaces import space as spaces
from orch.providers.codespaces.space import Machine, Space
from orch.providers.codespaces.terms import terms
from orch.transport import LinkDown
from orch_agent.model import rfc3339

from . import cache, machines
from .hosts import connect

FRESH = 60.0  # seconds for which a list of codespaces need not be asked for again
_DIRECTORY = re.compile(r"""^\s*cd\s+(['"]?)/workspaces/([\w.-]+)""")


class Wanted(NamedTuple):
    """What is known of the codespace that a command needs, and of one to be made for it: its repository."""

    space: Space | None
    repository: str


def refresh(fresh: float = FRESH) -> list[Space]:
    """All of the person's codespaces; asked for again if that was done longer than ``fresh`` seconds ago.

    Those that are gone are forgotten. Where GitHub cannot be asked, what is remembered must do.
    """
    known = memory.load()
    if known.age < fresh and known.spaces:
        return list(known.spaces.values())
    try:
        found = spaces.listed()
    except LinkDown as error:
        if not known.spaces:
            raise
        notices.append(f"GitHub cannot be asked ({error.message}): codespaces are shown as they were")
        return list(known.spaces.values())
    _remember(found)
    return found


def _remember(found: Sequence[Space]) -> None:
    """This is all there is."""
    known = memory.load()
    memory.save(known._replace(asked_at=time.time(), spaces={one.name: one for one in found}))
    for name in known.spaces.keys() - {one.name for one in found}:
        cache.forget(Host(name, "codespaces"))


def hosts_of(found: Iterable[Space]) -> list[Host]:
    """Codespaces as hosts: each as it is configured, or as all are."""
    loaded = config.load()
    ours = [one for one in loaded.hosts.values() if one.provider == "codespaces"]
    configured = {name_of(one): one for one in reversed(ours)}
    return [configured.get(space.name) or host_of(space, loaded.codespaces) for space in found]


def host(space: Space) -> Host:
    """The same of one."""
    return hosts_of([space])[0]


def shown(space: Space, all_of_them: Iterable[Space]) -> str:
    """What a person calls it: its repository's name where that tells it from the others."""
    alike = [one for one in all_of_them if one.folder.lower() == space.folder.lower()]
    return space.folder if len(alike) == 1 and space.folder else space.name


# Which one


def called(name: str) -> Space:
    """The codespace of that name, of that display name, or of the repository or the configured host of that name."""
    found = refresh()
    return _only(name, _named(name, found), found)


def one(name: str | None) -> Space:
    """The codespace of that name; where none is said that of the repository here, or the only one."""
    if name:
        return called(name)
    found = wanted(None, "")
    if found.space is None:
        raise OrchError("not_found", f"{found.repository} has no codespace", f"cs create -R {found.repository}")
    return found.space


def wanted(name: str | None, command: str) -> Wanted:
    """The codespace for a command: ``name``, or the repository of a leading ``cd /workspaces/REPO``, or of the
    current directory, or the only one."""
    found = refresh()
    if name and "/" in name:
        return _for_repository(name)
    if name:
        return _of(_only(name, _named(name, found), found))
    if directory := _DIRECTORY.match(command):
        return _for_repository(directory[2])
    if here := repository_here():
        return _for_repository(here)
    if len(found) == 1:
        return _of(found[0])
    if not found:
        raise OrchError("refused", "you have no codespace, and this is no clone of a repository at GitHub", _CREATE)
    raise usage(f"which codespace? There are {_list(found)}", "say -c CODESPACE, or cd /workspaces/REPO in COMMAND")


def directory(space: Space, command: str) -> str:
    """Where a command runs that does not say otherwise: in the clone, as the command itself calls it."""
    said = _DIRECTORY.match(command)
    return f"/workspaces/{said[2] if said else space.folder}"


_CREATE = "cs create -R OWNER/REPO"


def _of(space: Space) -> Wanted:
    return Wanted(space, space.repository)


def _named(name: str, found: Iterable[Space]) -> list[Space]:
    configured = config.load().hosts.get(name)
    if configured is not None and configured.provider == "codespaces":
        name = name_of(configured)
    exact = [one for one in found if one.name == name]
    return exact or [
        one for one in found if name.lower() in (one.folder.lower(), one.repository.lower(), one.display.lower())
    ]


def _only(name: str, alike: Sequence[Space], found: Sequence[Space]) -> Space:
    if len(alike) == 1:
        return alike[0]
    if alike:
        each = ", ".join(f"{one.name} ({one.state})" for one in alike)
        raise usage(f"{name} is several codespaces: {each}", "say -c with one of them")
    guess = nearest(name, [one.name for one in found] + [one.folder for one in found])
    hint = f"did you mean {guess}?" if guess else f"cs create -R {name if '/' in name else f'OWNER/{name}'}"
    raise usage(f"there is no codespace {name!r}" + (f"; there are {_list(found)}" if found else ""), hint)


def _for_repository(name: str) -> Wanted:
    """``name``: of a repository, with its owner or without. That it has none is no old news: one might be made."""
    for fresh in (FRESH, 0.0):
        found = refresh(fresh)
        if alike := _named(name, found):
            return _of(_only(name, alike, found))
    now = _called_now(name)
    alike = _named(now, found)  # it may have another name by now
    return _of(_only(now, alike, found)) if alike else Wanted(None, now)


def _called_now(name: str) -> str:
    """OWNER/REPO of the repository that is, or was, of that name."""
    here = repository_here()
    owner, _, repo = name.rpartition("/")
    if not owner and here.rpartition("/")[2].lower() == repo.lower():
        owner = here.partition("/")[0]
    owner = owner or gh.text("/user", "login")
    with gh.of_repository(f"{owner}/{repo}"):
        return gh.text(f"/repos/{owner}/{repo}", "full_name")


def repository_here() -> str:
    """OWNER/REPO of the current directory's clone; empty where it is none of a repository at GitHub."""
    try:
        return origin.of(os.getcwd()) or ""
    except OSError:
        return ""


def _list(found: Iterable[Space]) -> str:
    found = list(found)
    return ", ".join(shown(one, found) for one in found)


# One that is fit


def machine_for(repository: str, machine: str | None, mem: int | None) -> Machine:
    """Which type of machine a new codespace of ``repository`` gets; ``mem`` is what its job reserves, in bytes."""
    usual = terms().machine
    return choice.chosen(spaces.offered(repository), machine or usual, mem)


def make(repository: str, branch: str | None, machine: Machine, tell: Tell) -> Space:
    """A codespace with GitHub's timer as the backstop of ours, which is there when this returns."""
    said = terms()
    wanted = {"idle_timeout_minutes": said.idle_timeout, "retention_period_minutes": said.retention}
    before = {one.name for one in refresh(0.0)}
    try:
        made = power.make(repository, branch, machine, wanted, tell)
    except LinkDown:
        new = [one for one in refresh(0.0) if one.name not in before and one.repository == repository]
        if len(new) != 1:
            raise
        made = new[0]  # GitHub did it, and did not say so
    made = power.await_made(made.name, tell)
    _settle(made, tell)
    return made


def _settle(made: Space, tell: Tell) -> None:
    """From now on it stops itself, also if it never gets a job."""
    remote = connect(host(made))
    try:
        reached(partial(remote.settle, PROVIDER.settings(remote.host)), "agent", machines.REACHED, tell)
    except OrchError as error:
        error.hint += f"\ncs stop {made.name}    # nothing else does, but GitHub after {made.idle_timeout} minutes"
        raise


def enlarge(space: Space, machine: Machine, tell: Tell) -> None:
    """Another type of machine for a codespace on which nothing runs: it is stopped for that, and not started."""
    if not space.off:
        machines.stop(host(space), False, tell)
    power.resize(space.name, space.name, machine, tell)


def larger(space: Space, machine: str | None, mem: int | None) -> Machine | None:
    """The machine that ``space`` should become: what is asked for, or one that holds ``mem``; None where it will do."""
    fits = not choice.too_small(space, mem)
    if fits and machine is None:
        return None
    chosen = choice.chosen(spaces.offered_to(space.name), machine, mem)
    return None if space.machine is not None and chosen.name == space.machine.name else chosen


def as_json(space: Space) -> dict[str, Any]:
    """A codespace for programs. Times in RFC 3339, sizes in bytes."""
    machine = space.machine
    return {
        "name": space.name,
        "display_name": space.display,
        "repository": space.repository,
        "branch": space.branch,
        "state": space.state,
        "machine": machine and machine.name,
        "cpus": machine and machine.cpus,
        "mem_total_bytes": machine and machine.memory,
        "storage_bytes": machine and machine.storage,
        "idle_timeout_minutes": space.idle_timeout,
        "retention_minutes": space.retention,
        "expires_at": rfc3339(space.expires_at),
        "created_at": rfc3339(space.created_at),
        "last_started_at": rfc3339(space.used_at),
    }
