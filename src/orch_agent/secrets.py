"""The secrets that GitHub gives a codespace: read where it keeps them, when they are needed, for some are renewed.

What no log may show of these and others, too.

A line of the file is ``KEY=VALUE``, the value in base64. A line that makes no sense counts as none.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from .check import LEAST as LEAST

_PLACE = "/workspaces/.codespaces/shared/.env-secrets"
_POINTER = 10
"""Bytes that a variable takes besides its name and value: ``=``, a zero, and where it stands."""
_SPARE = 128 << 10
"""Bytes left to a job's own environment and command."""
_PUBLIC = frozenset(
    (
        *("CODESPACES", "CODESPACE_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_NAME", "GITHUB_API_URL"),
        *("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "GITHUB_GRAPHQL_URL", "GITHUB_REPOSITORY"),
        *("GITHUB_SERVER_URL", "GITHUB_USER"),
    )
)
"""What GitHub tells every codespace of itself: no secrets, should they stand in that file.

From docs.github.com, "Default environment variables for your codespace".
"""


def read() -> dict[str, str]:
    """The secrets by name; none where this is no codespace."""
    if "ORCH_CODESPACE" not in os.environ:
        return {}
    try:
        with open(os.environ.get("ORCH_SECRETS_FILE", _PLACE), "rb") as file:
            return dict(_parsed(file.read()))
    except OSError:
        return {}


def _parsed(text: bytes) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, coded = line.strip().partition(b"=")
        try:
            value = base64.b64decode(coded, validate=True)
        except binascii.Error:
            continue
        if re.fullmatch(rb"[A-Za-z_][A-Za-z0-9_]*", key) and b"\0" not in value:
            yield key.decode(), os.fsdecode(value)


def room() -> int:
    """Bytes that a program can be given of them."""
    return os.sysconf("SC_ARG_MAX") - _SPARE


def size(secrets: Mapping[str, str]) -> int:
    """Bytes that they take in a process's environment."""
    return sum(len(os.fsencode(key)) + len(os.fsencode(value)) + _POINTER for key, value in secrets.items())


def private(secrets: Mapping[str, str]) -> dict[str, str]:
    """Those that are secret."""
    return {key: value for key, value in secrets.items() if key not in _PUBLIC}


def hidden(values: Iterable[str]) -> list[bytes]:
    """What no log may show: each value, as a terminal writes it too, each of its lines, and what others make of it."""
    found: set[bytes] = set()
    for text in values:
        value = os.fsencode(text).strip(b"\r\n")
        plain = value.replace(b"\r\n", b"\n")
        found.update((value, plain, plain.replace(b"\n", b"\r\n")), plain.split(b"\n"))
        if len(value) >= LEAST:
            from . import disguise  # most jobs have no secrets

            found.update(disguise.of(value))
    return [one for one in found if len(one) >= LEAST]
