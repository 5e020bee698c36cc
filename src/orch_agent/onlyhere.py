"""What only this host has of a clone, where git does not tell it at a glance.

Invariants
- What a person has told git to hide, for less noise, counts all the same.
- A commit is at a remote where one of its branches was seen to have it, or where the remote, asked now, has the tag or
  branch that leads to it. A remote that does not answer has nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from . import commands

LOOK = 20.0
_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--ignore-submodules=none")
_EVERY = ("--exclude=refs/stash", "--all")  # HEAD too, and that of each linked worktree


def git(path: str, *words: str, patience: float = LOOK) -> str:
    """What git says of the clone at ``path``."""
    return commands.run(["git", "-C", path, *words], patience)


def status(path: str) -> list[str]:
    """The lines of ``git status``, whatever the configuration has it leave out."""
    return git(path, "-c", "core.fsmonitor=false", *_STATUS).splitlines()


def commits(path: str, starts: Sequence[str], known: Sequence[str] = ()) -> int:
    """How many commits lead to ``starts`` and are at no remote, as far as the clone knows, nor lead to a known one."""
    return int(git(path, "rev-list", "--count", *starts, "--not", "--remotes", *known))


def all_commits(path: str) -> int:
    """The same, from every ref; the remotes are asked where there are any."""
    count = commits(path, _EVERY)
    if not count:
        return 0
    known = {*git(path, "rev-list", "--no-walk", *_EVERY).split()}.intersection(_at_remotes(path))
    return commits(path, _EVERY, sorted(known))


def _at_remotes(path: str) -> Iterator[str]:
    for remote in git(path, "remote").splitlines():
        try:
            lines = git(path, "ls-remote", "--", remote).splitlines()
        except commands.Failed:
            continue
        yield from (line.partition("\t")[0] for line in lines)


def overlooked(path: str) -> int:
    """How many files git was told to take for unchanged, though they are there."""
    flagged = (line for line in git(path, "ls-files", "-v", "-z").split("\0") if line[:1].islower() or line[:1] == "S")
    return sum(os.path.lexists(os.path.join(path, line[2:])) for line in flagged)


def worktrees(path: str) -> int:
    """How many linked worktrees there are, which are nothing without the clone."""
    lines = git(path, "worktree", "list", "--porcelain").splitlines()
    places = [line.partition(" ")[2] for line in lines if line.startswith("worktree ")]
    return sum(map(os.path.lexists, places[1:]))


def repositories(path: str) -> list[str]:
    """Those in it: submodules, worktrees, clones that git ignores."""
    found = []
    for place, directories, files in os.walk(path):
        if place != path and ".git" in (*directories, *files):
            found.append(place)
        directories[:] = sorted(one for one in directories if one != ".git")
    return found
