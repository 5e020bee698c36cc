"""What systemd's logind does with what a person started, once that person has logged out.

Only what logind itself says is sure. Where it cannot be asked, its files are read as it reads them: a drop-in counts
more than the file, one in /etc hides its namesakes elsewhere, and what is commented out in the file that systemd came
with is the default it was compiled with (logind.conf(5)).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Optional

from . import files

SETTING = "KillUserProcesses"
_PATIENCE = 3.0
"""Seconds that the bus may take to answer."""
_PLACES = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
_BOOLEANS = {
    **dict.fromkeys(("1", "yes", "y", "true", "t", "on"), True),
    **dict.fromkeys(("0", "no", "n", "false", "f", "off"), False),
}


def kills_user_processes() -> Optional[bool]:
    """Whether the end of a login ends what it left running; None where that cannot be known."""
    told = _ask()
    return configured(map(files.read_text, _files(_PLACES))) if told is None else told


def _ask() -> Optional[bool]:
    import subprocess

    name = "org.freedesktop.login1"
    words = ["busctl", "get-property", name, "/org/freedesktop/login1", name + ".Manager", SETTING]
    try:
        done = subprocess.run(words, stdin=-3, stdout=-1, stderr=-3, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {b"b true": True, b"b false": False}.get(done.stdout.strip())


def _files(places: Sequence[str]) -> list[str]:
    """The files that count, the weakest first."""
    main = [path for path in (os.path.join(place, "logind.conf") for place in places) if os.path.exists(path)]
    drop_ins: dict[str, str] = {}
    for place in reversed(places):
        folder = os.path.join(place, "logind.conf.d")
        if os.path.isdir(folder):
            drop_ins.update((name, os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".conf"))
    return main[:1] + [drop_ins[name] for name in sorted(drop_ins)]


def configured(texts: Iterable[Optional[str]]) -> Optional[bool]:
    """What files with these texts say, the weakest first."""
    default: Optional[bool] = None
    chosen: Optional[bool] = None
    for text in texts:
        for line in (text or "").splitlines():
            key, _, value = line.strip().partition("=")
            said = _BOOLEANS.get(value.strip().lower())
            if key.strip() == SETTING and said is not None:
                chosen = said
            elif key.strip(" \t#;") == SETTING and default is None:
                default = said
    return default if chosen is None else chosen
