"""The snapshots of working trees on this host: for each repository that they are of, a bare one of git's.

Invariants
- What a ref names is here whole, and on the disk: a ref is written last. ``jobs/OWNER`` keeps what a job came with,
  ``laptops/LAPTOP`` what a laptop brought last.
- Whoever relies on what is here, until a ref of his own names it, holds the store's lock with others; whoever removes
  what no ref names holds it alone. Nobody waits for a link with the lock held.
- git removes nothing by itself, and runs no hook.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from . import files, git, layout, locks
from .model import Refusal

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tbare = true
\tfsync = all
\thooksPath = /dev/null
\tbigFileThreshold = 64m
[pack]
\tthreads = 1
\twindowMemory = 64m
[gc]
\tauto = 0
"""
_ATTRIBUTES = "* -text -ident !filter !working-tree-encoding !diff\n"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def directory(name: str) -> str:
    """All that is kept of one repository."""
    return os.path.dirname(layout.store(name))


def make(name: str) -> None:
    """See to it that there is such a store."""
    path = layout.store(name)
    if os.path.exists(os.path.join(path, "HEAD")):
        return
    aside = "%s.%d" % (path, os.getpid())
    shutil.rmtree(aside, ignore_errors=True)
    for below in ("objects/pack", "refs/orch/jobs", "refs/orch/laptops", "info"):
        os.makedirs(os.path.join(aside, below), mode=0o700)
    files.write_whole(os.path.join(aside, "config"), _CONFIG)
    files.write_whole(os.path.join(aside, "info", "attributes"), _ATTRIBUTES)
    files.write_whole(os.path.join(aside, "HEAD"), "ref: refs/heads/none\n")
    try:
        os.rename(aside, path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if not os.path.exists(os.path.join(path, "HEAD")):
            raise


@contextlib.contextmanager
def held(name: str, how: int = fcntl.LOCK_SH) -> Iterator[None]:
    """Within it nobody removes what is in the store; with ``LOCK_EX`` nobody else is within it."""
    path = os.path.join(directory(name), "lock")
    try:
        fd = locks.flock(path, how)
    except FileNotFoundError:
        raise lacking(name) from None
    try:
        yield
    finally:
        os.close(fd)


def lacking(name: str) -> Refusal:
    """The refusal where something of a snapshot is not here."""
    said = "this host has no such snapshot of %s, or not all of it" % name
    return Refusal("no_code", said, "orch sync")


def ref_file(name: str, ref: str) -> str:
    """Where a ref of ours is written: ``jobs/OWNER`` or ``laptops/LAPTOP``."""
    return os.path.join(layout.store(name), "refs", "orch", ref)


def write_ref(name: str, ref: str, commit: str) -> None:
    """Have a ref name a snapshot that is here whole; on the disk when this returns."""
    path, aside = ref_file(name, ref), os.path.join(directory(name), "ref.%d" % os.getpid())
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    files.write_whole(aside, commit + "\n")
    os.rename(aside, path)
    files.sync_directory(os.path.dirname(path))


def refs(name: str, kind: str) -> dict[str, Optional[str]]:
    """What each of ``jobs`` or ``laptops`` names; None where that cannot be read."""
    try:
        found = os.listdir(ref_file(name, kind))
    except OSError:
        return {}
    texts = {one: (files.read_text(ref_file(name, kind + "/" + one)) or "").strip() for one in found}
    return {one: text if _COMMIT.fullmatch(text) else None for one, text in texts.items()}


def check_whole(name: str, commit: str, objects: Optional[str] = None, base: Optional[str] = None) -> None:
    """Refuse a snapshot of which not everything is here, or in ``objects``. Call it with the lock held.

    ``base``: one that has much in common with it.
    """
    known = refs(name, "laptops").values()
    if objects is None and commit in known:
        return
    # What refs name is whole, and need not be looked at; unless the store is damaged.
    for whole in (["--not", base + "^{tree}" if base is not None and base in known else "--all"], []):
        status, _, said = git.run(
            name, "rev-list", "--objects", "--quiet", commit + "^{commit}", *whole, objects=objects
        )
        if status == 0:
            return
    raise lacking(name) if status == git.FATAL else git.explain(status, said, "look at the snapshot")


@contextlib.contextmanager
def kept(owner: str, code: Mapping[str, Any]) -> Iterator[None]:
    """From here on the snapshot that a job comes with stays; within it, also while nobody knows the job yet."""
    with held(code["store"]):
        check_whole(code["store"], code["commit"])
        write_ref(code["store"], "jobs/" + owner, code["commit"])
        yield
