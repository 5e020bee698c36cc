"""Clones that hosts have by orch's hand: what they tell of them, and the end of their keys.

Invariants
- The forge forgets a key before its host does: what is cut between the two is done by the next call.
- A clone goes only where that was asked for, and with what nobody else has only by force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from orch import forges
from orch.answers import nonsense
from orch.errors import OrchError, notices
from orch.model import Host
from orch.providers import provider_of
from orch.providers.base import Keeper
from orch.remote import Remote

from . import deploykeys

_PATIENCE = 120.0  # seconds that a look at all of them, or the removal of one, may take


class Clone(NamedTuple):
    """A clone, as its host tells of it.

    ``unpushed``: what only it has, in words; ``public_key`` None for none; ``admitted``: its forge has let it in.
    """

    name: str
    url: str
    directory: str
    branch: str | None
    commit: str | None
    state: str
    unpushed: list[str]
    key: str | None
    public_key: str | None
    write: bool
    admitted: bool

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing of it in ~/work."""
        return self.state == "missing" and not self.unpushed

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        fingerprint = forges.fingerprint(self.public_key) if self.public_key else None
        return {**self._asdict(), "fingerprint": fingerprint}


def checked(remote: Remote, said: Any) -> Clone:
    """A clone as every face may show it; what makes no sense is the host's error."""
    texts = ("name", "url", "directory", "state")
    maybe = ("branch", "commit", "key", "public_key")
    right = isinstance(said, dict) and all(isinstance(said.get(key), str) for key in texts)
    right = right and all(said.get(key) is None or isinstance(said[key], str) for key in maybe)
    lost = said.get("unpushed") if right else None
    if not isinstance(lost, list) or not all(isinstance(one, str) for one in lost):
        raise nonsense(remote.host.name, "it holds a clone that there cannot be")
    public = said["public_key"]
    if public is not None and not _is_key(public):
        raise nonsense(remote.host.name, "a public key is none")
    fields = {key: said.get(key) for key in Clone._fields}
    return Clone(**{**fields, **{key: said.get(key) is True for key in ("write", "admitted")}})


def _is_key(text: str) -> bool:
    try:
        return text.isprintable() and text.startswith("ssh-ed25519 ") and bool(forges.fingerprint(text))
    except ValueError:
        return False


def listed(remote: Remote) -> list[Clone]:
    """All that were cloned there by orch."""
    said = remote.call("repo", {"do": "list"}, _PATIENCE)["repos"]
    if not isinstance(said, list):
        raise nonsense(remote.host.name, "repos is no list")
    return [checked(remote, one) for one in said]


class Removed(NamedTuple):
    """What has become of it. ``remains``: what a person has to do yet, in words."""

    clone: Clone
    remains: list[str]


def remove(remote: Remote, what: str, delete: bool, force: bool) -> Removed:
    """Have the forge forget the key, then the host; with ``delete`` the clone goes too."""
    one = _meant(listed(remote), what, remote.host.name)
    if delete and not force:
        one = checked(remote, remote.call("repo", {"do": "look", "directory": one.name}, _PATIENCE)["repo"])
    if delete and one.unpushed and not force:
        says = f"~/work/{one.name} on {remote.host.name} has what nobody else has: {', '.join(one.unpushed)}"
        hint = f"orch repo rm {one.name} --delete-clone --force -H {remote.host.name}    # if it is to be lost"
        raise OrchError("refused", says, hint)
    remains = forgotten([(one.url, one.public_key or "")], "still takes" if one.admitted else "may take")
    provider = provider_of(remote.host)
    if one.key and isinstance(provider, Keeper):
        provider.forget_key(remote.host, one.key)
    asked = {"do": "rm", "directory": one.name, "clone": delete, "force": force}
    remote.call("repo", asked, _PATIENCE)
    return Removed(one, remains)


def _meant(known: Sequence[Clone], what: str, host: str) -> Clone:
    """By its name, or its address."""
    for one in known:
        if one.name == what or one.url == what:
            return one
    if ":" in what:
        repository = forges.repository(what)
        for one in known:
            if forges.repository(one.url).is_same(repository):
                return one
    raise OrchError("not_found", f"{host} has no clone of {what} that orch has made", f"orch repo list -H {host}")


def forgotten(keys: Sequence[tuple[str, str]], says: str = "still takes") -> list[str]:
    """Have the forges forget keys, each the public half for an address; what they still have, in words."""
    remains: list[str] = []
    for url, public in keys:
        if not public:
            continue
        repository = forges.repository(url)
        page = repository.page.removesuffix("/new") or repository.host
        try:
            if deploykeys.can_ask(repository):
                deploykeys.remove(repository, public)
                continue
            why = "orch cannot ask there"
        except OrchError as error:
            why = deploykeys.why(error)
        fingerprint = forges.fingerprint(public)
        remains.append(f"{repository.slug} {says} the deploy key {fingerprint} ({why}): delete it at {page}")
    return remains


def kept_at(host: Host) -> list[tuple[str, str]]:
    """The keys that are kept for a host where it is made: for each its repository's address and its public half."""
    provider = provider_of(host)
    if not isinstance(provider, Keeper):
        return []
    try:
        return list(provider.keys(host))
    except OrchError as error:
        says = f"which deploy keys {host.name} has is not known, and they stay at their forges: {error.message}"
        notices.append(says)
        return []
