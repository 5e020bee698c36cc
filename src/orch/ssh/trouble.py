"""What ssh says when it cannot connect, in words that help.

The kind tells whether trying again can help: a ``LinkDown`` may be over in a minute, a ``not_authorised`` never is
without a person.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from orch.errors import ConfigError, OrchError
from orch.model import Host
from orch.transport import LinkDown


class Failure(NamedTuple):
    """A connection that was not made: ``base`` is the ssh command line up to the address, ``said`` what ssh said."""

    host: Host
    address: str
    base: Sequence[str]
    said: str


def explain(failure: Failure) -> OrchError:
    """The error that ``failure`` is."""
    if not failure.said.strip():
        return LinkDown(f"{failure.host.name} ({failure.address}) does not answer", f"orch doctor {failure.host.name}")
    for pattern, meaning in _MEANINGS:
        if found := re.search(pattern, failure.said, re.IGNORECASE):
            return meaning(failure, found)
    return LinkDown(
        f"cannot connect to {failure.host.name} ({failure.address}): {_last(failure)}",
        f"orch doctor {failure.host.name}",
    )


def _last(failure: Failure) -> str:
    return failure.said.strip().splitlines()[-1].strip()[:300]


def _in_the_way(message: str, hint: str) -> OrchError:
    return OrchError("not_authorised", message, hint)


def _changed_key(failure: Failure, _: re.Match[str]) -> OrchError:
    name = failure.host.name
    command = re.search(r"^\s*(ssh-keygen -f .* -R .*?)\s*$", failure.said, re.MULTILINE)
    forget = command[1] if command else f"ssh-keygen -R {failure.address.rpartition('@')[2]}"
    return _in_the_way(
        f"the host key of {name} ({failure.address}) is another one than before: it was set up anew, or somebody is "
        "in between",
        f"only if you know why: {forget}\nthen, to see and accept the new one: orch ssh {name}",
    )


def _unknown_key(failure: Failure, _: re.Match[str]) -> OrchError:
    return _in_the_way(
        f"the host key of {failure.host.name} ({failure.address}) is not known here",
        f"orch ssh {failure.host.name}    (shows its fingerprint and asks)",
    )


def _denied(failure: Failure, found: re.Match[str]) -> OrchError:
    name, place = failure.host.name, f"{failure.host.name} ({failure.address})"
    if locked := locked_keys(failure.base, failure.address):
        return _in_the_way(
            f"{place} lets nobody in without a key, and {locked[0]} has a passphrase",
            f"ssh-add {locked[0]}    (or: orch ssh {name}, which asks for it and keeps the connection)",
        )
    if "password" in found[1] or "keyboard" in found[1]:
        return _in_the_way(
            f"{place} asks for a password",
            f"orch ssh {name}    (asks for it and keeps the connection)\nfor good: ssh-copy-id {failure.address}",
        )
    return _in_the_way(
        f"{place} takes none of your keys",
        f"ssh-copy-id {failure.address}, or name the key in {failure.host.source}:\n"
        f'[hosts.{name}] ssh_options = {{ IdentityFile = "~/.ssh/..." }}',
    )


def locked_keys(base: Sequence[str], address: str) -> list[str]:
    """The private keys that ssh would use for this host and that have a passphrase."""
    try:
        told = subprocess.run([*base, "-G", "--", address], stdin=-3, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    named = [
        os.path.expanduser(line.split(" ", 1)[1]) for line in told.splitlines() if line.startswith("identityfile ")
    ]
    return [path for path in named if os.path.isfile(path) and _is_locked(path)]


def _is_locked(path: str) -> bool:
    # An empty passphrase opens a key that has none, and no other.
    opened = ["ssh-keygen", "-y", "-P", "", "-f", path]
    try:
        return "passphrase" in subprocess.run(opened, stdin=-3, capture_output=True, text=True, timeout=5).stderr
    except (OSError, subprocess.TimeoutExpired):
        return False


def _too_many(failure: Failure, _: re.Match[str]) -> OrchError:
    return _in_the_way(
        f"{failure.host.name} ({failure.address}) was offered too many keys before the right one",
        f"name it in {failure.host.source}:\n[hosts.{failure.host.name}] "
        'ssh_options = { IdentityFile = "~/.ssh/...", IdentitiesOnly = "yes" }',
    )


def _open_key(failure: Failure, _: re.Match[str]) -> OrchError:
    path = re.search(r"Permissions \S+ for '(.*?)' are too open", failure.said)
    return _in_the_way(
        f"ssh does not use a private key that others may read: {path[1] if path else _last(failure)}",
        f"chmod 600 {path[1] if path else 'KEY'}",
    )


def _misconfigured(failure: Failure, _: re.Match[str]) -> OrchError:
    return ConfigError(
        f"ssh does not understand its options for {failure.host.name}: {_last(failure)}",
        f"look at ssh_options under [hosts.{failure.host.name}] in {failure.host.source}, and at ~/.ssh/config",
    )


def _nameless(failure: Failure, found: re.Match[str]) -> OrchError:
    return LinkDown(
        f"nobody knows where {failure.host.name} is: there is no host name {found[1]}, or no network",
        f"the address of [hosts.{failure.host.name}] is in {failure.host.source}",
    )


def _down(says: str) -> Callable[[Failure, re.Match[str]], OrchError]:
    def meaning(failure: Failure, _: re.Match[str]) -> OrchError:
        return LinkDown(f"{failure.host.name} ({failure.address}) {says}", f"orch doctor {failure.host.name}")

    return meaning


_MEANINGS: Sequence[tuple[str, Callable[[Failure, re.Match[str]], OrchError]]] = (
    (r"HOST IDENTIFICATION HAS CHANGED|host key for .* has changed", _changed_key),
    (
        r"bad configuration option|command-line:? line \d|terminating, \d+ bad|Bad owner or permissions on",
        _misconfigured,
    ),
    (r"host key verification failed|no \S+ host key is known", _unknown_key),
    (r"too many authentication failures", _too_many),
    (r"UNPROTECTED PRIVATE KEY FILE", _open_key),
    (r"permission denied \(([^)]*)\)", _denied),
    (r"could not resolve hostname ([^:\s]+)", _nameless),
    (r"connection refused", _down("refuses connections: is its sshd running, and the port right?")),
    (r"timed out|no route to host|network is unreachable|host is down", _down("cannot be reached")),
    (
        r"kex_exchange_identification|connection (closed|reset)|banner|broken pipe|not a valid ssh",
        _down("closes the connection before the login"),
    ),
)
