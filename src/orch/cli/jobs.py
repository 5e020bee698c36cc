"""``orch jobs``: what the repository's orch.toml runs by name."""

from __future__ import annotations

from typing import Any

from orch import project
from orch.errors import REFUSED, OrchError
from orch.model import JobDefaults
from orch_agent.model import JobSpec

from . import options
from .args import Arguments, Command
from .output import BOLD, document, length, say, size, table
from .run import here

COMMAND = Command(
    name="jobs",
    words="",
    options=(options.JSON,),
    most=0,
    text="""\
They are the tables [job.NAME] of the nearest orch.toml, in this directory or above it. `orch run NAME` runs one.""",
)
_HEADS = ("NAME", "COMMAND", "TERMS")


def main(args: Arguments) -> int:
    """List them."""
    found = project.load(here())
    if found is None:
        raise OrchError("not_found", "there is no orch.toml here or above", "see [job.NAME] in the guide")
    jobs, wrong = {}, {}
    for name in found.jobs:
        try:
            jobs[name] = project.defaults(found, name)
        except OrchError as error:
            wrong[name] = error.message
    if args["json"]:
        listed = [_document(name, job) for name, job in jobs.items()]
        document({"source": found.source, "jobs": listed, "mistakes": wrong})
    elif found.jobs:
        rows = [[name, _first_line(job.command or "-"), _terms(job)] for name, job in jobs.items()]
        rows += [[name, "-", f"not usable: {message}"] for name, message in wrong.items()]
        for line in table([_HEADS, *rows], [[BOLD] * len(_HEADS), *([] for _ in rows)]):
            say(line)
    else:
        say(f"{found.source} defines no jobs")
    return REFUSED * bool(wrong)


def _document(name: str, job: JobDefaults) -> dict[str, Any]:
    terms = {key: job.terms.get(key, default) for key, default in JobSpec._field_defaults.items() if key != "code"}
    said = {"name": name, "command": job.command, "cwd": job.cwd, "host": job.host, "sync": job.sync is True}
    return {**terms, **said, "env": sorted(terms["env"])}


def _first_line(command: str) -> str:
    first, *more = command.strip().splitlines() or [""]
    return first + (" ..." if more else "")


def _terms(job: JobDefaults) -> str:
    """As they would be typed, most of all."""
    words = [f"--host {job.host}"] if job.host else []
    words += ["--sync"] if job.sync else []
    for key, value in job.terms.items():
        name = "--" + key.replace("_", "-")
        if key in ("mem", "mem_max", "log_max"):
            words.append(f"{name} {size(value)}")
        elif key in ("timeout", "stall", "retry_delay"):
            words.append(f"{name} {length(value)}")
        elif key in ("env", "secrets", "after"):
            words += [f"--{key.removesuffix('s')} {one}" for one in value]
        elif isinstance(value, bool):
            words += {"tty": [] if value else ["--no-tty"], "keep_children": [name] if value else []}[key]
        else:
            words.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    return " ".join(words)
