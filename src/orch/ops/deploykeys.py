"""Deploy keys at GitHub: public halves, told to it through gh.

Invariants
- A key is known by what it is, not by its title: only one that a host of ours has made is ever removed.
- Whatever keeps gh from it is an error that says what a person does in its place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from orch.errors import OrchError
from orch.forges import Repository
from orch.providers.codespaces import gh

_HOST = "github.com"


class Registered(NamedTuple):
    """A deploy key that GitHub has."""

    id: int
    write: bool


def can_ask(wanted: Repository) -> bool:
    """Whether gh is the one to ask about its keys."""
    return wanted.host == _HOST and wanted.port is None and wanted.slug.count("/") == 1


def find(wanted: Repository, public: str) -> Registered | None:
    """The key, if the repository takes it."""
    body = _body(public)
    path = f"/repos/{wanted.slug}/keys"
    page = 1
    while True:
        said = gh.api(f"{path}?per_page=100&page={page}")
        with gh.understood(path):
            rows: list[Any] = list(said)
            for one in rows:
                if _body(str(one["key"])) == body:
                    return Registered(int(one["id"]), not one["read_only"])
        if len(rows) < 100:
            return None
        page += 1


def add(wanted: Repository, public: str, title: str, write: bool) -> None:
    """See to it that the repository takes the key, and lets it ``write`` or not, for which it is replaced."""
    known = find(wanted, public)
    if known is not None and known.write == write:
        return
    if known is not None:
        _delete(wanted, known)
    words = ["repo", "deploy-key", "add", "-", "-R", wanted.slug, "--title", title]
    try:
        gh.call([*words, *(["--allow-write"] if write else [])], f"{public}\n".encode())
    except OrchError:
        if find(wanted, public) is None:  # else somebody else was faster, or it was done all the same
            raise


def remove(wanted: Repository, public: str) -> bool:
    """See to it that the repository no longer takes the key; whether it did."""
    known = find(wanted, public)
    if known is not None:
        _delete(wanted, known)
    return known is not None


def _delete(wanted: Repository, known: Registered) -> None:
    try:
        gh.call(["repo", "deploy-key", "delete", str(known.id), "-R", wanted.slug])
    except gh.Failure as failure:
        if failure.code != 404:
            raise


def _body(public: str) -> list[str]:
    """A public half without its comment."""
    return public.split()[:2]


def why(error: OrchError) -> str:
    """Why gh could not, in words for a person who does it by hand."""
    return "there is no gh here" if error.message == gh.missing().message else error.message
