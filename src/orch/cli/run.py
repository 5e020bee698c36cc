"""``orch run``: hand over a command and return, or stay and watch."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orch import paths, project
from orch.errors import INTERRUPTED, OrchError, usage
from orch.model import JobDefaults, new_id
from orch.ops import hosts
from orch.ops.submit import Submitted, submit, unsure
from orch.remote import Remote
from orch_agent.model import CANCELLED, PENDING, STARTS, JobSpec, check_name

from . import options
from .args import Arguments, Command
from .output import clean, document, is_terminal, note, note_of_link, say
from .revision import told
from .waking import awake

if TYPE_CHECKING:
    from orch.ops.sync import Delivery

COMMAND = Command(
    name="run",
    words='NAME ["COMMAND" | - | -- ARG...]',
    options=options.SUBMIT,
    later=options.LATER,
    least=1,
    most=2,
    takes_rest=True,
    text="""\
COMMAND is one shell string, run by `bash -lc`; what stands behind `--` is an argument vector, quoted for you.
`-` reads COMMAND from standard input, however long it is. Without any of them orch.toml (here or above) says what NAME
runs. The n-th run of NAME is NAME.n. A job's input is its own terminal, never yours: orch send, orch attach.

  orch run train "python train.py --epochs 10"
  orch run train --env EPOCHS=10 -- python train.py
  orch run train - < train.sh
  orch run train --follow            # as orch.toml has it""",
)


def main(args: Arguments) -> int:
    """Submit what the command line says."""
    check_options(args)
    name = check_name(args.words[0])
    defaults = defaults_of(name, args, has_command=len(args.words) > 1 or args.rest is not None)
    remote = hosts.load().one(args["host"] or (defaults and defaults.host))
    command = command_of(name, args.words[1:], args.rest, defaults)
    delivery = delivery_of(args, remote, defaults)
    spec = with_options(spec_of(name, command, defaults, remote), args, remote, delivery)
    return submit_and_stay(remote, spec, args, delivery)


def check_options(args: Arguments) -> None:
    """Refuse options that contradict one another."""
    if args["follow"] and args["json"]:
        raise usage("--follow prints the log and --json a document: standard output takes one of them", "use --wait")
    if args["pull"] and not (args["wait"] or args["follow"]):
        raise usage("--pull brings results at the job's end, for which nobody waits", "add --wait or --follow")


def delivery_of(args: Arguments, remote: Remote, defaults: JobDefaults | None = None) -> Delivery | None:
    """The snapshot that the job is to run in, taken now; None where it runs without one."""
    if not (args["sync"] or args["no_sync"] or (defaults and defaults.sync)):
        return None
    from . import code  # only who needs git pays for it

    if not code.is_wanted(args, defaults):
        return None
    return code.taken(defaults.cwd if defaults else here(), remote.begin("submit"))


def here() -> str:
    """The current directory."""
    try:
        return os.getcwd()
    except OSError:
        raise usage("the current directory does not exist any more", "cd somewhere else first") from None


def defaults_of(name: str, args: Arguments, has_command: bool) -> JobDefaults | None:
    """What orch.toml says of the job."""
    defaults = _defaults(name, has_command)
    _check_empty(args, defaults)
    return defaults


def _defaults(name: str, has_command: bool) -> JobDefaults | None:
    try:
        return project.job(name, here())
    except project.Elsewhere as error:
        if not has_command:
            raise
        note(clean(f"orch: {error.message}; {name} is not in that file, and runs"))
        return None


def command_of(name: str, given: Sequence[str], rest: Sequence[str] | None, defaults: JobDefaults | None) -> str:
    """What is to run, as one line for a shell."""
    if given and rest is not None:
        raise usage("there is a COMMAND and an argument vector behind --: which one?", "orch help run")
    if rest is not None:
        if not rest:
            raise usage("there is nothing behind --", f"orch run {name} -- PROGRAM ARG...")
        return shlex.join(rest)
    if given:
        return _typed() if given[0] == "-" else given[0]
    if defaults is None or defaults.command is None:
        hint = (
            f'orch run {name} "COMMAND", or add [job.{name}] with a command to orch.toml; orch jobs lists what is there'
        )
        raise usage(f"no COMMAND, and no orch.toml here or above says what {name} runs", hint)
    return defaults.command


def _typed() -> str:
    """COMMAND from standard input, whose length no system limits as it does an argument's."""
    if is_terminal(sys.stdin):
        note("type the COMMAND; Ctrl-D at the beginning of a line ends it")
    try:
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape").rstrip("\n")
    except (OSError, AttributeError):
        raise usage("COMMAND was to come from standard input, which cannot be read", "orch help run") from None


def spec_of(name: str, command: str, defaults: JobDefaults | None, remote: Remote) -> JobSpec:
    """The job, before the command line changes it."""
    if defaults is None:
        return JobSpec(name, command, here() if remote.transport.here else None)
    cwd = defaults.cwd if remote.transport.here else paths.elsewhere(defaults.cwd)
    return JobSpec(name, command, cwd, **defaults.terms)


def with_options(spec: JobSpec, args: Arguments, remote: Remote, delivery: Delivery | None = None) -> JobSpec:
    """``spec`` with what the command line changes in it, and in the snapshot that it comes with."""
    if args["no_sync"] and spec.code is not None:
        spec = spec._replace(code=None, cwd=None)
    spec = _in_directory(spec, args["cwd"], remote, delivery)
    spec = spec._replace(
        env={**spec.env, **dict(args["env"])},
        secrets={**spec.secrets, **dict(args["secret"])},
        tty=spec.tty and not args["no_tty"],
        keep_children=spec.keep_children or args["keep_children"],
        **_terms(args),
    )
    if args["follow"] and spec.array is not None:
        raise usage("--follow shows one log, and each task of an array has its own", "--wait waits for all of them")
    if args["pull"] and spec.array is not None:
        hint = f"--wait, then for each task: orch pull {spec.name}.N PATH --to DIR"
        raise usage("--pull brings the files of one job: those of an array's tasks would come to the same place", hint)
    return spec


def _in_directory(spec: JobSpec, cwd: str | None, remote: Remote, delivery: Delivery | None) -> JobSpec:
    """Where the command line has it begin."""
    if delivery is not None:
        from .code import laid_out

        return laid_out(spec, delivery.snapshot, cwd)
    if cwd is None:
        return spec
    if spec.code is not None and not os.path.isabs(cwd):
        return spec._replace(cwd=cwd)
    if remote.transport.here:
        return spec._replace(cwd=os.path.normpath(os.path.join(here(), os.path.expanduser(cwd))))
    return spec._replace(cwd=paths.elsewhere(cwd))  # the shell here may have written our home in the place of ~


def _terms(args: Arguments) -> dict[str, Any]:
    """The terms that the command line sets, an empty one to what it is by default."""
    given = dict(args[option.key] for option in options.TERMS if args[option.key] and not option.many)
    if args["after"]:
        given["after"] = tuple(ref for _, ref in args["after"] if ref) or None
    return {key: JobSpec._field_defaults[key] if value is None else value for key, value in given.items()}


def _check_empty(args: Arguments, defaults: JobDefaults | None) -> None:
    """Refuse an empty value that takes nothing away: somebody's variable is empty, and meant something."""
    known = defaults.terms if defaults is not None else {}
    for option in options.TERMS:
        given = args[option.key] if option.many else [args[option.key] or (option.key, "")]
        if any(value is None for _, value in given) and option.key not in known:
            raise usage(f"{option.name} has an empty value", f"a value, or no {option.name}: orch help run")


def submit_and_stay(remote: Remote, spec: JobSpec, args: Arguments, delivery: Delivery | None = None) -> int:
    """Submit; then return, wait or follow, as asked."""
    job_id = args["id"] or new_id()
    try:
        submitted = awake(
            {remote.host.name: remote.host},
            lambda: submit(remote, spec, job_id, args["replace"], note_of_link, delivery),
        )
    except OrchError as error:
        if spec.code is None and error.message.startswith("there is no directory") and not remote.transport.here:
            error.hint = f"orch run {spec.name} --sync ...    # in a copy of the working tree here\n{error.hint}"
        raise
    except KeyboardInterrupt:
        note(f"\nwhether {spec.name} was submitted is not known\n  {unsure(job_id)}")
        return INTERRUPTED
    if not (args["json"] and args["wait"]):
        _announce(submitted, args)
    if args["follow"]:
        from .following import follow

        return follow(remote, submitted.job, args["pull"])
    if args["wait"]:
        from .following import wait

        return wait(remote, submitted, args["json"], args["pull"])
    return 0


def _announce(submitted: Submitted, args: Arguments) -> None:
    if args["json"]:
        told = {"job": submitted.job, "created": submitted.created, "tasks": submitted.tasks}
        document({**told, "remarks": submitted.remarks} if submitted.remarks else told)
    else:
        (note if args["follow"] else say)(_line(submitted))
        for text in submitted.remarks:
            note_of_link(f"{submitted.job['host']}: {text}")


def _line(submitted: Submitted) -> str:
    job, tasks = submitted.job, submitted.tasks
    done = "submitted to" if submitted.created else "had been submitted before to"
    size = "" if tasks is None else f" ({tasks} task{'s' * (tasks != 1)})"
    if job["state"] == CANCELLED:
        return f"{submitted.ref} {done} {job['host']}{size} and CANCELLED: {clean(job['reason'] or '')}"
    code = told(job["code"])
    size += f" with {clean(code)}" if code else ""
    waits = "" if job["state"] != PENDING or job["reason"] in (None, STARTS) else f", {clean(job['reason'])}"
    then = f"follow it: orch logs -f {job['name']}" if tasks is None else f"look at them: orch status {job['name']}"
    return f"{submitted.ref} {done} {job['host']}{size}{waits}; {then}"
