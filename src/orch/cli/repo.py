"""``orch repo``: clones on hosts, each with a deploy key of its own."""

from __future__ import annotations

import sys

from orch.errors import REFUSED, OrchError, usage
from orch.ops import clones, hosts, repos
from orch.ops.clones import Clone
from orch.ops.repos import Added, Wanted
from orch.remote import Remote

from . import options
from .args import Arguments, Command, Option
from .output import clean, document, is_terminal, note, say, table
from .progress import Progress

COMMAND = Command(
    name="repo",
    words="add|list|rm [URL]",
    options=(
        options.HOST,
        Option("--name", "add: the clone is ~/work/DIR; the repository's own name unless said", "DIR"),
        Option("--write", "add: the key may push too"),
        Option("--delete-clone", "rm: the clone goes too, with what git ignores in it"),
        Option("--force", "rm: also what only this clone has"),
        options.JSON,
    ),
    most=2,
    text="""\
Clones a repository to ~/work on a host, with a key that is made there, is good for this repository alone and never
leaves the host: `git pull` works in jobs and in shells there. The key is registered through gh; without it orch says
where to paste it. Add again mends what is missing; without URL it adds the `repos` of the host's configuration.

  orch repo add git@github.com:me/lros.git -H box
  orch run pull -H box --cwd ~/work/lros "git pull && make"
  orch repo list -H box
  orch repo rm lros -H box            # the key; the clone stays""",
)

_ADDS, _LISTS, _REMOVES = ("add", "clone"), ("list", "ls"), ("rm", "remove", "delete")


def main(args: Arguments) -> int:
    """Add, list or remove."""
    verb, urls = args.words[0] if args.words else "list", args.words[1:]
    if verb not in (*_ADDS, *_LISTS, *_REMOVES):
        raise usage("orch repo takes add, list or rm first", "orch repo list")
    adds = verb in _ADDS
    wanted = repos.wanted(urls[0], args["name"], args["write"] or None) if adds and urls else None
    remote = hosts.load().one(args["host"])
    repos.check(remote.host)
    if adds:
        return _add(args, remote, wanted) if wanted else _add_configured(args, remote)
    return (_list if verb in _LISTS else _remove)(args, remote, urls)


def _add(args: Arguments, remote: Remote, wanted: Wanted) -> int:
    can_ask = not args["json"] and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    added = repos.add(remote, wanted, (lambda *_: None) if args["json"] else _tell, _ask if can_ask else repos.nobody)
    if args["json"]:
        document({"repo": added.clone.as_json(), "created": added.created, "notes": added.notes})
        return 0
    _show(added, remote.host.name)
    return 0


def _add_configured(args: Arguments, remote: Remote) -> int:
    wanted = repos.configured(remote.host)
    if not wanted:
        raise usage("URL is missing: a repository to clone", "orch repo add git@github.com:OWNER/REPOSITORY.git")
    if args["json"]:
        raise usage("--json takes one repository at a time", f"{wanted[0].again(remote.host.name)} --json")
    return apply(remote, wanted)


def apply(remote: Remote, wanted: list[Wanted]) -> int:
    """Add several, a line each; one that fails holds up no other. The exit status."""
    status = 0
    for one in wanted:
        try:
            with Progress() as progress:
                added = repos.add(remote, one, progress.tell, repos.nobody)
            _show(added, remote.host.name)
        except OrchError as error:
            status = REFUSED
            lines = [f"{one.name}: {error.message}", *error.hint.splitlines()]
            note("orch: " + "\n  ".join(map(clean, lines)))
            if one.again(remote.host.name) not in error.hint:
                note(f"  {clean(one.again(remote.host.name))}    # again, then")
    return status


def _show(added: Added, host: str) -> None:
    one = added.clone
    at = f" ({', '.join(filter(None, (one.branch, (one.commit or '')[:7])))})" if one.commit else " (it is empty)"
    what = "is cloned to" if added.created else "is at"
    say(clean(f"{one.name} {what} ~/work/{one.name} on {host}{at}"))
    for text in added.notes:
        note(f"orch: {clean(text)}")


def _tell(name: str, status: str) -> None:
    note(clean(f"{name}: {status}"))


def _ask(wanted: Wanted, public: str, why: str) -> bool:
    """Show the key to the person, and wait."""
    page = wanted.repository.page or f"the deploy keys of {wanted.repository.slug}"
    right = "tick 'Allow write access'" if wanted.write else "it needs no right to write"
    say(clean(f"the deploy key has to be added by hand: {why}"))
    say(f"\n{clean(public)}\n")
    say(clean(f"Paste it at {page}    # {right}"))
    try:
        return input("Enter when that is done, q to leave it: ").strip().lower() not in ("q", "quit", "n", "no")
    except EOFError:
        return False


def _list(args: Arguments, remote: Remote, urls: list[str]) -> int:
    if urls:
        raise usage("orch repo list takes no URL", "orch repo list")
    found = clones.listed(remote)
    if args["json"]:
        document({"repos": [one.as_json() for one in found]})
        return 0
    if not found:
        say(f"orch has cloned nothing on {remote.host.name}")
        return 0
    header = ("NAME", "URL", "DIR", "BRANCH", "STATE", "KEY")
    for line in table([header, *map(_row, found)], [[]] * (len(found) + 1)):
        say(line)
    return 0


def _row(one: Clone) -> list[str]:
    return [one.name, one.url, one.directory, one.branch or "-", one.state, _key(one)]


def _key(one: Clone) -> str:
    if one.key is None:
        return "none needed"
    if one.public_key is None:
        return "missing"
    if not one.admitted:
        return "not let in yet"
    return "read-write" if one.write else "read-only"


def _remove(args: Arguments, remote: Remote, urls: list[str]) -> int:
    if len(urls) != 1:
        raise usage("orch repo rm takes one NAME or URL", "orch repo list")
    removed = clones.remove(remote, urls[0], args["delete_clone"], args["force"])
    name = removed.clone.name
    if args["json"]:
        document({"repo": removed.clone.as_json(), "remains": removed.remains})
        return 0
    stays = "there was no clone" if removed.clone.is_absent else f"its clone stays in ~/work/{name}"
    gone = "and its clone are gone" if args["delete_clone"] else f"is gone; {stays}"
    say(clean(f"the key of {name} on {remote.host.name} {gone}"))
    for text in removed.remains:
        note(f"orch: {clean(text)}")
    return 0
