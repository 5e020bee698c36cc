"""A repository's devcontainer.json: found, and written whole.

Invariants
- A repository may be a stranger's: nothing is written outside of it, nor where git keeps what is its own.
"""

from __future__ import annotations

import os
import shlex
import stat
from glob import escape, glob
from typing import NamedTuple

from orch import files
from orch.errors import OrchError
from orch.providers.codespaces import devcontainer, jsonc, origin, space

_NAME = "devcontainer.json"
_PLACES = (os.path.join(".devcontainer", _NAME), ".devcontainer.json")
_MOST = 1 << 20  # bytes


class Draft(NamedTuple):
    """The file as it is and as it is to be; ``before`` is empty where there is none. ``told``: what stays.

    ``real``: ``path`` without links.
    """

    path: str
    real: str
    before: str
    after: str
    told: list[str]


def repository(start: str) -> str:
    """The directory of the git repository that ``start`` is in."""
    directory = start
    while not os.path.lexists(os.path.join(directory, ".git")):
        directory, below = os.path.dirname(directory), directory
        if directory == below:
            raise OrchError("refused", f"{start} is in no git repository, which a codespace is made of", "git init")
    return directory


def find(root: str) -> str:
    """The file that GitHub takes for a repository without being told; the place for one where there is none."""
    for place in _PLACES:
        if os.path.lexists(os.path.join(root, place)):
            return os.path.join(root, place)
    found = sorted(glob(os.path.join(escape(root), ".devcontainer", "*", "devcontainer.json")))
    if len(found) > 1:
        names = [os.path.relpath(path, root) for path in found]
        raise OrchError(
            "refused", f"there are several: {', '.join(names)}", f"say which: cs init {os.path.relpath(found[0])}"
        )
    return found[0] if found else os.path.join(root, _PLACES[0])


def place(root: str, path: str) -> str:
    """``path``, which has to be where GitHub looks for it."""
    whole = os.path.abspath(path)
    directory = os.path.relpath(os.path.realpath(os.path.dirname(whole)), os.path.realpath(root))
    *above, name = os.path.normpath(os.path.join(directory, os.path.basename(whole))).split(os.sep)
    if os.path.join(*above, name) in _PLACES or (len(above) == 2 and above[0] == ".devcontainer" and name == _NAME):
        return whole
    says = f"{path} is no place where GitHub looks for a devcontainer.json"
    raise OrchError("usage", says, f"cs init {os.path.relpath(os.path.join(root, _PLACES[0]))}")


def draft(root: str, path: str) -> Draft:
    """What ``path`` in the repository ``root`` is to be."""
    real = _within(root, path)
    before = _read(path)
    try:
        after, told = devcontainer.merge(before)
    except jsonc.Broken as error:
        hint = "mend it, or move it away"
        raise OrchError("refused", f"{path} is no JSON with comments: {error}", hint) from None
    return Draft(path, real, before, after, told)


def _within(root: str, path: str) -> str:
    """Where it really is."""
    real = os.path.realpath(path)
    first = os.path.relpath(real, os.path.realpath(root)).split(os.sep)[0]
    if first == os.pardir or first.lower() == ".git":
        hint = f"ls -l {shlex.quote(os.path.relpath(path))}    # move the link away, or name another file: cs init FILE"
        raise OrchError("refused", f"{path} is {real}, which is no file of the repository {root}", hint)
    return real


def larger_machine(root: str, draft: Draft) -> str:
    """That so much disk takes a larger machine, where GitHub says so; nothing where it is silent."""
    repository = origin.of(root)
    try:
        return devcontainer.larger(draft.after, space.offered(repository)) if repository else ""
    except OrchError:
        return ""


def write(draft: Draft) -> None:
    """Write it, unless it has changed meanwhile. A reader sees the old one or the new one, whole."""
    if _read(draft.real) != draft.before:
        raise OrchError("refused", f"{draft.path} has just been changed by somebody else", "cs init")
    try:
        os.makedirs(os.path.dirname(draft.real), exist_ok=True)
        mode = stat.S_IMODE(os.stat(draft.real).st_mode) if draft.before else 0o666
        files.write_whole(draft.real, draft.after, mode)
        if draft.before:
            os.chmod(draft.real, mode)  # whatever our umask is
    except OSError as error:
        raise OrchError("refused", f"cannot write {draft.path}: {error.strerror}") from None


def _read(path: str) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OrchError("refused", f"{path} is no plain file", "move it away")
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise OrchError(
                "refused", f"{path} has more than 1 MB, which no devcontainer.json needs", "make it shorter"
            )
        return text.decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise OrchError("refused", f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OrchError("refused", f"{path} is not UTF-8, as JSON has to be", "mend it, or move it away") from None
