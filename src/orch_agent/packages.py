"""How a program that this host lacks is installed: by the package manager that is here."""

from __future__ import annotations

import os
import shutil
from typing import Optional

_MANAGERS = {
    "apt-get": "apt-get install -y",
    "dnf": "dnf install -y",
    "yum": "yum install -y",
    "apk": "apk add",
    "pacman": "pacman -S --noconfirm",
    "zypper": "zypper install -y",
    "brew": "brew install",
}
_PACKAGES = {
    "ssh-keygen": {
        **dict.fromkeys(("dnf", "yum", "zypper"), "openssh-clients"),
        **dict.fromkeys(("pacman", "brew"), "openssh"),
        "apt-get": "openssh-client",
        "apk": "openssh-keygen",
    },
}
"""Packages that are not called as the program is."""


def install_command(program: str) -> Optional[str]:
    """What to type; None where there is no package manager that we know."""
    manager = next(filter(shutil.which, _MANAGERS), None)
    if manager is None:
        return None
    sudo = "" if os.getuid() == 0 or manager == "brew" else "sudo "
    return "%s%s %s" % (sudo, _MANAGERS[manager], _PACKAGES.get(program, {}).get(manager, program))
