"""What ssh says when it cannot connect, in words that help.

The kind tells whether trying again can help: a ``LinkDown`` may be over in a minute, an ``InTheWay``, whose kind is
``not_authorised``, never is without a person.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from orch.errors import ConfigError, OrchError
from orch.model import Check, Host
from orch.transport import LinkDown

LOG_IN = "true"  # the least that makes a connection, on which ssh may ask for things


class Failure(NamedTuple):
    """A connection that was not made; ``options`` are the person's, ``said`` is what ssh said."""

    host: Host
    address: str
    options: Sequence[str]
    said: str


class InTheWay(OrchError):
    """What only a person can see to. ``check`` is the same for ``orch doctor``, ``for_good`` a mend that lasts."""

    def __init__(self, check: Check, hint: str, for_good: str = "") -> None:
        super().__init__("not_authorised", check.says, hint)
        self.check = check
        self.for_good = for_good


def explain(failure: Failure) -> OrchError:
    """The error that ``failure`` is."""
    ours, theirs = _apart(failure.said)
    if "too many authentication failures" in theirs.lower():
        return _too_many(failure)
    failure = failure._replace(said=ours if ours.strip() else theirs)
    if not failure.said.strip():
        return LinkDown(f"{failure.host.name} ({failure.address}) does not answer", f"orch doctor {failure.host.name}")
    if not ours.strip():
        return LinkDown(f"{failure.host.name} ({failure.address}) closes the connection: {_last(failure)}")
    for pattern, meaning in _MEANINGS:
        if found := re.search(pattern, failure.said, re.IGNORECASE):
            return meaning(failure, found)
    return LinkDown(
        f"cannot connect to {failure.host.name} ({failure.address}): {_last(failure)}",
        f"orch doctor {failure.host.name}",
    )


def _apart(said: str) -> tuple[str, str]:
    """What ssh says itself, and the line with which it quotes the other side, which may say anything, in many lines."""
    found = re.search(r"^Received disconnect from.*$", said, re.MULTILINE)
    return (said[: found.start()], found[0]) if found else (said, "")


def _last(failure: Failure) -> str:
    return failure.said.strip().splitlines()[-1].strip()[:300]


def _changed_key(failure: Failure, _: re.Match[str]) -> OrchError:
    name = failure.host.name
    forget = _forgetting(failure)
    says = (
        f"the host key of {name} ({failure.address}) is another one than before: it was set up anew, or somebody is "
        "in between"
    )
    return InTheWay(
        Check(
            "host key",
            "failed",
            says,
            f"{forget}    # only if you know why; then: orch ssh {name}",
            here=True,
        ),
        f"only if you know why: {forget}\nthen, to see and accept the new one: orch ssh {name}",
    )


def _forgetting(failure: Failure) -> str:
    """The command that forgets the host's key; not the one that ssh prints, for more than ssh may have printed it."""
    known = settings(failure.options, failure.address)
    host, port = (known.get(key, [default])[0] for key, default in (("hostname", ""), ("port", "22")))
    alias = known.get("hostkeyalias", ["none"])[0]
    name = alias if alias != "none" else host if port == "22" else f"[{host}]:{port}"
    files = os.path.expanduser(known.get("userknownhostsfile", ["~/.ssh/known_hosts"])[0])
    file = files if os.path.exists(files) else files.split(" ")[0]  # ssh tells several as it tells one with blanks
    return shlex.join(["ssh-keygen", "-f", os.path.expanduser(file), "-R", name])


def _unknown_key(failure: Failure, _: re.Match[str]) -> OrchError:
    says = f"the host key of {failure.host.name} ({failure.address}) is not known here"
    return InTheWay(
        Check("host key", "failed", says, LOG_IN, safe=True),
        f"orch ssh {failure.host.name}    # shows its fingerprint and asks",
    )


def _denied(failure: Failure, found: re.Match[str]) -> OrchError:
    name, place = failure.host.name, f"{failure.host.name} ({failure.address})"
    keys = _keys(failure)
    if locked := next(filter(_is_locked, keys), None):
        add = f"ssh-add {shlex.quote(locked)}"
        return InTheWay(
            Check(
                "keys", "failed", f"{place} lets nobody in without a key, and {locked} has a passphrase", LOG_IN, True
            ),
            f"{add}    # or: orch ssh {name}, which asks for it and keeps the connection",
            add,
        )
    if "password" in found[1] or "keyboard" in found[1]:
        copy = _copy_key(failure, keys)
        return InTheWay(
            Check("keys", "failed", f"{place} asks for a password", LOG_IN, safe=True),
            f"orch ssh {name}    # asks for it and keeps the connection\nfor good: {copy}",
            copy,
        )
    shown = "cat ~/.ssh/*.pub"
    return InTheWay(
        Check("keys", "failed", f"{place} takes none of your keys, and no password", shown, here=True),
        f"{shown}    # one of these belongs into ~/.ssh/authorized_keys there\nor name another key in "
        f'{failure.host.source}: [hosts.{name}] ssh_options = {{ IdentityFile = "~/.ssh/..." }}',
    )


def settings(options: Sequence[str], address: str) -> Mapping[str, Sequence[str]]:
    """What ssh would do for this address, by keyword in small letters; empty where it does not tell."""
    asked = ["ssh", *options, "-G", "--", address]
    try:
        told = subprocess.run(asked, stdin=-3, capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[str]] = {}
    for line in told.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def _keys(failure: Failure) -> list[str]:
    """The private keys on this machine's disk that ssh would use for this host."""
    named = settings(failure.options, failure.address).get("identityfile", ())
    return list(filter(os.path.isfile, map(os.path.expanduser, named)))


def _copy_key(failure: Failure, keys: Sequence[str]) -> str:
    """How the host learns a key, one that is made where there is none."""
    make = "" if keys or os.environ.get("SSH_AUTH_SOCK") else "ssh-keygen -t ed25519 && "
    chosen = ["-i", keys[0]] if any("identityfile" in word.lower() for word in failure.options) and keys else []
    return make + shlex.join(["ssh-copy-id", *chosen, *failure.options, failure.address])


def _is_locked(path: str) -> bool:
    # An empty passphrase opens a key that has none, and no other.
    opened = ["ssh-keygen", "-y", "-P", "", "-f", path]
    try:
        return "passphrase" in subprocess.run(opened, stdin=-3, capture_output=True, text=True, timeout=5).stderr
    except (OSError, subprocess.TimeoutExpired):
        return False


def _too_many(failure: Failure) -> OrchError:
    says = f"{failure.host.name} ({failure.address}) was offered too many keys before the right one"
    return InTheWay(
        Check("keys", "failed", says, "ssh-add -l", here=True),
        f"name it in {failure.host.source}:\n[hosts.{failure.host.name}] "
        'ssh_options = { IdentityFile = "~/.ssh/...", IdentitiesOnly = "yes" }',
    )


def _open_key(failure: Failure, _: re.Match[str]) -> OrchError:
    path = next((key for key in _keys(failure) if os.stat(key).st_mode & 0o077), None)
    says = f"ssh does not use a private key that others may read: {path or _last(failure)}"
    close = f"chmod 600 {shlex.quote(path) if path else 'KEY'}"
    return InTheWay(Check("keys", "failed", says, close, safe=bool(path), here=True), close)


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
