"""Secrets that a laptop brought along with a submission: they wait in the host's memory until its jobs are over.

Invariants
- The values of one submission are in one file, mode 0600, in a directory of this home's own, mode 0700, on a file
  system that is memory. A host that has none (macOS) keeps the file in ``~/.orch/secrets``, and that is said.
- A restart takes them away: a file counts for the boot in which it was written, and is removed in any other.
- A file is written inside a transaction in which its jobs live. So whoever finds, inside another, a file without a
  live job has found one that is left over.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import files, layout, procs
from .launch import detach
from .model import Refusal

if TYPE_CHECKING:
    from .ledger import Ledger

_SHARED = "/dev/shm"  # noqa: S108  (a directory of our own in it, whose owner is looked at)
_MEMORY = ("tmpfs", "ramfs")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIVES = "SELECT EXISTS (SELECT 1 FROM jobs WHERE ended_at IS NULL AND (id = ? OR array_id = ?))"
_ON_DISK = "this host has no memory for files: secrets wait on its disk, for this account alone, until the job is over"
_LOGGED_OUT = (
    "secrets that wait are gone once nobody is logged in there any more; so that they stay: loginctl enable-linger"
)


def checked(said: Any) -> dict[str, str]:
    """The values in a request, by the names that they are kept as."""
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise Refusal("usage", "the request's secrets are no texts by their names")
    return said


def keep(owner: str, values: Mapping[str, str]) -> None:
    """Have them wait for the jobs of this submission; call it inside a transaction in which those live."""
    place = _place()
    path = os.path.join(place, owner)
    aside = "%s.%d" % (path, os.getpid())
    text = json.dumps({"boot": procs.boot_id(), "secrets": dict(values)})
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        if not _is_ours(place):
            said = "%s belongs to somebody else: secrets cannot wait there" % place
            raise Refusal("refused", said, "ls -ld %s" % place, there=True)
        os.chmod(place, 0o700)
        files.remove(aside)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(text)
        os.rename(aside, path)
        for other in _places():
            if other != place:
                files.remove(os.path.join(other, owner))
    except OSError as error:
        files.remove(aside)
        if error.errno not in _FULL:
            raise
        where = os.path.dirname(place)
        raise Refusal("refused", "there is no room for secrets in %s" % where, "df -h %s" % where, there=True) from None


def read(owner: str) -> dict[str, str]:
    """The values that wait for the jobs of this submission; those of a boot before this one are removed."""
    for place in filter(_is_ours, _places()):
        path = os.path.join(place, owner)
        fields = files.read_table(path)
        found = fields.get("secrets")
        if fields.get("boot") == procs.boot_id() and isinstance(found, dict):
            return {str(name): str(value) for name, value in found.items()}
        files.remove(path)
    return {}


def forget(owner: str) -> None:
    """Nobody waits for them any more."""
    for place in _places():
        files.remove(os.path.join(place, owner))


def forget_if_over(ledger: Ledger, owner: str) -> None:
    """Forget them, if no job of this submission lives; call it inside a transaction."""
    if not next(ledger.rows(_LIVES, [owner, owner]))[0]:
        forget(owner)
        for place in filter(_is_ours, _places()):
            try:
                os.rmdir(place)  # nobody writes meanwhile
            except OSError:
                pass  # others wait


def sweep(ledger: Ledger) -> None:
    """Remove what is left over: of submissions that were cut off before they were accepted, or whose end was missed."""
    if not any(_files()):
        return
    with ledger.transaction():
        for path in list(_files()):
            owner, _, is_half = os.path.basename(path).partition(".")
            if is_half:
                files.remove(path)
            else:
                read(owner)
                forget_if_over(ledger, owner)


def remarks() -> list[str]:
    """What cannot be promised of secrets that wait here."""
    if _place() == layout.secrets_dir():
        return [_ON_DISK]
    login = detach.login()  # systemd-logind removes what a person has in /dev/shm (RemoveIPC, logind.conf(5))
    return [_LOGGED_OUT] if login.systemd and not login.lingers and not login.is_root else []


def _files() -> Iterator[str]:
    for place in filter(_is_ours, _places()):
        yield from (os.path.join(place, name) for name in files.names(place))


def _place() -> str:
    """Where they are written: with a login's own directory only where that outlives the login."""
    own, shared, disk = _places()
    if detach.login().lingers and _is_memory(os.path.dirname(own)):
        return own
    return shared if _is_memory(_SHARED) else disk


def _places() -> tuple[str, str, str]:
    """Everywhere they may be, whatever the environment of who asks."""
    try:
        found = os.stat(layout.root())
        name = "%x-%x" % (found.st_dev, found.st_ino)  # this home's, whatever it is called, and no other's
    except OSError:
        name = "none"
    user = os.getuid()
    return "/run/user/%d/orch-%s" % (user, name), "%s/orch-%d-%s" % (_SHARED, user, name), layout.secrets_dir()


def _is_memory(directory: str) -> bool:
    try:
        device = os.stat(directory).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            lines: Iterable[list[str]] = [line.split() for line in file]
    except OSError:
        return False
    number = "%d:%d" % (os.major(device), os.minor(device))
    kinds = {words[words.index("-") + 1] for words in lines if words[2] == number}
    return os.access(directory, os.W_OK | os.X_OK) and bool(kinds) and kinds <= set(_MEMORY)


def _is_ours(place: str) -> bool:
    """Anybody may make a directory in /dev/shm, of any name."""
    try:
        found = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
