"""Lock files of live jobs: the kernel says who lives.

Invariants
- A lock is created locked under a name of its own and then renamed into place, so nobody ever sees
  a lock file of a live job that is not held.
- Probing takes a shared lock and gives it back; holders never wait for probers, for they bring a new file.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import Optional

from . import files, layout

_PROBE = 0.001
"""Seconds that a probe may take."""


def hold(path: str, text: str = "") -> int:
    """Create the lock file, held by this process until it ends; its descriptor is not inherited.

    ``text`` tells whoever reads it what is held, should everything else be lost.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    aside = "%s.%d" % (path, os.getpid())
    fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, text.encode("ascii"))
        os.rename(aside, path)
    except OSError:
        os.close(fd)
        os.unlink(aside)
        raise
    return fd


def hold_again(path: str, fd: int, text: str = "") -> int:
    """Bring back a lock file of ours that somebody removed; ``fd`` is what we hold, the answer what we hold then."""
    if os.path.exists(path):
        return fd
    try:
        fresh = hold(path, text)
    except OSError:
        return fd  # a full disk: at the next look
    os.close(fd)
    return fresh


def withdraw(path: str, fd: int) -> None:
    """Let go of a lock file that was not needed; one that has taken its place stays."""
    if _is_at(path, fd):
        os.unlink(path)
    os.close(fd)


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def is_held(path: str) -> bool:
    """Whether somebody holds it. A missing file is held by nobody."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


def holder(job_id: str) -> Optional[int]:
    """The pid of the runner of a job, which its lock tells; None where nobody holds that."""
    path = layout.lock_file(job_id)
    runner = files.read_table(path).get("runner")
    return runner if isinstance(runner, int) and runner > 1 and is_held(path) else None


def try_hold(path: str) -> Optional[int]:
    """Take the lock on a file that stays: its descriptor, held until it is closed; None where somebody has it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except IsADirectoryError:
        os.rmdir(path)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, fd):
                return fd
            os.close(fd)  # it was removed meanwhile, and there may be another by now
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            continue
        except OSError:
            pass
        try:
            # Somebody who probes it stands in the way for a moment, and of us; a holder stands in the way of both.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        fcntl.flock(fd, fcntl.LOCK_UN)
        time.sleep(_PROBE)


def flock(path: str, how: int) -> int:
    """Wait for a lock, shared or not, on a file that others may remove while they hold it: its descriptor."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how)
        except OSError:
            os.close(fd)
            raise
        if _is_at(path, fd):
            return fd
        os.close(fd)


def sweep() -> None:
    """Remove what was left on its way into place by processes that were killed there."""
    for name in os.listdir(layout.live_dir()):
        pid = name.rpartition(".")[2]
        if pid.isdigit() and not is_held(os.path.join(layout.live_dir(), name)):
            files.remove(os.path.join(layout.live_dir(), name))


def release(job_id: str) -> None:
    """Remove the lock files of a job that has ended."""
    for path in (layout.lock_file(job_id), layout.adopt_file(job_id)):
        files.remove(path)
