"""What no host could run, refused in words before anybody tries; on both sides of the link."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .model import CODE_ENV, JOB_ENV, JobRef, JobSpec, Refusal, check_name, is_variable

_VARIABLE_LIMIT = 131_000
"""Bytes of one environment variable (Linux: MAX_ARG_STRLEN is 131,072, name and NUL included)."""
LEAST = 6
"""Bytes that a secret must have to be told from other text: what is shorter stands in any."""
_LEAST = {"mem": 1 << 20, "mem_max": 1 << 20, "timeout": 0.001, "stall": 0.001, "log_max": 1 << 16, "cpus": 0.0}
_LEAST.update(retries=0, retry_delay=0.0, nice=-10_000)
_MOST = {"retries": 1000, "nice": 10_000, "cpus": 100_000.0}
_SIZES, _DURATIONS = ("mem", "mem_max", "log_max"), ("timeout", "stall", "retry_delay")
_MOST.update(dict.fromkeys(_DURATIONS, 3650 * 86400.0))
_LARGEST = 1 << 60


def check_spec(spec: JobSpec) -> JobSpec:
    """Refuse a specification that no host could run."""
    check_name(spec.name)
    if not spec.command.strip():
        raise Refusal("usage", "the command is empty", 'orch run %s "COMMAND"' % spec.name)
    _check_text("command", spec.command)
    _check_text("working directory", spec.cwd or "")
    for key, value in spec.env.items():
        _check_variable(key, value)
    for key, least in _LEAST.items():
        value = getattr(spec, key)
        most = _MOST.get(key, _LARGEST)
        if value is not None and not least <= value <= most:
            words, bound = ("small: at least", least) if value < least else ("large: at most", most)
            said = "--%s %s is too %s %s" % (key.replace("_", "-"), _typed(key, value), words, _typed(key, bound))
            raise Refusal("usage", said, "orch help run")
    if spec.mem is not None and spec.mem_max is not None and spec.mem > spec.mem_max:
        sizes = _typed("mem", spec.mem), _typed("mem", spec.mem_max)
        said = "--mem %s would reserve more than --mem-max %s, at which the job is ended" % sizes
        raise Refusal("usage", said, "--mem-max %s, or --mem-max '' for none" % sizes[0])
    for ref in spec.after:
        JobRef.parse(ref)
    for variable, secret in spec.secrets.items():
        _check_secret(variable, secret, spec)
    if spec.code is not None:
        check_code(spec.code)
    return spec


def _typed(key: str, value: float) -> str:
    """A term's value as a person types it."""
    if key in _SIZES:
        unit = next((unit for unit in _UNITS if value >= _UNITS[unit]), "")
        return "%g%s" % (round(value / _UNITS.get(unit, 1), 1), unit)
    if key in _DURATIONS:
        return "%gs" % value if value < 86400 else "%gd" % (value / 86400)
    return "%g" % value


_UNITS = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10}


def _check_text(what: str, text: str) -> bytes:
    if "\0" in text:
        raise Refusal("usage", "the %s holds a NUL byte, which no program can be given" % what)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Refusal("usage", "the %s holds half a surrogate pair, which is no text" % what) from None


def _check_variable(key: str, value: str) -> None:
    if not key or "=" in key or "\0" in key:
        raise Refusal("usage", "%s is not the name of an environment variable" % ascii(key))
    if key in JOB_ENV or key in CODE_ENV:
        raise Refusal("usage", "%s is set by orch itself: choose another name" % key)
    if len(_check_text("variable %s" % ascii(key), key + "=" + value)) > _VARIABLE_LIMIT:
        said = "the value of %s is longer than the %d bytes a system takes" % (key, _VARIABLE_LIMIT)
        raise Refusal("usage", said, "write it to a file")


def check_secret(name: str) -> str:
    """Return the name of a secret, or refuse it with the rule in the message; it may be a value: it is not repeated."""
    if not is_variable(name):
        raise Refusal("usage", "this is no name of a secret: letters, digits and '_', no digit first")
    return name


def _check_secret(variable: str, secret: str, spec: JobSpec) -> None:
    check_secret(secret)
    _check_variable(check_secret(variable), "")
    if variable in spec.env:
        raise Refusal("usage", "%s is set twice, by --env and by --secret" % variable)


def check_values(spec: JobSpec, values: Mapping[str, str]) -> None:
    """Refuse a specification that shows one of its secrets, as it is or encoded, or one that no program can be given.

    ``values``: by the names that they are kept as; one that is not there is not looked for. None is repeated.
    """
    for variable, kept in spec.secrets.items():
        if kept in values:
            _check_variable(variable, values[kept])
            _check_unsaid(spec, variable, values[kept].strip("\r\n"))


def _check_unsaid(spec: JobSpec, variable: str, value: str) -> None:
    if len(os.fsencode(value)) < LEAST:
        return
    from . import disguise  # most jobs have no secrets

    forms = [value, *(os.fsdecode(one) for one in disguise.of(os.fsencode(value)) if len(one) >= LEAST)]

    def is_in(text: str) -> bool:
        return any(form in text for form in forms)

    hint = "write $%s in single quotes: the job has it as a variable" % variable
    if is_in(spec.command):
        raise Refusal("usage", "the command holds the value of the secret %s" % variable, hint)
    for key, text in spec.env.items():
        if is_in(text) or is_in(key):
            said = "--env sets a variable to the value of the secret %s" % variable
            raise Refusal("usage", said, "--secret NAME, or --secret VARIABLE=NAME, in place of that --env")
    for what, text in (("job's name", spec.name), ("working directory", spec.cwd or ""), ("--after", repr(spec.after))):
        if is_in(text):
            raise Refusal("usage", "the %s holds the value of the secret %s" % (what, variable), "choose another")


_STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_code(code: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what says which snapshot a job runs, or refuse it.

    ``store``: which of the host's stores has it. ``commit``: 40 hex digits. ``share``: directories below its top that
    all runs of this repository have in common. For people, each perhaps null: ``branch`` and ``head`` (where the
    working tree was), ``changed`` (how many files of it were not as in ``head``).
    """
    check_place(code)
    share = code.get("share", [])
    if not isinstance(share, (list, tuple)) or not all(isinstance(one, str) for one in share):
        raise Refusal("usage", "what runs share is no list of directories")
    for path in share:
        check_shared(path)
    return code


def check_place(code: Mapping[str, Any]) -> None:
    """Refuse a ``store`` or ``commit`` that is none: they become words of command lines and names of directories."""
    for key, rule in (("store", _STORE), ("commit", _COMMIT)):
        if not isinstance(code.get(key), str) or not rule.fullmatch(code[key]):
            raise Refusal("usage", "the snapshot's %s is none" % key)


def check_shared(path: str) -> str:
    """Return a directory that runs share, or refuse it: one below the top, and nothing of git's."""
    parts = path.split("/")
    if path != os.path.normpath(path) or parts[0] in ("", ".", "..") or ".git" in map(str.lower, parts):
        said = "runs cannot share %s: write a directory below the top of the repository, as in data/raw" % ascii(path)
        raise Refusal("usage", said)
    _check_text("shared directory", path)
    return path
