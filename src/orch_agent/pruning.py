"""What neither a job nor a laptop has need of any more goes out of the stores of snapshots.

Invariants
- A job's ref goes when nobody knows the job; a laptop's when it has brought nothing for as long as runs are kept.
- What no ref names is removed with the lock held alone, and only what is a day old. So nobody who has seen that a
  snapshot is whole loses any of it before his own ref names it.
- A store that nothing names goes; directories that runs share only once nothing is in them.
- git works in a process of its own: whoever looks for what is old waits for none.
"""

from __future__ import annotations

import fcntl
import functools
import os
import time
from collections.abc import Iterator

from . import files, git, layout, locks, packs, stores
from .launch import detach
from .ledger import open_ledger
from .model import Refusal
from .settings import DAY

_MANY = 64
"""Packs from which on git is slow to find anything."""
_ALONE = fcntl.LOCK_EX | fcntl.LOCK_NB
_GONE = "gone-"
_POLITE = 10


def steps(before: float) -> Iterator[None]:
    """Look at every store, little by little; ``before``: what is older than that is old."""
    for name in files.names(layout.stores()):
        try:
            with stores.held(name, _ALONE):
                _drop(name, before)
        except (BlockingIOError, Refusal):
            continue  # somebody is at work there, or it has just gone
        yield
        if os.path.isdir(stores.directory(name)):
            packs.sweep(name)
        for one in files.names(stores.directory(name)):
            if one.startswith(_GONE):
                yield from files.removal(os.path.join(stores.directory(name), one))
        if _is_due(name):
            detach.aside(functools.partial(pack, name))
        yield


def _drop(name: str, before: float) -> None:
    """The refs of those who are gone; without any, the store; without anything in it, what it is in."""
    known = _known()
    for owner in stores.refs(name, "jobs"):
        if owner not in known and not os.path.isdir(layout.job_dir(owner)):
            files.remove(stores.ref_file(name, "jobs/" + owner))
    for laptop in stores.refs(name, "laptops"):
        path = stores.ref_file(name, "laptops/" + laptop)
        if files.is_older(path, before):
            files.remove(path)
    if stores.refs(name, "jobs") or stores.refs(name, "laptops"):
        return
    inside = files.names(stores.directory(name))
    if (
        "git" in inside
        and files.is_older(os.path.join(layout.store(name), "HEAD"), before)
        and not packs.is_coming(name)
    ):
        os.rename(layout.store(name), os.path.join(stores.directory(name), "%s%d" % (_GONE, time.time_ns())))
    elif set(inside) <= {"lock", "share", "pruned"} and files.is_older(stores.directory(name), before):
        _remove_empty(name, before)


def _known() -> set[str]:
    """The ids of all jobs and arrays. With the lock held: who submits one holds it until its row is there."""
    with open_ledger() as ledger:
        return {one for row in ledger.rows("SELECT id, array_id FROM jobs") for one in row if one is not None}


def _remove_empty(name: str, before: float) -> None:
    share = layout.shared_dir(name, "")
    walk = list(os.walk(share))
    if any(files_ for _, _, files_ in walk) or any(not files.is_older(one, before) for one, _, _ in walk):
        return
    try:
        for one, _, _ in reversed(walk):
            os.rmdir(one)
    except OSError:
        return  # somebody keeps something there
    for one in ("pruned", "lock"):
        files.remove(os.path.join(stores.directory(name), one))
    os.rmdir(stores.directory(name))


def _is_due(name: str) -> bool:
    objects = os.path.join(layout.store(name), "objects")
    count = sum(one.endswith(".pack") for one in files.names(os.path.join(objects, "pack")))
    is_loose = any(len(one) == 2 for one in files.names(objects))
    return count > _MANY or ((count > 1 or is_loose) and files.is_older(_mark(name), time.time() - DAY))


def _mark(name: str) -> str:
    """What was last changed when git was last here."""
    mark = os.path.join(stores.directory(name), "pruned")
    return mark if os.path.exists(mark) else os.path.join(layout.store(name), "HEAD")


def pack(name: str) -> None:
    """Put what is named into one pack, and remove what has not been for a day."""
    fd = locks.try_hold(os.path.join(stores.directory(name), "pruned"))
    if fd is None:
        return
    os.utime(fd)
    os.nice(_POLITE)
    git.run(name, "repack", "-A", "-d", "-q")
    with stores.held(name, fcntl.LOCK_EX):
        git.run(name, "prune", "--expire=1.day.ago")
    os.close(fd)
