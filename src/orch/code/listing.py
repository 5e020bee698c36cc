"""Which files are the working tree: git's answer, with the repositories that lie in it.

Invariants
- The person's repository is asked, so their index, their exclude files and their settings decide; nothing is written.
- One scan of the directories, none of the files: whether a listed file is there is for others to see.
- A repository in the tree, a submodule or not, is listed as plain files, by its own rules.
  What git keeps there is never listed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from orch.errors import OrchError

from .git import Failed, Git, Running, gather, refused, split
from .ignored import within
from .tree import Tree

_LINK = b"160000"  # the mode of a submodule in an index


class Listing:
    """Paths below the top, as bytes. ``untracked``: of these git keeps nothing; ``inner``: the repositories in it;
    ``refused``: those of them that git would not read, and why;
    ``absent``: submodules that are not checked out; ``conflicts``: of these git has several versions; ``is_sparse``:
    some that are tracked are not to be on disk.

    It is begun when made, and ``end`` has to follow. ``ours``: a repository for git to use where there is none.
    """

    def __init__(self, tree: Tree, patterns: Sequence[str], ours: str) -> None:
        self.paths: set[bytes] = set()
        self.untracked: set[bytes] = set()
        self.inner: set[bytes] = set()
        self.refused: dict[bytes, str] = {}
        self.absent: set[bytes] = set()
        self.conflicts: set[bytes] = set()
        self.is_sparse = False
        self._top = tree.top
        self._ours = ours
        self._patterns = patterns
        self._begun = self._begin(Git(tree.top) if tree.is_git else self._plain(tree.top), patterns)

    def end(self) -> None:
        """Hear what git says."""
        try:
            self._add(b"", self._begun, self._patterns)
        except Failed as failed:
            raise unreadable(self._top, failed) from None

    def _plain(self, top: str) -> Git:
        """A git to which nothing there is tracked."""
        return Git(top, {"GIT_DIR": self._ours, "GIT_WORK_TREE": top, "GIT_INDEX_FILE": f"{self._ours}/none"})

    def _begin(self, git: Git, patterns: Sequence[str]) -> list[Running]:
        excluded = [f"--exclude={pattern}" for pattern in patterns]
        # Whether names that differ in case are one is the disk's to say: the setting may come from another's.
        case = f"core.ignoreCase={str(os.path.lexists(os.path.join(git.directory, '.GIT'))).lower()}"
        begun = [git.start("-c", case, "ls-files", "-z", "-t", "-s", "-c", "-o", "--exclude-standard", *excluded)]
        if excluded:
            begun.append(git.start("ls-files", "-z", "-c", "-i", *excluded))
        return begun

    def _add(self, prefix: bytes, begun: list[Running], patterns: Sequence[str]) -> None:
        listed, *rest = [done.sure for done in gather(*begun)]
        excluded = set(split(rest[0])) if rest else set()
        inner: set[bytes] = set()
        for entry in split(listed):
            kind, path = entry[:1], entry[2:]
            if kind == b"?":
                is_link, path = path.endswith(b"/"), path.rstrip(b"/")
                self.untracked.add(prefix + path)
            else:
                fields, _, path = path.partition(b"\t")
                is_link = fields.startswith(_LINK)
            if path in excluded:
                continue
            if kind == b"M":
                self.conflicts.add(prefix + path)
            self.is_sparse |= kind == b"S"
            (inner if is_link else self.paths).add(prefix + path)
        for path in inner:
            self._enter(path, within(patterns, os.fsdecode(path[len(prefix) :])))

    def _enter(self, path: bytes, patterns: Sequence[str]) -> None:
        """A place where a repository may be."""
        top = os.path.join(self._top, os.fsdecode(path))
        if os.path.lexists(top) and (os.path.islink(top) or not os.path.isdir(top)):
            self.paths.add(path)
            return
        if not os.path.isdir(top) or not os.listdir(top):
            self.absent.add(path)
            return
        self.inner.add(path)
        if os.path.lexists(os.path.join(top, ".git")):
            git = Git(top, {"GIT_CEILING_DIRECTORIES": os.path.dirname(top)})
            try:
                self._add(path + b"/", self._begin(git, patterns), patterns)
                return
            except Failed as failed:
                if "could not open directory" in str(failed):
                    raise
                self.refused[path] = str(failed).partition("\n")[0]
        self._add(path + b"/", self._begin(self._plain(top), patterns), patterns)


def unreadable(top: str, failed: Failed) -> OrchError:
    """An error in words, for a listing that git could not make."""
    found = re.search(r"could not open directory '(.*)': (.*)", str(failed))
    if not found:
        return refused(f"no snapshot can be taken of {top}", failed)
    path = os.path.join(top, found[1])
    hint = f"ls -ld {shlex.quote(path)}    # or name it in .gitignore or .orchignore"
    return OrchError("refused", f"{path} cannot be read ({found[2]}), so no snapshot can be taken", hint)
