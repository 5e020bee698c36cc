"""A repository's ``orch.toml``: what its jobs are, and what of it goes to a host.

Invariants
- What cannot be understood is refused, as in the configuration; but a mistake in another job's table is not that of the
  one that is asked for.
- ``[job.NAME]`` and ``[jobs.NAME]`` are the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from orch_agent.check import check_secret, check_shared
from orch_agent.model import Refusal

from . import paths, units
from .config import TYPES, check_keys, kind, read
from .errors import ConfigError, usage
from .model import JobDefaults

_JOB = {
    **dict.fromkeys(("command", "cwd", "host", "env_file"), str),
    **dict.fromkeys(("tty", "keep_children", "sync"), bool),
    **dict.fromkeys(units.TERMS, object),
    "env": dict,
    "secrets": object,
}
_TOP = {"job": dict, "jobs": dict, "sync": dict}
_SYNC = {"share": list, "max_file": object}


class Elsewhere(ConfigError):
    """A mistake in ``orch.toml``, which has no table for the job that was asked for."""


class Sync(NamedTuple):
    """What ``[sync]`` says: directories that all runs share, and the bytes that one file may have.

    ``source``: the file that says so. Directories count from where it lies.
    """

    share: tuple[str, ...] = ()
    max_file: int = 100 << 20
    source: str = ""

    def shared_in(self, top: str) -> tuple[str, ...]:
        """The directories, seen from the top of a repository; some may lie outside of it."""
        return tuple(os.path.relpath(os.path.join(os.path.dirname(self.source), one), top) for one in self.share)


class Project(NamedTuple):
    """The nearest ``orch.toml``."""

    source: str
    table: Mapping[str, Any]

    @property
    def jobs(self) -> dict[str, Any]:
        """The tables of its jobs, unchecked."""
        return {**self._table("jobs"), **self._table("job")}

    def _table(self, key: str) -> Mapping[str, Any]:
        found = self.table.get(key)
        return found if isinstance(found, dict) else {}


def load(start: str) -> Project | None:
    """The nearest one, from ``start`` upwards."""
    source = paths.project_file(start)
    table = read(source) if source else None
    return None if source is None or table is None else Project(source, table)


def job(name: str, start: str) -> JobDefaults | None:
    """What it says of job ``name``; no other job's table is checked."""
    project = load(start)
    if project is None:
        return None
    found = project.jobs.get(name)
    try:
        check_keys(project.table, _TOP, project.source, "")
        for both in project.table.get("jobs", {}).keys() & project.table.get("job", {}).keys():
            raise ConfigError(f"{project.source}: there are [job.{both}] and [jobs.{both}]", "write one of them")
    except ConfigError as error:
        raise error if found is not None else Elsewhere(error.message, error.hint) from None
    return None if found is None else defaults(project, name)


def sync(start: str) -> Sync:
    """What it says of what goes to a host."""
    project = load(start)
    if project is None:
        return Sync()
    check_keys(project.table, _TOP, project.source, "")
    fields, where = project.table.get("sync", {}), f"{project.source}: [sync]"
    check_keys(fields, _SYNC, project.source, "[sync]")
    try:
        share = tuple(check_shared(_text(one).rstrip("/")) for one in fields.get("share", ()))
        most = units.size(str(fields["max_file"])) if "max_file" in fields else Sync().max_file
    except Refusal as refusal:
        raise ConfigError(f"{where}: {refusal.message}", refusal.hint or 'write share = ["data/raw"]') from None
    return Sync(share, most, project.source)


def defaults(project: Project, name: str) -> JobDefaults:
    """What it says of one of its jobs."""
    fields, source = project.jobs[name], project.source
    where = f"[{'job' if name in project.table.get('job', {}) else 'jobs'}.{name}]"
    if not isinstance(fields, dict):
        raise ConfigError(f"{source}: {where} must be {TYPES[dict]}", f'write {where} and under it command = "..."')
    check_keys(fields, _JOB, source, where)
    env = fields.get("env", {})
    check_keys(env, dict.fromkeys(env, str), source, f"{where[:-1]}.env]")
    here = os.path.dirname(source)
    cwd = os.path.normpath(os.path.join(here, os.path.expanduser(fields.get("cwd", ""))))
    terms = {key: _term(key, value, f"{source}: {where}") for key, value in fields.items() if key in units.TERMS}
    kept = {key: fields[key] for key in ("tty", "keep_children") if key in fields}
    if "env_file" in fields:
        env = {**variables(os.path.join(here, os.path.expanduser(fields["env_file"]))), **env}
    if env:
        kept["env"] = env
    if "secrets" in fields:
        kept["secrets"] = _secrets(fields["secrets"], f"{source}: {where} secrets")
    return JobDefaults(fields.get("command"), cwd, {**kept, **terms}, fields.get("host"), fields.get("sync"))


def variables(path: str) -> dict[str, str]:
    """The lines ``NAME=VALUE`` of a file, as docker reads them: nothing is quoted, ``#`` begins a comment line."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", f"ls -l {path}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.lstrip().partition("=")
        if not equals or not name or any(map(str.isspace, name)):  # the text may be a secret: not repeated
            raise ConfigError(f"{path}: line {number} is no NAME=VALUE", "one variable a line, as in EPOCHS=10")
        found[name] = value
    return found


def _secrets(value: object, where: str) -> dict[str, str]:
    """Names, or a table of variables and what each is kept as."""
    try:
        if not isinstance(value, (dict, list)):
            raise usage(f"{kind(value)} is no list of names")
        pairs = value.items() if isinstance(value, dict) else zip(value, value, strict=True)
        return {check_secret(_text(name)): check_secret(_text(kept)) for name, kept in pairs}
    except Refusal as refusal:
        raise ConfigError(f"{where}: {refusal.message}", 'write secrets = ["NAME"]') from None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise usage(f"{kind(value)} is no text", 'write it in quotes: "..."')


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
        raise usage(f"{kind(value)} is neither a text nor a number", f'as on the command line: {key} = "..."')
    return units.TERMS[key](str(value))
