"""The command ``cs``: the same jobs, in codespaces that are chosen for you.

Invariants
- Commands that deal with jobs are orch's own; under ``cs`` they know of codespaces only, and ``-c`` is their host.
- Whoever looks wakes nothing: what is asked of GitHub is asked by REST.
- What is said names commands as they are typed here.
"""

from __future__ import annotations

import re

from .. import main, options, output
from ..args import Arguments, Command, Option

CODESPACE = Option("--codespace", "which: the name of a codespace, or of its repository", "CODESPACE", short="-c")
TABLE = {
    "run": main.Entry("cs.run", "Run a command as a job in a codespace, which is started or made for it"),
    "status": main.Entry("cs.status", "Show codespaces and their jobs, without waking any"),
    "logs": main.TABLE["logs"],
    "attach": main.TABLE["attach"],
    "send": main.TABLE["send"],
    "wait": main.TABLE["wait"],
    "cancel": main.TABLE["cancel"],
    "show": main.TABLE["show"],
    "rerun": main.TABLE["rerun"],
    "pull": main.TABLE["pull"],
    **{name: main.TABLE[name] for name in ("push", "sync", "diff", "jobs", "ports")},
    "doctor": main.Entry("cs.doctor", "Look at codespaces, say what is wrong with each and what mends it"),
    "ssh": main.Entry("cs.ssh", "Log in to a codespace, or run a command there at once"),
    "create": main.Entry("cs.create", "Make a codespace for a repository"),
    "start": main.Entry("cs.start", "Start a codespace that is stopped"),
    "stop": main.Entry("cs.stop", "Stop a codespace; its disk stays"),
    "delete": main.Entry("cs.delete", "Delete a codespace, with all that is on it"),
    "init": main.Entry("cs.init", "Write the repository's devcontainer.json, or add to it what jobs need"),
    "secret": main.Entry("cs.secret", "Set, list and delete secrets that jobs in codespaces see"),
    "cost": main.Entry("cs.cost", "Tell what codespaces have used this month, and what is still free"),
    "completion": main.TABLE["completion"],
    "help": main.Entry("help", "Explain a command; `cs help agents` is for programs"),
}
ALIASES = {
    **dict.fromkeys(("ls", "ps", "list", "queue", "hosts", "view"), "status"),
    **dict.fromkeys(("kill",), "cancel"),
    **dict.fromkeys(("log", "tail"), "logs"),
    **dict.fromkeys(("get", "download", "fetch", "cp", "scp", "rsync"), "pull"),
    **dict.fromkeys(("put", "upload"), "push"),
    **dict.fromkeys(("port-forward", "forward", "tunnel", "port"), "ports"),
    **dict.fromkeys(("login", "shell", "exec", "connect"), "ssh"),
    **dict.fromkeys(("up", "new"), "create"),
    **dict.fromkeys(("rm", "down"), "delete"),
    **dict.fromkeys(("check", "diagnose"), "doctor"),
    **dict.fromkeys(("secrets", "env"), "secret"),
    **dict.fromkeys(("usage", "bill", "billing"), "cost"),
    **dict.fromkeys(("-V", "version"), "--version"),
}
_RUN = re.compile(r"\borch run (?!has no use for )(?=\w|NAME\b)")
_COMMAND = re.compile(rf"\borch(?= (?:{'|'.join(TABLE)}|HOST|COMMAND)\b| \[)|\borch(?=: )")
_HOST = re.compile(r"--host(?= )")


def speak() -> None:
    """From now on say commands as ``cs`` takes them, and know of codespaces only."""
    from orch.ops import hosts

    output.spoken = _spoken
    hosts.only = "codespaces"


def _spoken(text: str) -> str:
    text = _RUN.sub("cs run --name ", text.replace("orch down ", "cs delete ").replace("orch.fish", "cs.fish"))
    return _HOST.sub("-c", _COMMAND.sub("cs", text))


def _own(command: Command) -> Command:
    """With ``-c`` in the place of ``--host``."""
    theirs = tuple(CODESPACE if option is options.HOST else option for option in command.options)
    return command._replace(options=theirs, words=command.words.replace("HOST:DIR", "CODESPACE:DIR"))


def _meant(name: str, args: Arguments) -> Arguments:
    """What GitHub has is known, if it was asked lately; for a command of orch's, ``-c`` has become the host's name."""
    if "codespace" not in args and name != "push":
        return args
    from orch.ops import codespaces
    from orch.providers.codespaces.terms import terms

    terms()
    if TABLE[name].module.startswith("cs."):
        return args
    if name == "push":
        *paths, there = args.words
        wanted, colon, to = there.partition(":")
        found = codespaces.host(codespaces.called(wanted)).name if wanted and colon else wanted
        return args.with_words([*paths, found + colon + to])
    codespaces.refresh()
    wanted = args["codespace"]
    return args.having(host=codespaces.host(codespaces.called(wanted)).name if wanted else None)


CS = main.Face(
    "cs",
    TABLE,
    ALIASES,
    "cs runs heavy jobs in GitHub Codespaces, and keeps a codespace awake exactly as long as its jobs.",
    """\
Begin with:  cs run "cd /workspaces/my-repo && python train.py"
Then:        cs status; cs logs -f NAME
More:        cs help COMMAND
""",
    _own,
    _meant,
    "cs.",
)
