"""Every path on the laptop, once. Nothing here changes the disk."""

from __future__ import annotations

import os
import re

_PLAIN = re.compile(r"(/[\w.@+-]+)+/?")
_SHORT = 50  # bytes, which with a socket's own name stays below 80


def _base(variable: str, default: str) -> str:
    """An XDG directory: the specification says that a relative one is to be ignored."""
    chosen = os.environ.get(variable, "")
    return chosen if os.path.isabs(chosen) else os.path.join(os.path.expanduser("~"), default)


def config_file() -> str:
    """The person's configuration; it need not exist."""
    return os.environ.get("ORCH_CONFIG") or os.path.join(_base("XDG_CONFIG_HOME", ".config"), "orch", "config.toml")


def project_file(start: str) -> str | None:
    """The nearest ``orch.toml``, in ``start`` or above it."""
    directory = start
    while True:
        candidate = os.path.join(directory, "orch.toml")
        if os.path.lexists(candidate):
            return candidate
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def elsewhere(path: str) -> str:
    """The same place on another host: below the home there, if it is below the home here; else of the same name."""
    if not os.path.isabs(path):
        return path
    path = os.path.normpath(path)
    home = os.path.expanduser("~")
    for one in (home, os.path.realpath(home)):
        if one != "/" and f"{path}/".startswith(f"{one}/"):
            return "~" + path[len(one) :]
    return path


def status_cache(host: str) -> str:
    """What ``host`` last said about its jobs; may be deleted at any time."""
    return os.path.join(status_caches(), host + ".json")


def status_caches() -> str:
    """The directory of one such file a host."""
    return os.path.join(_cache(), "status")


def host_key(machine: str) -> str:
    """By which key a machine of a provider's making is known, as ssh reads it."""
    return os.path.join(_cache(), "hostkeys", machine)


def prices() -> str:
    """What AWS last said of its prices; may be deleted at any time."""
    return os.path.join(_cache(), "prices.json")


def awake(codespace: str) -> str:
    """When a codespace was awake, as it said last; may be deleted at any time."""
    return os.path.join(awake_all(), codespace + ".json")


def awake_all() -> str:
    """The directory of one such file a codespace."""
    return os.path.join(_cache(), "awake")


def bill() -> str:
    """What GitHub last said of what it bills for codespaces; may be deleted at any time."""
    return os.path.join(_cache(), "bill.json")


def codespaces() -> str:
    """What GitHub last said of the person's codespaces; may be deleted at any time."""
    return os.path.join(_cache(), "codespaces.json")


def keychain_lock() -> str:
    """Locked by who changes which secrets there are."""
    return os.path.join(_cache(), "keychain.lock")


def reports() -> str:
    """Where a report goes when orch itself fails."""
    return os.path.join(_cache(), "reports")


def laptop() -> str:
    """By which name this laptop is known to the stores of hosts; may be deleted at any time, then it gets another."""
    return os.path.join(_cache(), "laptop")


def snapshots(key: str) -> str:
    """What is known of the snapshots of one working tree; may be deleted at any time."""
    return os.path.join(_cache(), "code", key)


def kept(host: str) -> str:
    """The logs and records of a host's runs that are kept on this machine for good."""
    return os.path.join(_base("XDG_DATA_HOME", os.path.join(".local", "share")), "orch", "kept", host)


def kept_log(host: str, name: str, run: int) -> str:
    """What that run wrote."""
    return os.path.join(kept(host), name, f"{run}.log")


def kept_record(host: str, name: str, run: int) -> str:
    """What that run was, and how it ended: the job in JSON."""
    return os.path.join(kept(host), name, f"{run}.json")


def sockets() -> str:
    """Where the sockets of ssh's connections are. Short and plain, whatever HOME is: ssh reads paths in its own way."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if len(os.fsencode(runtime)) <= _SHORT and _PLAIN.fullmatch(runtime):
        return os.path.join(runtime, "orch")
    return f"/tmp/orch-{os.getuid()}"  # noqa: S108


def _cache() -> str:
    return os.path.join(_base("XDG_CACHE_HOME", ".cache"), "orch")
