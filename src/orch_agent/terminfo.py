"""Which kinds of terminal this host knows: a laptop's may be younger than the host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

COMMON = "xterm-256color"
"""What nearly every terminal of today understands and nearly every host knows."""
_PLACES = (
    *("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/usr/share/lib/terminfo"),
    *("/usr/local/share/terminfo", "/opt/homebrew/share/terminfo", "/run/current-system/sw/share/terminfo"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z")


def knows(term: str) -> bool:
    """Whether programs here can use a terminal of this kind."""
    return _NAME.match(term) is not None and (any(_holds(place, term) for place in _places()) or _is_found(term))


def _places() -> list[str]:
    """In the order of ncurses; an empty entry of TERMINFO_DIRS means its own places, which come anyway."""
    named = [os.environ.get("TERMINFO", ""), os.path.expanduser("~/.terminfo")]
    return [place for place in (*named, *os.environ.get("TERMINFO_DIRS", "").split(":"), *_PLACES) if place]


def _holds(place: str, term: str) -> bool:
    """By the first letter, or on systems that do not tell upper from lower case (macOS) by its code."""
    return any(os.path.exists(os.path.join(place, first, term)) for first in (term[0], "%x" % ord(term[0])))


def _is_found(term: str) -> bool:
    """By ncurses itself, which may have its places elsewhere, or all kinds in one file."""
    if shutil.which("infocmp") is None:
        return False
    try:
        return subprocess.run(["infocmp", term], stdin=-3, stdout=-3, stderr=-3, timeout=5).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
