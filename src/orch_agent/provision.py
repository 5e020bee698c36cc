"""tmux, where a codespace's image has none: installed once for every start of it, by whoever comes first.

Jobs need none; only ``attach`` waits for it. What went wrong is remembered, and told to whoever attaches.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Optional

from . import codespace, files, layout, locks, procs
from .launch import detach, tmux

_PATIENCE = 300.0
"""Seconds that an installation may take."""
_LOOK = 0.1
_APT = "apt-get -o DPkg::Lock::Timeout=120"
"""It waits for others who install something when a codespace begins."""


def begin() -> None:
    """Have it installed in the background, if it is missing."""
    if _is_missing() and _failure() is None:
        detach.aside(_install)


def finish() -> Optional[str]:
    """Wait until it is there, installed by us if need be; what went wrong, or None."""
    if not _is_missing():
        return None
    until = time.monotonic() + _PATIENCE
    while _failure() is None and not tmux.available() and time.monotonic() < until:
        _install()
        time.sleep(_LOOK)
    return None if tmux.available() else _failure() or "its installation takes too long"


def _is_missing() -> bool:
    return codespace.is_here() and not tmux.available()


def _install() -> None:
    """Unless somebody does, or did."""
    lock = locks.try_hold(layout.tmux_file())
    if lock is None:
        return
    try:
        if not tmux.available() and _failure() is None:
            _write(lock, _try())
    finally:
        os.close(lock)


def _try() -> Optional[str]:
    command = tmux.install_command()
    if command.startswith("install "):
        return "there is no package manager that orch knows"
    words = command.replace("sudo ", "sudo -n ", 1)
    if "apt-get" in command:
        apt, _, rest = words.replace("apt-get", _APT).partition("install")
        words = f"{apt}install{rest} || {{ {apt}update && {apt}install{rest}; }}"
    env = {**detach.environment(), "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            ["sh", "-c", words], stdin=-3, stdout=-1, stderr=-2, env=env, start_new_session=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "%s failed: %s" % (command, type(error).__name__)
    said = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return None if tmux.available() else "%s failed: %s" % (command, said[-1] if said else done.returncode)


def _failure() -> Optional[str]:
    """What went wrong since the codespace has started."""
    said = files.read_table(layout.tmux_file())
    failed = said.get("failed")
    return failed if isinstance(failed, str) and said.get("boot") == procs.boot_id() else None


def _write(lock: int, failed: Optional[str]) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"boot": procs.boot_id(), "failed": failed}).encode("ascii"), 0)
