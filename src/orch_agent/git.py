"""git, called for a store of ours: with nobody's configuration, attributes, hooks or replacements but the store's.

Imports what starts processes only when one is started: who looks for a job's code most often needs none.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Optional

from . import layout, packages, trouble
from .model import Refusal

if TYPE_CHECKING:
    import subprocess

_SEALED = {
    **dict.fromkeys(("GIT_CONFIG_NOSYSTEM", "GIT_ATTR_NOSYSTEM", "GIT_NO_REPLACE_OBJECTS", "GIT_NO_LAZY_FETCH"), "1"),
    **dict.fromkeys(("GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT"), "0"),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C",
}
FATAL, _USAGE = 128, 129
_FULL = ("No space left on device", "Disk quota exceeded")


def check() -> None:
    """Refuse where there is no git on this host."""
    if shutil.which("git") is None:
        hint = packages.install_command("git")
        said = "this host has no git, which keeps the code of jobs"
        raise Refusal("host", said, hint or "install one there, as `git` on the PATH", there=bool(hint))


def environment(objects: Optional[str] = None, home: str = os.devnull) -> dict[str, str]:
    """What git is given. ``objects``: where new objects go, before they are let into the store below ``home``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env.update(_SEALED, HOME=home, XDG_CONFIG_HOME=home)  # an older git knows of no other way to have no configuration
    if objects is not None:
        others = os.path.join(home, "objects").replace("\\", "\\\\").replace('"', '\\"')
        env.update(GIT_OBJECT_DIRECTORY=objects, GIT_ALTERNATE_OBJECT_DIRECTORIES='"%s"' % others)
    return env


def words(store: str, *arguments: str) -> list[str]:
    """A command line of git's."""
    return ["git", "--git-dir", layout.store(store), *arguments]


def start(store: str, *arguments: str, objects: Optional[str] = None, **more: Any) -> subprocess.Popen[bytes]:
    """git at work in a store; ``more`` as for ``Popen``."""
    import subprocess

    check()
    environment_ = environment(objects, layout.store(store))
    return subprocess.Popen(words(store, *arguments), env=environment_, cwd=layout.root(), **more)


def run(store: str, *arguments: str, objects: Optional[str] = None) -> tuple[int, bytes, str]:
    """git in a store, to its end: status, output, and what it says went wrong."""
    import subprocess

    process = start(store, *arguments, objects=objects, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1)
    out, err = process.communicate()
    return process.returncode, out, err.decode("ascii", "backslashreplace")


def explain(status: int, said: str, doing: str) -> Refusal:
    """The refusal that a failure of git's means; ``doing``: what cannot be done."""
    if any(one in said for one in _FULL) or trouble.disk_is_full(layout.root()):
        return full()
    if status == _USAGE:
        return Refusal("host", "the git on this host is too old: it takes 2.20 or later", "git --version", there=True)
    return Refusal("host", "git cannot %s: %s" % (doing, why(status, said)))


def why(status: int, said: str) -> str:
    """What went wrong, in git's words."""
    lines = [line for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("error", "fatal"))), lines[-1] if lines else "")
    return told or "it ended with status %d" % status


def full() -> Refusal:
    """The refusal where a store's disk has no room."""
    return trouble.explain(OSError(28, "", layout.stores()))
