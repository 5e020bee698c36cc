"""Secrets of codespaces, kept by GitHub: a person's, for some repositories, or a repository's.

Invariants
- A value goes to gh by its standard input, which encrypts it; it is in no argument, no error and no file.
- No value ever comes back: GitHub gives none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from orch.errors import OrchError, usage

from . import gh
from .space import epoch

MOST = 48 << 10
"""Bytes of a value (docs.github.com, "Secrets for GitHub Codespaces": 100 secrets of 48 KB)."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RULE = "letters, digits and _, not a digit first, and not GITHUB_ first"
_WORDS = ("--app", "codespaces")
_USER = "/user/codespaces/secrets"


class Secret(NamedTuple):
    """``repositories``: that see it. ``of`` is the repository that it belongs to; empty where it is the person's."""

    name: str
    of: str
    repositories: Sequence[str]
    updated_at: float | None


@contextmanager
def _found(otherwise: str, hint: str) -> Iterator[None]:
    """What 404 means inside."""
    try:
        yield
    except gh.Failure as failure:
        if failure.code != 404:
            raise
        raise OrchError("not_found", otherwise, hint) from None


def check_name(text: str) -> str:
    """A name as GitHub takes it, in its upper case. What is no name may be a value: it is not repeated."""
    if not _NAME.fullmatch(text) or text.upper().startswith("GITHUB_"):
        raise usage(f"this is no name of a secret: {_RULE}", "cs secret set NAME    # asks for the value")
    return text.upper()


def check_value(value: bytes) -> bytes:
    """A value as it may be kept, without the ends of lines behind it, which gh drops too."""
    value = value.rstrip(b"\r\n")
    if not value:
        raise OrchError("refused", "the value is empty, so nothing was set", "cs secret rm NAME    # deletes one")
    if len(value) > MOST:
        raise OrchError("refused", f"the value is longer than the {MOST} bytes that GitHub keeps")
    if b"\0" in value:
        raise OrchError("refused", "the value holds a zero byte, which no variable can")
    return value


def put(name: str, value: bytes, repositories: Sequence[str]) -> None:
    """Keep a secret of the person's, for these repositories alone."""
    gh.call(["secret", "set", name, *_WORDS, "--user", "--repos", ",".join(repositories)], value)


def put_in(repository: str, name: str, value: bytes) -> None:
    """Keep a repository's secret."""
    with _found(f"GitHub knows no repository {repository} whose secrets you may set", f"gh repo view {repository}"):
        gh.call(["secret", "set", name, *_WORDS, "-R", repository], value)


def remove(name: str, repository: str = "") -> None:
    """Delete a repository's secret, or, where none is said, one of the person's."""
    place = ["-R", repository] if repository else ["--user"]
    with _found(f"{f'{repository} has' if repository else 'you have'} no secret {name}", "cs secret list"):
        gh.call(["secret", "delete", name, *_WORDS, *place])


def own() -> list[Secret]:
    """The person's."""
    said = gh.pages(_USER, "secrets")
    return [Secret(one["name"], "", seers(one["name"]), epoch(one.get("updated_at"))) for one in said]


def of(repository: str) -> list[Secret]:
    """A repository's."""
    with gh.of_repository(repository):
        said = gh.pages(f"/repos/{repository}/codespaces/secrets", "secrets")
    return [Secret(one["name"], repository, [repository], epoch(one.get("updated_at"))) for one in said]


def seers(name: str) -> list[str]:
    """The repositories that see a secret of the person's; none where there is no such secret."""
    try:
        return [one["full_name"] for one in gh.pages(f"{_USER}/{name}/repositories", "repositories")]
    except gh.Failure as failure:
        if failure.code == 404:
            return []
        raise
