"""Clones of repositories on hosts: each with a deploy key that the host has made and that no laptop ever sees.

Invariants
- To add again mends what is missing, and goes on where it was cut; what is in a clone is never touched.
- A private half never leaves its host. What travels is the public one, by way of this laptop to the forge.
- A key may write only where a person says so here and now, whatever its host says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from orch import forges
from orch.errors import OrchError, usage
from orch.forges import Repository
from orch.model import Host
from orch.providers.base import Tell
from orch.remote import Answer, Remote

from . import clones, deploykeys
from .clones import Clone

_LONG = 2 * 3600.0  # seconds that a clone may take
_TIMES, _PAUSE = 4, 1.0  # a forge that has taken a key may let it in a moment later


class Added(NamedTuple):
    """What has become of it; ``created``: it was not there before. ``notes`` are for the person."""

    clone: Clone
    created: bool
    notes: list[str]


class Wanted(NamedTuple):
    """Something to be cloned; ``write`` None: as it is, read-only if it is new."""

    repository: Repository
    name: str
    write: bool | None = None

    def again(self, host: str) -> str:
        """The command that does it."""
        name = "" if self.name == self.repository.directory else f" --name {self.name}"
        return f"orch repo add {self.repository.url}{name}{' --write' if self.write else ''} -H {host}"


ByHand = Callable[[Wanted, str, str], bool]
"""Told a public half that a person is to give to the forge, and why it is his to do; whether he says that he has."""


def nobody(one: Wanted, public: str, why: str) -> bool:
    """Where there is no person."""
    return False


def wanted(url: str, name: str | None = None, write: bool | None = None) -> Wanted:
    """What is asked for, checked."""
    repository = forges.repository(url)
    return Wanted(repository, forges.directory(name or repository.directory), write)


def configured(host: Host) -> list[Wanted]:
    """What the configuration wants to be on it."""
    given = host.options.get("repos", [])
    if not all(isinstance(one, str) for one in given):
        raise usage(f"{host.source}: [hosts.{host.name}] has repos that are no texts", 'repos = ["git@github.com:..."]')
    found = [wanted(one) for one in given]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise usage(f"{host.source}: two of the repos of [hosts.{host.name}] would be ~/work/{twice}")
    return found


def check(host: Host) -> None:
    """Refuse hosts on which nobody needs this."""
    if host.provider == "local":
        raise OrchError("refused", "this machine has your own keys: no deploy key is needed", "git clone URL")
    if host.provider == "codespaces":
        raise OrchError(
            "refused", "a codespace has its repository already", "cs create -R OWNER/REPO    # one for another"
        )


def add(remote: Remote, one: Wanted, tell: Tell, by_hand: ByHand) -> Added:
    """See to it that the repository is cloned on the host, and can be pulled there."""
    check(remote.host)
    notes: list[str] = []
    asked = _asked(one, notes)
    tell(one.name, "asking the host")
    answer = remote.call("repo", asked, _LONG)
    public = clones.checked(remote, answer["repo"]).public_key
    if public and (not answer["access"] or one.write):
        answer = _admit(remote, one, asked, public, answer, tell, by_hand, notes)
    if not answer["access"]:
        says = f"{one.repository.url} does not let {remote.host.name}'s deploy key in: {answer.get('why')}"
        raise OrchError("not_authorised", says, _instruction(one, public or "", remote.host.name))
    notes += _of_submodules(one, answer, remote.host.name)
    tell(one.name, "is up to date" if not answer.get("created") else "cloned")
    return Added(clones.checked(remote, answer["repo"]), bool(answer.get("created")), notes)


def _asked(one: Wanted, notes: list[str]) -> dict[str, Any]:
    repository = one.repository
    asked: dict[str, Any] = {"do": "add", "directory": one.name, "url": repository.url}
    if one.write is not None:
        asked["write"] = one.write
    if not repository.user:
        return asked
    keys, is_published = forges.known_keys(repository)
    if not is_published:
        shown = forges.fingerprints(keys)
        notes.append(f"{repository.name_of_host} is believed by the host key that this laptop knows: {shown}")
    asked.update(key=repository.key, host=repository.host, user=repository.user, path=repository.path, known=keys)
    return asked if repository.port is None else {**asked, "port": repository.port}


def _admit(
    remote: Remote,
    one: Wanted,
    asked: dict[str, Any],
    public: str,
    answer: Answer,
    tell: Tell,
    by_hand: ByHand,
    notes: list[str],
) -> Answer:
    """Have the forge take the key, by gh or by hand, and ask the host again."""
    why = "orch cannot tell that forge by itself"
    if deploykeys.can_ask(one.repository):
        try:
            tell(one.name, "registering its deploy key")
            deploykeys.add(one.repository, public, f"orch: {remote.host.name}", bool(one.write))
        except OrchError as error:
            why = deploykeys.why(error)
        else:
            return _asked_again(remote, one, {**asked, "write": bool(one.write)}, tell)
    if answer["access"]:
        notes.append(f"whether {one.repository.slug} lets the key write is not known: {why}")
    while not answer["access"]:
        if not by_hand(one, public, why):
            says = f"{one.repository.slug} has to be told {remote.host.name}'s deploy key: {why}"
            raise OrchError("not_authorised", says, _instruction(one, public, remote.host.name))
        answer = _asked_again(remote, one, asked, tell)
        why = str(answer.get("why"))
    return answer


def _asked_again(remote: Remote, one: Wanted, asked: dict[str, Any], tell: Tell) -> Answer:
    tell(one.name, "cloning")
    for pause in (*[_PAUSE] * (_TIMES - 1), 0.0):
        answer = remote.call("repo", asked, _LONG)
        if answer["access"]:
            break
        time.sleep(pause)
    return answer


def _instruction(one: Wanted, public: str, host: str) -> str:
    page = one.repository.page or f"the deploy keys of {one.repository.slug} at {one.repository.host}"
    mode = "tick 'Allow write access'" if one.write else "it needs no right to write"
    return f"{public}\nis the key; add it at {page}    # {mode}\n{one.again(host)}    # then again"


def _of_submodules(one: Wanted, answer: Answer, host: str) -> list[str]:
    urls = answer.get("submodules")
    if not isinstance(urls, list) or not urls:
        return []
    said = ", ".join(str(url) for url in urls[:5]) + (", ..." if urls[5:] else "")
    return [
        f"{one.name} has submodules, which are not fetched: {said}; one that is private is a repository of its own: "
        f"orch repo add URL -H {host}"
    ]
