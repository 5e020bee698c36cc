"""Write the configuration file."""

from __future__ import annotations

import os
import re

from orch import files, paths
from orch.config import LOCAL, table_of
from orch.errors import OrchError, usage
from orch.model import Host

from .hosts import connect

_TEXT = """\
# Where orch runs jobs. One [hosts.NAME] for each host.
default_host = "{name}"

{table}
"""
_MORE = {
    "ssh": """\
# ssh_options = { Port = "2222", IdentityFile = "~/.ssh/box" }     # any keyword of ssh_config(5)
""",
    "ec2": """\
instance_type = "t3.2xlarge"     # 8 processors, 32 GB
disk = "100GB"
idle_stop = "30m"                # after the last job, or use; "never"
access = "ssm"                   # through Session Manager; "ssh": port 22, open to this laptop's address
""",
}


def exists() -> bool:
    """Whether there is something that must not be lost."""
    return os.path.lexists(paths.config_file())


def write(host: Host, overwrite: bool = False) -> str:
    """Write a configuration whose default is ``host``; gives the path. This machine, which may have jobs, stays one."""
    target = paths.config_file()
    address = host.options.get("address", "")
    if re.fullmatch(r"[^:/]+:[0-9]+", address):
        raise usage(
            f"ssh takes {address!r} for a name: a port is written otherwise", f"orch init --ssh ssh://{address}"
        )
    connect(host._replace(source=target))  # says what is wrong with an address
    if exists() and not overwrite:
        raise OrchError("refused", f"{target} exists and stays as it is", _instead(host, target))
    try:
        files.write_whole(target, _text(host), 0o644)
    except OSError as error:
        raise OrchError(
            "refused", f"cannot write {target}: {error.strerror}", "ORCH_CONFIG=FILE names another"
        ) from None
    return target


def _text(host: Host) -> str:
    text = _TEXT.format(name=host.name, table=table_of(host)) + _MORE.get(host.provider, "")
    return text if host.provider == "local" or host.name == LOCAL.name else f"{text}\n{table_of(LOCAL)}\n"


def _instead(host: Host, target: str) -> str:
    if host.provider != "local":
        return f"add to it:\n{table_of(host)}"
    return f"edit it, or move it away: mv {target} {target}.old"
