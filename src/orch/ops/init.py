"""Write the configuration file."""

from __future__ import annotations

import os

from orch import paths
from orch.errors import OrchError

_TEXT = """\
# Where orch runs jobs. One [hosts.NAME] for each host.
default_host = "{name}"

[hosts.{name}]
provider = "local"          # this machine
"""


def exists() -> bool:
    """Whether there is something that must not be lost."""
    return os.path.lexists(paths.config_file())


def write(name: str, overwrite: bool = False) -> str:
    """Write a configuration whose one host is this machine, called ``name``; gives the path."""
    target = paths.config_file()
    if exists() and not overwrite:
        raise OrchError(
            "refused", f"{target} exists and stays as it is", f"edit it, or move it away: mv {target} {target}.old"
        )
    aside = f"{target}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(target) or ".", mode=0o700, exist_ok=True)
        with open(aside, "w", encoding="utf-8") as file:
            file.write(_TEXT.format(name=name))
        os.replace(aside, target)
    except OSError as error:
        raise OrchError(
            "refused", f"cannot write {target}: {error.strerror}", "ORCH_CONFIG=FILE names another"
        ) from None
    return target
