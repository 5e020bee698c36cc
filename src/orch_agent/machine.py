"""Whose ledger this is. A disk that was copied to another machine brings jobs along that the first one will run, too.

So what is pending waits there, until somebody says that it shall run: by removing the file that tells the machine.
"""

from __future__ import annotations

import json
import shlex
from typing import Optional

from . import codespace, files, layout

HELD = "waits to be let go: this disk was copied from another machine (orch doctor --fix)"
"""Why jobs are pending then."""
_SIGNS = {"machine": "/etc/machine-id", "instance": "/var/lib/cloud/data/instance-id"}


def identity() -> dict[str, str]:
    """What tells this machine from a copy of it; on macOS, and in many a container, nothing does.

    A codespace's machine changes under it: its name is what stays.
    """
    if codespace.is_here():
        return {"codespace": codespace.name()}
    found = {key: (files.read_text(path) or "").strip() for key, path in _SIGNS.items()}
    return {key: text for key, text in found.items() if text not in ("", "uninitialized")}


def is_ours() -> bool:
    """Whether the ledger is this machine's. One that was nobody's is from now on."""
    here, kept = identity(), _kept()
    if kept is None:
        try:
            files.write_whole(layout.machine_file(), json.dumps(here) + "\n")
        except OSError:
            pass  # a full disk: next time
        return True
    return all(kept.get(key, text) == text for key, text in here.items())


def mend() -> str:
    """The command, for a shell on this host, by which its jobs are let go."""
    return "rm %s" % shlex.quote(layout.machine_file())


def _kept() -> Optional[dict[str, str]]:
    return files.read_table(layout.machine_file()) or None
