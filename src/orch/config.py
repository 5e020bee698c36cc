"""The two files a person writes: the configuration of hosts, and a repository's ``orch.toml``.

Invariants
- What cannot be understood is refused: no key is ever ignored, and every message names the file. Of ``orch.toml``
  this holds for the job that is asked for: a mistake in another one's table is not this one's.
- A file that is not there is no mistake, unless ORCH_CONFIG names it: without any configuration the one host is
  ``local``.
- Nothing is imported to read TOML until there is a file to read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from orch_agent.model import Refusal, check_name, is_name

from . import paths, units
from .errors import ConfigError, nearest, usage
from .model import Host, JobDefaults

LOCAL = Host("local", "local")
_TYPES = {str: "a text in quotes", bool: "true or false", dict: "a table", list: "a list"}
_EXAMPLES = {str: '"..."', bool: "true", dict: '{ NAME = "..." }', list: '["..."]'}
_JOB_KEYS = {"command": str, "cwd": str, "env": dict, "tty": bool, "keep_children": bool}
_CODESPACES = ("machine", "idle_stop", "idle_timeout", "retention")
_TERMS = dict.fromkeys(units.TERMS, object)


class Elsewhere(ConfigError):
    """A mistake in ``orch.toml``, which has no table for the job that was asked for."""


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
    table = _read(source)
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
    _named(name, "host name", source)
    where = f"[hosts.{name}]"
    if not isinstance(fields, dict):
        raise ConfigError(f"{source}: {where} must be {_TYPES[dict]}", f'write {where} and under it provider = "local"')
    options = dict(fields)
    provider = options.pop("provider", None)
    if not isinstance(provider, str):
        raise ConfigError(f"{source}: {where} needs a provider, {_TYPES[str]}", 'add: provider = "local"')
    return Host(name, provider, options, source)


def project_job(name: str, start: str) -> JobDefaults | None:
    """What the nearest ``orch.toml``, from ``start`` upwards, says of job ``name``; no other job's table is checked."""
    source = paths.project_file(start)
    table = _read(source) if source else None
    if source is None or table is None:
        return None
    jobs = table.get("jobs")
    found = isinstance(jobs, dict) and name in jobs
    try:
        check_keys(table, {"jobs": dict}, source, "")
    except ConfigError as error:
        raise error if found else Elsewhere(error.message, error.hint) from None
    return _job(name, table["jobs"][name], source) if found else None


def _job(name: str, fields: object, source: str) -> JobDefaults:
    where = f"[jobs.{name}]"
    if not isinstance(fields, dict):
        raise ConfigError(f"{source}: {where} must be {_TYPES[dict]}", f'write {where} and under it command = "..."')
    check_keys(fields, {**_JOB_KEYS, **_TERMS}, source, where)
    env = fields.get("env", {})
    check_keys(env, dict.fromkeys(env, str), source, f"[jobs.{name}.env]")
    cwd = os.path.join(os.path.dirname(source), os.path.expanduser(fields.get("cwd", "")))
    terms = {key: _term(key, value, f"{source}: {where}") for key, value in fields.items() if key in _TERMS}
    kept = {key: fields[key] for key in ("env", "tty", "keep_children") if key in fields}
    return JobDefaults(fields.get("command"), os.path.normpath(cwd), {**kept, **terms})


def _term(key: str, value: object, where: str) -> object:
    """A term of a job, written as on the command line or as a number; of ``after`` there may be several."""
    try:
        if key == "after":
            return tuple(_read_term(key, one) for one in (value if isinstance(value, list) else [value]))
        return _read_term(key, value)
    except Refusal as refusal:
        raise ConfigError(f"{where} {key}: {refusal.message}", refusal.hint) from None


def _read_term(key: str, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise usage(f"{_written(value)} is neither a text nor a number", f'as on the command line: {key} = "..."')
    return units.TERMS[key](str(value))


def check_keys(table: Mapping[str, Any], known: Mapping[str, type], source: str, where: str) -> None:
    """Refuse a key that is not known, and a value of another type than the known one's."""
    place = f"{source}: {where} " if where else f"{source}: "
    for key, value in table.items():
        if key not in known:
            guess = nearest(key, known)
            hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(known) or 'nothing'}"
            raise ConfigError(f"{place}unknown key {key!r}", hint)
        if not isinstance(value, known[key]):
            wrong = f"{place}{key} must be {_TYPES[known[key]]}, and is {_written(value)}"
            raise ConfigError(wrong, f"write {key} = {_EXAMPLES[known[key]]}")


def _written(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def _named(name: str, what: str, source: str) -> None:
    try:
        check_name(name, what)
    except Refusal as refusal:
        raise ConfigError(f"{source}: {refusal.message}", refusal.hint) from None


def _read(source: str) -> dict[str, Any] | None:
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
