"""The configuration of hosts, which a person writes.

Invariants
- What cannot be understood is refused: no key is ever ignored, and every message names the file.
- A file that is not there is no mistake, unless ORCH_CONFIG names it: without any configuration the one host is
  ``local``.
- Nothing is imported to read TOML until there is a file to read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from orch_agent.model import Refusal, check_name, is_name

from . import paths
from .errors import ConfigError, nearest, usage
from .model import Host

LOCAL = Host("local", "local")
TYPES = {str: "a text in quotes", bool: "true or false", dict: "a table", list: "a list"}
_EXAMPLES = {str: '"..."', bool: "true", dict: '{ NAME = "..." }', list: '["..."]'}
_CODESPACES = ("machine", "idle_stop", "idle_timeout", "retention")


class Config(NamedTuple):
    """The hosts, and which one is meant when none is named."""

    hosts: Mapping[str, Host] = {"local": LOCAL}
    default_host: str | None = "local"
    codespaces: Mapping[str, Any] = {}
    """What is said of codespaces, which need not be configured one by one."""

    def host(self, name: str | None) -> Host:
        """The host called ``name``, or the default one."""
        name = name or self.default_host
        if name is None:
            hint = f"say --host NAME, or set default_host in {paths.config_file()}"
            raise usage(f"which host? There are {', '.join(self.hosts)}", hint)
        if name not in self.hosts:
            raise usage(f"there is no host {name!r}", self._instead(name))
        return self.hosts[name]

    def _instead(self, address: str) -> str:
        """What may have been meant by an unknown name, and how a host at that address would be made known."""
        source, known = paths.config_file(), ", ".join(self.hosts)
        new = LOCAL if address == LOCAL.name else Host(name_for(address), "ssh", {"address": address})
        if guess := nearest(address, self.hosts):
            return f"did you mean {guess}? If not, add [hosts.{new.name}] to {source}"
        if os.path.lexists(source):
            what = "this machine" if new == LOCAL else "one that ssh reaches"
            return f"hosts in {source}: {known}\nto add {what}, write there:\n{table_of(new)}"
        return (
            f"there is no configuration; the only host is {known}\nto add one that ssh reaches: orch init --ssh ADDRESS"
        )


def name_for(address: str) -> str:
    """What the host at an address for ssh may be called: as the first part of its name."""
    first = address.removeprefix("ssh://").rpartition("@")[2].partition(".")[0].partition(":")[0]
    return first if is_name(first) and not first.isdigit() else "box"


def table_of(host: Host) -> str:
    """The lines that describe a host whose options are texts."""
    import json

    fields = {"provider": host.provider, **host.options}
    return "\n".join(
        [f"[hosts.{host.name}]", *(f"{key} = {json.dumps(fields[key], ensure_ascii=False)}" for key in fields)]
    )


def load() -> Config:
    """The person's configuration."""
    source = paths.config_file()
    table = read(source)
    if table is None and os.environ.get("ORCH_CONFIG"):
        raise ConfigError(f"{source}: no such file, and ORCH_CONFIG names it", "orch init writes it; unset ORCH_CONFIG")
    if table is None:
        return Config()
    check_keys(table, {"default_host": str, "hosts": dict, "codespaces": dict}, source, "")
    check_keys(table.get("codespaces", {}), dict.fromkeys(_CODESPACES, str), source, "[codespaces]")
    hosts = {name: _host(name, fields, source) for name, fields in table.get("hosts", {}).items()}
    default = _default(table.get("default_host"), hosts or {"local": LOCAL}, source)
    return Config(hosts or {"local": LOCAL}, default, table.get("codespaces", {}))


def _default(chosen: str | None, hosts: Mapping[str, Host], source: str) -> str | None:
    if chosen is None:
        return next(iter(hosts)) if len(hosts) == 1 else None
    if chosen not in hosts:
        guess = nearest(chosen, hosts)
        hint = f"did you mean {guess}?" if guess else f"add [hosts.{chosen}], or name one of: {', '.join(hosts)}"
        raise ConfigError(f"{source}: default_host is {chosen!r}, and there is no such host", hint)
    return chosen


def _host(name: str, fields: object, source: str) -> Host:
    named(name, "host name", source)
    where = f"[hosts.{name}]"
    if not isinstance(fields, dict):
        raise ConfigError(f"{source}: {where} must be {TYPES[dict]}", f'write {where} and under it provider = "local"')
    options = dict(fields)
    provider = options.pop("provider", None)
    if not isinstance(provider, str):
        raise ConfigError(f"{source}: {where} needs a provider, {TYPES[str]}", 'add: provider = "local"')
    return Host(name, provider, options, source)


def check_keys(table: Mapping[str, Any], known: Mapping[str, type], source: str, where: str) -> None:
    """Refuse a key that is not known, and a value of another type than the known one's."""
    place = f"{source}: {where} " if where else f"{source}: "
    for key, value in table.items():
        if key not in known:
            guess = nearest(key, known)
            hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(known) or 'nothing'}"
            raise ConfigError(f"{place}unknown key {key!r}", hint)
        if not isinstance(value, known[key]):
            wrong = f"{place}{key} must be {TYPES[known[key]]}, and is {kind(value)}"
            raise ConfigError(wrong, f"write {key} = {_EXAMPLES[known[key]]}")


def kind(value: object) -> str:
    """What a value is. Somebody may have put a secret there: it is not repeated."""
    if isinstance(value, bool):
        return str(value).lower()
    return "a number" if isinstance(value, (int, float)) else TYPES.get(type(value), "a time")


def named(name: str, what: str, source: str) -> None:
    """Refuse what is no name."""
    try:
        check_name(name, what)
    except Refusal as refusal:
        raise ConfigError(f"{source}: {refusal.message}", refusal.hint) from None


def read(source: str) -> dict[str, Any] | None:
    """The tables in a file, or None where there is no file."""
    try:
        with open(source, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror}", f"ls -ld {source}") from None
    import tomllib

    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}: line {line} is not UTF-8", "TOML files are UTF-8: save it as that") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}", "see https://toml.io for how it is written") from None
