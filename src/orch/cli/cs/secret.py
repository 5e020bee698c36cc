"""``cs secret``: what jobs in codespaces are to know and nobody else, kept by GitHub."""

from __future__ import annotations

import os
from typing import Any

from orch.errors import OrchError, usage
from orch.providers.codespaces import gh, origin, secrets
from orch.providers.codespaces.secrets import Secret
from orch_agent.model import rfc3339

from .. import options
from ..args import Arguments, Command, Option
from ..asking import secret_value
from ..output import clean, document, local_time, note, say, table
from ..verbs import verb

COMMAND = Command(
    name="secret",
    words="set|list|rm [NAME]",
    options=(
        Option("--user", "a secret of yours, for the repositories of --repos; what is meant unless -R is given"),
        Option("--repos", "who sees it: OWNER/REPO,...; as before, or the repository here, unless said", "REPOS"),
        Option("--repo", "a secret of this repository, for all who use it", "OWNER/REPO", origin.checked, short="-R"),
        options.JSON,
    ),
    text="""\
The value comes from a prompt, or from standard input; never from the command line, which others can see. GitHub keeps
it, encrypted, and never shows it again. A codespace that runs knows it after its next start; jobs read it when they
start, as a variable of this name, and their logs show *** in its place.

  cs secret set API_TOKEN
  cs secret set DEPLOY_KEY -R octo/web < key.pem
  cs secret list
  cs secret rm API_TOKEN""",
)


def main(args: Arguments) -> int:
    """Set, show or delete."""
    if args["user"] and args["repo"]:
        raise usage("--user and --repo name two places: which one?", "cs help secret")
    done, name = verb("cs secret", args.words, ("set", "list", "rm"))
    if done == "list":
        return _list(args)
    return (_set if done == "set" else _remove)(args, secrets.check_name(name))


def _set(args: Arguments, name: str) -> int:
    gh.check_version()
    if args["repo"]:
        secrets.put_in(args["repo"], name, _value(name))
        say(f"{name} is set for {args['repo']}, for all who use codespaces of it")
    else:
        seers = _seers(args["repos"], name)
        secrets.put(name, _value(name), seers)
        say(f"{name} is set; jobs in codespaces of {', '.join(seers)} see it")
    note("a codespace that runs knows it after its next start: cs stop; jobs read it when they start")
    return 0


def _seers(typed: str | None, name: str) -> list[str]:
    """The repositories that are to see it: those of before where nothing is said, else the one here."""
    if typed is not None:
        return [origin.checked(one.strip()) for one in typed.split(",")]
    return secrets.seers(name) or [origin.needed(os.getcwd(), f"cs secret set {name} --repos OWNER/REPO,...")]


def _value(name: str) -> bytes:
    return secrets.check_value(secret_value(name, secrets.MOST))


def _remove(args: Arguments, name: str) -> int:
    try:
        secrets.remove(name, args["repo"] or "")
    except OrchError as error:
        here = None if args["repo"] or error.kind != "not_found" else origin.of(os.getcwd())
        if here and any(one.name == name for one in _of(here, False)):
            error.hint = f"cs secret rm {name} -R {here}    # that repository has one"
        raise
    say(f"{name} is deleted; a codespace that runs has it until its next start")
    return 0


def _list(args: Arguments) -> int:
    here = args["repo"] or origin.of(os.getcwd())
    found = [] if args["repo"] else secrets.own()
    found += _of(here, bool(args["repo"])) if here and not args["user"] else []
    if args["json"]:
        document({"secrets": [_as_json(one) for one in found]})
        return 0
    if not found:
        say("there are no secrets" + (f" of {clean(here)}" if here else ""))
        return 0
    for line in table([("NAME", "OF", "SEEN IN", "UPDATED"), *map(_row, found)], [[]] * (len(found) + 1)):
        say(line)
    return 0


def _of(repository: str, was_asked_for: bool) -> list[Secret]:
    """The repository's; only who may write it is told of them."""
    try:
        return secrets.of(repository)
    except gh.Failure as failure:
        if was_asked_for or failure.code not in (403, 404):
            raise
        note(clean(f"orch: what secrets {repository} has, GitHub tells only those who may write it"))
        return []


def _row(secret: Secret) -> list[str]:
    seen = ", ".join(secret.repositories) or "nowhere"
    return [secret.name, secret.of or "you", seen, local_time(rfc3339(secret.updated_at))]


def _as_json(secret: Secret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "kind": "repository" if secret.of else "user",
        "repositories": list(secret.repositories),
        "updated_at": rfc3339(secret.updated_at),
    }
