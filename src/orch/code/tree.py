"""Which working tree a directory belongs to, and what it is called.

Invariants
- A tree is git's, with its top; or, where there is no repository, the directory of the nearest ``orch.toml``, or the
  directory itself. ``/`` and the home are none: what is in them is not code.
- Two clones of one repository, on whatever machines, have one store.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from orch import paths
from orch.bundle import sha256
from orch.errors import OrchError

from .git import Failed, Git, gather, refused, split

_URL = re.compile(r"(?:[a-z+]+://(?:[^/@]*@)?([^/:]+)(?::\d*)?/|(?:[^/@:]*@)?([^/:]+):(?!//))/*(.*)", re.IGNORECASE)
_WANTED = r"^(remote\..*\.url|url\..*\.insteadof|core\.(autocrlf|eol|attributesfile))$"


class Tree(NamedTuple):
    """A working tree. ``directory``: where below ``top`` somebody is. The rest is empty where there is no git.

    ``objects``: the repository's, where ours can be beside them. ``converts``: what is committed may differ from what
    is on disk by the person's configuration. ``attributes``: the file with the repository's own.
    """

    top: str
    directory: str
    store: str
    name: str
    is_git: bool = False
    objects: str = ""
    attributes: str = ""
    converts: bool = False
    branch: str | None = None
    head: str | None = None


def find(start: str) -> Tree:
    """The tree of ``start``, a real path; refuses what is none."""
    apart = "--is-inside-work-tree"  # prints "true": a name may hold anything else
    words = [apart, "--show-prefix", apart, "--show-toplevel", apart, "--git-path", "objects", apart]
    words += ["--git-path", "info/attributes", apart, "--show-object-format", "HEAD", "--abbrev-ref", "HEAD"]
    git = Git(start)
    try:
        place, config = gather(
            git.start("rev-parse", "--path-format=absolute", *words),
            git.start("config", "-z", "--get-regexp", _WANTED),
        )
    except Failed as failed:
        raise OrchError("refused", f"there is nothing to take a snapshot of: {failed}", "cd to a directory") from None
    parts = os.fsdecode(place.output).split("\ntrue\n")
    if len(parts) == 5:
        return _of_git(git, parts, _table(config.output))
    if place.failed is not None and "(or any" in str(place.failed):
        return _plain(start)
    raise _unusable(start, parts[0], place.failed or Failed("its answer was not understood"))


def _of_git(git: Git, parts: list[str], config: Mapping[str, str]) -> Tree:
    prefix, top, objects, attributes, rest = parts
    form, head, *branch = rest.splitlines()
    _check_top(top)
    identity, name = _identity(_main(objects), config)
    return Tree(
        top,
        prefix.removeprefix("true").removeprefix("\n").rstrip("/"),
        _store(name, identity),
        name,
        is_git=True,
        objects=objects if form == "sha1" else "",
        attributes=attributes,
        converts=any(key.startswith("core.") for key in config),
        branch=_named(branch[0]) if branch else _unborn(git),
        head=head if branch else None,
    )


def _main(objects: str) -> str:
    """Of all worktrees of a repository the first, by where its objects are; of a bare one that itself."""
    common = os.path.dirname(objects)
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _named(branch: str) -> str | None:
    """None where the head is detached."""
    return None if branch == "HEAD" else branch


def _unborn(git: Git) -> str | None:
    """The branch that will be, once there is a commit."""
    (done,) = gather(git.start("symbolic-ref", "--short", "HEAD"))
    return os.fsdecode(done.output).strip() or None


def _plain(start: str) -> Tree:
    source = paths.project_file(start)
    top = os.path.dirname(source) if source else start
    _check_top(top)
    name = _readable(os.path.basename(top))
    directory = os.path.relpath(start, top)
    return Tree(top, "" if directory == "." else directory, _store(name, _here(top)), name)


def _check_top(top: str) -> None:
    home = os.path.realpath(os.path.expanduser("~"))
    if top in ("/", home):
        what = "the home directory" if top == home else "the root of this machine"
        hint = "cd to the directory of a project; git init there, or an orch.toml in it, says where that begins"
        raise OrchError("refused", f"{top} is {what}: too much to take a snapshot of", hint)


def _unusable(start: str, said: str, failed: Failed) -> OrchError:
    if "dubious ownership" in str(failed):
        message = f"{start} is in a repository that belongs to somebody else, which git does not trust"
        found = re.search(r"safe\.directory (.+)", str(failed))
        place = found[1].strip("'\"") if found else start
        return OrchError("refused", message, f"git config --global --add safe.directory {shlex.quote(place)}")
    if said.startswith("false\n"):
        message = f"{start} is inside of a repository of git, and in no working tree of it"
        return OrchError("refused", message, "cd to a clone, or: git worktree add DIR")
    return refused(f"no snapshot can be taken of {start}", failed)


def _table(said: bytes) -> Mapping[str, str]:
    """What the configuration says; of what is said twice, the last."""
    pairs = (os.fsdecode(one).partition("\n") for one in split(said))
    return {key: value for key, _, value in pairs}


# What it is called


def _identity(top: str, config: Mapping[str, str]) -> tuple[str, str]:
    """What makes it the same as another, and a name for people: its remote's, ``origin`` if there are several."""
    remotes = sorted((key != "remote.origin.url", key) for key in config if key.startswith("remote."))
    if not remotes or not config[remotes[0][1]]:
        return _here(top), _readable(os.path.basename(top))
    url = _rewritten(config[remotes[0][1]], config)
    identity = normalized(url)
    name = _readable(identity.rpartition("/")[2])
    return (identity if "://" in identity else _here(os.path.join(top, identity))), name


def _rewritten(url: str, config: Mapping[str, str]) -> str:
    """As git would use it: ``url.BASE.insteadOf``, the longest that fits."""
    rules = [(value, key[4:-10]) for key, value in config.items() if key.startswith("url.") and url.startswith(value)]
    prefix, base = max(rules, key=lambda rule: len(rule[0]), default=("", ""))
    return base + url[len(prefix) :]


def normalized(url: str) -> str:
    """``git://HOST/PATH``, however it is reached and by whom; a place on this machine stays a path."""
    found = _URL.fullmatch(url)
    path = (found[3] if found else url.removeprefix("file://")).rstrip("/").removesuffix(".git").rstrip("/")
    if found is None:
        return path
    host = (found[1] or found[2]).lower().removeprefix("www.")
    return f"git://{'github.com' if host == 'ssh.github.com' else host}/{path}"


def _here(path: str) -> str:
    """A place on this machine."""
    return f"{os.uname().nodename}:{os.path.realpath(path)}"


def _readable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name.removesuffix(".git")).strip("-_")[:60] or "code"


def _store(name: str, identity: str) -> str:
    """The host's store for it."""
    return f"{name}-{sha256(os.fsencode(identity))[:12]}"
