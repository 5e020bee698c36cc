"""``examine``: what this host is like, for ``orch doctor``. Nothing is judged here, and nothing can fail.

Each fact is looked up by itself and is None where it cannot be had; none takes longer than a few seconds.
"""

from __future__ import annotations

import glob
import os
import platform
import pwd
import shutil
import sqlite3
import sys
import time
from collections.abc import Mapping
from typing import Any, Callable, Optional

from .. import host, layout, logind, machine, procs, startup, trouble, wake
from ..launch import detach, tmux
from .common import Answer, Request

Fact = Optional[Mapping[str, Any]]

_PATIENCE = 2.0
"""Seconds that a look at the ledger, or tmux, may take."""


def run(request: Request) -> Answer:
    """All facts by name; the clock last, so that little but the way home lies between it and who asked."""
    facts = {name: _safely(look) for name, look in _LOOKS.items()}
    return {**facts, "now": time.time()}


def _safely(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except Exception:
        return None


def _python() -> Fact:
    return {
        "version": platform.python_version(),
        "executable": os.path.realpath(sys.executable),
        "sqlite": sqlite3.sqlite_version,
    }


def _tmux() -> Fact:
    path = shutil.which("tmux")
    version = _said(path, "-V").partition(" ")[2] if path else None
    return {"path": path, "version": version, "install": tmux.install_command()}


def _said(*words: str) -> str:
    import subprocess

    done = subprocess.run(words, stdin=-3, stdout=-1, stderr=-3, timeout=_PATIENCE)
    return os.fsdecode(done.stdout).strip()


def _login() -> Fact:
    login = detach.login()
    kills = logind.kills_user_processes() if login.systemd else None
    return {**login._asdict(), "user": pwd.getpwuid(os.getuid()).pw_name, "kills_user_processes": kills}


def _places() -> list[Fact]:
    return [_place(path) for path in (layout.root(), layout.logs())]


def _place(path: str) -> Fact:
    """The room where ``path`` is or will be, and what stands in the way of writing there."""
    there = path
    while not os.path.exists(there):
        there = os.path.dirname(there)
    found = os.statvfs(there)
    return {
        "path": path,
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
        "total_files": found.f_files,
        "free_files": found.f_favail,
        "trouble": _trouble_with(lambda: _try_to_write(there)),
    }


def _try_to_write(directory: str) -> None:
    path = os.path.join(directory, ".examined.%d" % os.getpid())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, b" " * 4096)
    finally:
        os.close(fd)
        os.unlink(path)


def _trouble_with(work: Callable[[], None]) -> Optional[Mapping[str, str]]:
    try:
        work()
    except (OSError, sqlite3.Error) as error:
        refusal = trouble.explain(error)
        return {"says": refusal.message, "mend": refusal.hint}
    return None


def _shell() -> Fact:
    return startup.measure(startup.login_shell())._asdict()


def _agents() -> list[Mapping[str, Any]]:
    """The versions of the agent that are here, and how many processes each has besides this one."""
    root = layout.root()
    used = [words[3] for words in procs.command_lines() if len(words) > 3 and "-I" in words[1:3]]
    paths = sorted(os.path.join(root, name) for name in os.listdir(root) if name.startswith("agent-"))
    return [_agent(path, used.count(path)) for path in paths]


def _agent(path: str, processes: int) -> Mapping[str, Any]:
    mine = path == detach.AGENT
    return {"path": path, "mine": mine, "processes": processes - mine}


def _ledger() -> Fact:
    path = layout.ledger()
    if not os.path.exists(path):
        return {"path": path, "bytes": 0, "checked": True, "trouble": None, "broken": []}
    checked: list[bool] = []
    found = _trouble_with(lambda: checked.append(_check(path)))
    size, broken = os.path.getsize(path), sorted(glob.glob(glob.escape(path) + ".broken-*"))
    return {"path": path, "bytes": size, "checked": checked == [True], "trouble": found, "broken": broken}


def _machine() -> Fact:
    return {"ours": machine.is_ours(), "mend": machine.mend()}


def _restart() -> Fact:
    """Who will call ``wake`` when the host comes up again."""
    login = detach.login()
    return {
        "systemd": login.systemd and login.user_bus,
        "prepared": wake.is_prepared(),
        "lingers": login.lingers,
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "cron": shutil.which("crontab") is not None,
        "scheduled": "wake" in _said("crontab", "-l") if shutil.which("crontab") else False,
        "command": wake.command(),
    }


def _check(path: str) -> bool:
    """Whether there was time to look at all of it; raises what is wrong with it."""
    until = time.monotonic() + _PATIENCE
    database = sqlite3.connect(path, timeout=_PATIENCE)
    database.set_progress_handler(lambda: time.monotonic() > until, 10000)
    try:
        (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return False
        raise
    finally:
        database.close()
    if said != "ok":
        raise sqlite3.DatabaseError("malformed: %s" % said)
    return True


_LOOKS: Mapping[str, Callable[[], Any]] = {
    "python": _python,
    "tmux": _tmux,
    "login": _login,
    "places": _places,
    "memory": host.facts,
    "shell": _shell,
    "agents": _agents,
    "ledger": _ledger,
    "machine": _machine,
    "restart": _restart,
}
