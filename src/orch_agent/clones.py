"""Clones of repositories in ~/work.

Invariants
- A clone is whole or absent: it is made aside and renamed. What is in one already is never touched.
- Nothing that only this host has is removed but by force: changes, files that git does not know, commits that are at no
  remote, what is stashed, what hangs on it or is kept in it (``onlyhere``). What git ignores is no such thing.
"""

from __future__ import annotations

import os
import shutil
from typing import NamedTuple, Optional

from . import commands, layout, onlyhere
from .model import Refusal
from .onlyhere import git as git

_LONG = 3600.0  # seconds that the history of a large repository may take


class State(NamedTuple):
    """How a clone is. ``unpushed``: what only this host has, in words."""

    branch: Optional[str]
    head: Optional[str]
    state: str
    unpushed: list[str]


def place(name: str) -> str:
    """Where the clone of that name is."""
    return os.path.join(layout.work(), name)


def check(name: str, urls: list[str], is_ours: bool) -> bool:
    """Whether there is a clone of that name, of one of ``urls``; anything else in its place is refused."""
    path = place(name)
    if not os.path.lexists(path):
        return False
    if os.path.islink(path) or not os.path.isdir(path):
        raise _taken(name, "is no directory")
    if not os.listdir(path):
        return False
    if not os.path.isdir(os.path.join(path, ".git")):
        if is_ours:
            return False
        raise _taken(name, "is something else, and no clone")
    origin = _origin(path)
    if origin not in urls:
        raise _taken(name, "is a clone of %s" % (origin or "nothing"))
    return True


def _taken(name: str, what: str) -> Refusal:
    return Refusal(
        "refused", "~/work/%s on this host %s; it is left alone" % (name, what), "orch repo add --name OTHER ..."
    )


def _origin(path: str) -> Optional[str]:
    try:
        return git(path, "config", "--local", "--get", "remote.origin.url").strip()
    except commands.Failed:
        return None


def reach(url: str, ssh: Optional[str]) -> None:
    """Nothing, where the repository can be read; else a ``commands.Failed``. ``ssh``: the command that git runs."""
    commands.run(["git", *_by(ssh), "ls-remote", "--heads", "--", url], 120)


def _by(ssh: Optional[str]) -> list[str]:
    return ["-c", "core.sshCommand=" + ssh] if ssh else []


def make(name: str, url: str, ssh: Optional[str]) -> None:
    """Clone it. Files that are there without a repository stay, and count as changes to it.

    The person's hooks and names for remotes are for the person's own clones.
    """
    os.makedirs(layout.work(), 0o755, exist_ok=True)
    path, aside = place(name), _aside(name)
    shutil.rmtree(aside, ignore_errors=True)  # of a call that was killed
    there = os.path.isdir(path) and bool(os.listdir(path))
    more = ["--origin", "origin", *_by(ssh), *(["--no-checkout"] if there else [])]
    commands.run(["git", "-c", "core.hooksPath=/dev/null", "clone", "--quiet", *more, "--", url, aside], _LONG)
    if not there:
        os.rename(aside, path)
        return
    git(aside, "reset", "--quiet", "--mixed")
    os.rename(os.path.join(aside, ".git"), os.path.join(path, ".git"))
    shutil.rmtree(aside)


def point(name: str, url: str, ssh: Optional[str]) -> None:
    """Have the clone's origin be there, reached by ``ssh``, or by the person's own way."""
    git(place(name), "remote", "set-url", "origin", url)
    if ssh:
        git(place(name), "config", "core.sshCommand", ssh)
        return
    try:
        git(place(name), "config", "--unset-all", "core.sshCommand")
    except commands.Failed:  # it has none
        pass


def _aside(name: str) -> str:
    """Where it is made."""
    return os.path.join(layout.work(), ".orch-clone-" + name)


def look(name: str, closely: bool = False) -> State:
    """How the clone is; ``closely``, as before it is removed: all that is in it, for which its remotes may be asked."""
    path = place(name)
    if not os.path.isdir(os.path.join(path, ".git")):
        files = os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path))
        return State(None, None, "missing", ["files without a repository"] if files else [])
    found = _look(path, closely)
    for inner in onlyhere.repositories(path) if closely else []:
        lost = _look(inner, closely).unpushed
        found.unpushed.extend(["%s in %s" % (what, os.path.relpath(inner, path)) for what in lost])
    return found


def _look(path: str, closely: bool) -> State:
    try:
        return _read(path, closely)
    except commands.Failed:
        return State(None, None, "broken", ["a repository that git cannot read"])


def _read(path: str, closely: bool) -> State:
    lines = onlyhere.status(path)
    said = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    changed = sum(not line.startswith("#") for line in lines)
    head = said.get("branch.oid")
    is_born = head not in (None, "(initial)")
    starts = [*(["HEAD"] if is_born else []), "--branches"]
    commits = onlyhere.all_commits(path) if closely else onlyhere.commits(path, starts)
    stashed = len(git(path, "stash", "list").splitlines())
    words = [(changed, "changed", "changed file"), (commits, "ahead", "commit that is at no remote")]
    words += [(stashed, "stashed", "stash")]
    if closely:
        words += [(onlyhere.overlooked(path), "overlooked", "file that git is told to overlook")]
        words += [(onlyhere.worktrees(path), "linked", "linked worktree")]
    found = ["%d %s" % (count, state) for count, state, _ in words if count]
    lost = ["%d %s" % (count, _several(what, count)) for count, _, what in words if count]
    branch = said.get("branch.head")
    return State(
        None if branch == "(detached)" else branch, head if is_born else None, ", ".join(found) or "clean", lost
    )


_PLURALS = {
    "commit that is at no remote": "commits that are at no remote",
    "file that git is told to overlook": "files that git is told to overlook",
    "stash": "stashes",
}


def _several(what: str, count: int) -> str:
    """``what``, in the plural where there are several."""
    return what if count == 1 else _PLURALS.get(what, what + "s")


def submodules(name: str) -> list[str]:
    """The addresses of its submodules."""
    path = place(name)
    if not os.path.exists(os.path.join(path, ".gitmodules")):
        return []
    try:
        said = git(path, "config", "-f", ".gitmodules", "--get-regexp", r"^submodule\..*\.url$")
    except commands.Failed:
        return []
    return [line.split(" ", 1)[1] for line in said.splitlines() if " " in line]


def remove(name: str) -> None:
    """Remove the clone, and one that was not finished."""
    shutil.rmtree(_aside(name), ignore_errors=True)
    path, aside = place(name), os.path.join(layout.work(), ".orch-gone-" + name)
    shutil.rmtree(aside, ignore_errors=True)
    if os.path.lexists(path):
        os.rename(path, aside)
        shutil.rmtree(aside)
