"""The two commands, ``orch`` and ``cs``: from a command line to an exit status.

Invariants
- A command's module is imported when that command is called, and no other.
- Errors become text (or JSON) and an exit status here and nowhere else.
- A report of a failure of orch itself holds no argument, no environment and no text of an error: all may be secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn, Protocol, cast

from orch import __version__
from orch.errors import (
    INTERRUPTED,
    OrchError,
    exit_status,
    explained,
    is_want_of_room,
    nearest,
    notices,
    usage,
)
from orch_agent.model import Refusal

from .args import Arguments, Command, help_text, parse
from .output import note, say


class Entry(NamedTuple):
    """A command in the table: where it lives, and what it does in one line."""

    module: str
    summary: str


class Face(NamedTuple):
    """A program with its commands. ``aliases``: what other tools call them; not understood, but answered."""

    name: str
    table: Mapping[str, Entry]
    aliases: Mapping[str, str]
    purpose: str
    examples: str
    own: Callable[[Command], Command] = lambda command: command
    """A command that it shares with another face, as it takes it."""

    meant: Callable[[str, Arguments], Arguments] = lambda _, args: args
    """What was typed behind a command's name, as its module reads it."""

    place: str = ""
    """The package below ``cli`` that has its own commands, and its contract."""

    @property
    def contract(self) -> str:
        """What a program has to know of it."""
        from importlib import import_module

        text: str = import_module(f"orch.cli.{self.place}contract").TEXT
        return text

    @property
    def overview(self) -> str:
        """The help of the program itself."""
        width = max(map(len, self.table))
        rows = "\n".join(f"  {name:<{width}}  {entry.summary}" for name, entry in self.table.items())
        return f"{self.purpose}\n\nUsage: {self.name} COMMAND [options] ...\n\nCommands:\n{rows}\n\n{self.examples}"

    def load(self, name: str) -> Module:
        """The module of a command."""
        from importlib import import_module

        entry = self.table.get(name) or HIDDEN[name]
        return cast(Module, import_module(f"orch.cli.{entry.module}"))


class Module(Protocol):
    """What a command's module has."""

    COMMAND: Command

    def main(self, args: Arguments) -> int:
        """Do it; gives the exit status."""


TABLE = {
    "run": Entry("run", "Run a command as a job, detached"),
    "status": Entry("status", "Show jobs: pending, running, or ended in the last 24 hours"),
    "logs": Entry("logs", "Print what a job wrote"),
    "attach": Entry("attach", "Open a job's own terminal; detaching leaves it running"),
    "send": Entry("send", "Type a line into a job's terminal"),
    "wait": Entry("wait", "Wait until jobs have ended, and end with their exit status"),
    "cancel": Entry("cancel", "End jobs with their whole process trees"),
    "show": Entry("show", "Tell everything known of one run; for a failure, why"),
    "rerun": Entry("rerun", "Run a job again, with options changed"),
    "pull": Entry("pull", "Bring what a job left on its host here"),
    "push": Entry("push", "Put files and directories from here on a host"),
    "sync": Entry("sync", "Bring the working tree here to a host, for jobs to run in"),
    "diff": Entry("diff", "Show what differs between the code of two runs, or of a run and now"),
    "jobs": Entry("jobs", "List the jobs that the repository here defines"),
    "ports": Entry("ports", "Reach a port that a job listens on from here"),
    "secret": Entry("secret", "Keep, list and forget values that jobs get and nobody sees"),
    "hosts": Entry("hosts", "Show hosts: what each is, whether it answers, how long it has been idle"),
    "up": Entry("up", "Make a host in the cloud, or bring it to what the configuration says"),
    "repo": Entry("repo", "Clone repositories on a host, each with a deploy key of its own"),
    "start": Entry("start", "Start a host that is stopped"),
    "stop": Entry("stop", "Stop a host; its disk stays"),
    "down": Entry("down", "Delete a host whole, with all that was made for it"),
    "ssh": Entry("ssh", "Log in to a host, or run a command there at once"),
    "doctor": Entry("doctor", "Look at hosts, say what is wrong with each and what mends it"),
    "sweep": Entry("sweep", "Find all that orch ever made in an AWS account, and what it costs"),
    "init": Entry("init", "Write the configuration file with you"),
    "completion": Entry("completion", "Print the completion script for a shell"),
    "help": Entry("help", "Explain a command; `orch help agents` is for programs"),
}
ALIASES = {
    **dict.fromkeys(("ls", "ps", "list", "queue"), "status"),
    **dict.fromkeys(("kill", "rm"), "cancel"),
    **dict.fromkeys(("log", "tail"), "logs"),
    **dict.fromkeys(("get", "download", "fetch", "cp", "scp", "rsync"), "pull"),
    **dict.fromkeys(("put", "upload"), "push"),
    **dict.fromkeys(("port-forward", "forward", "tunnel", "port"), "ports"),
    **dict.fromkeys(("login", "shell", "exec", "connect"), "ssh"),
    **dict.fromkeys(("machines", "nodes", "host"), "hosts"),
    **dict.fromkeys(("config", "configure", "setup"), "init"),
    **dict.fromkeys(("check", "diagnose"), "doctor"),
    **dict.fromkeys(("secrets", "password", "passwords"), "secret"),
    **dict.fromkeys(("clone", "git", "repos"), "repo"),
    **dict.fromkeys(("-V", "version"), "--version"),
}
HIDDEN = {"__complete": Entry("complete", "Candidates for a half-typed command line")}
ORCH = Face(
    "orch",
    TABLE,
    ALIASES,
    "orch moves heavy jobs off your laptop: to any machine that ssh reaches, or to this one, detached.",
    """\
Begin with:  orch run hello "echo hello; sleep 60"
Then:        orch status; orch logs -f hello
Elsewhere:   orch init --ssh me@box.example; orch run hello ...
More:        orch help COMMAND
""",
)
face = ORCH
"""The one that was called."""


def dispatch(argv: Sequence[str]) -> int:
    """Do what a command line says."""
    if not argv or argv[0] in ("-h", "--help"):
        say(face.overview.rstrip("\n"))
        return 0
    name, rest = argv[0], argv[1:]
    if name == "--version":
        say(f"orch {__version__}" if face is ORCH else f"{face.name} (orch {__version__})")
        return 0
    if name not in face.table and name not in HIDDEN:
        guess = face.aliases.get(name) or nearest(name, face.table)
        raise usage(f"there is no command {name!r}", f"did you mean orch {guess}?" if guess else "orch help")
    module = face.load(name)
    if name in HIDDEN:
        return module.main(Arguments({}, list(rest)))
    command = face.own(module.COMMAND)
    if _asks_for_help(rest):
        say(help_text(command, face.table[name].summary).rstrip("\n"))
        return 0
    try:
        return module.main(face.meant(name, parse(command, rest)))
    except Refusal as refusal:
        if refusal.kind in ("usage", "refused") and not refusal.hint:
            refusal.hint = f"orch help {name}"
        raise


def _asks_for_help(argv: Sequence[str]) -> bool:
    return not {"--help", "-h"}.isdisjoint(_options(argv))


def _options(argv: Sequence[str]) -> Sequence[str]:
    """What stands before ``--``: behind it, words are somebody else's."""
    return argv[: argv.index("--")] if "--" in argv else argv


def guarded(work: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """The exit status of ``work``, whatever happens in it."""
    try:
        status = work(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _stop_writing()
        return 128 + 13  # as if SIGPIPE had ended us, which is what a shell expects
    except Exception as error:
        if is_want_of_room(error):
            _stop_writing()
        failure = explained(error)
        _tell(failure, argv)
        return exit_status(failure)


def _stop_writing() -> None:
    """Drop what is left to print: Python would try, and complain, once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _tell(error: OrchError, argv: Sequence[str]) -> None:
    hint = error.hint
    if error.kind == "bug":
        from .report import write

        hint = f"please report it with this file: {write(error)}"
    if "--json" in _options(argv):
        import json

        note(json.dumps({"error": {"kind": error.kind, "message": error.message, "hint": hint}}))
    else:
        note(f"orch: {_safe(error.message)}" + (f"\n  {_safe(hint)}" if hint else ""))


def _safe(text: str) -> str:
    from .output import clean

    return "\n  ".join(clean(line) for line in text.splitlines())


def _main(work: Callable[[Sequence[str]], int]) -> NoReturn:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # any text on any terminal, and no crash
    status = guarded(work, sys.argv[1:])
    for text in dict.fromkeys(notices):
        note(_safe(f"orch: {text}"))
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Exit; without Python's own tidying up, which takes 10 ms, where everything is out."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except OSError:
        sys.exit(status)
    os._exit(status)


def orch() -> NoReturn:
    """The command ``orch``."""
    _main(dispatch)


def cs() -> NoReturn:
    """The command ``cs``."""
    global face
    from .cs import CS, speak

    face = CS
    speak()
    _main(dispatch)
