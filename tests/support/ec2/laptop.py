"""A laptop whose default host is at the imitated EC2."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.ec2.cloud import REGION, Cloud
from tests.support.laptop import Laptop

_PLUGIN = """\
#!/bin/sh
[ "$1" != --version ] || { echo %s; exit; }
exec %s -ISE %s "$@"
"""
OLD, NEW = "1.2.463.0", "1.2.764.0"


class CloudLaptop(Laptop):
    """``orch`` that knows the host ``name`` in ``cloud``; ``options`` are further keys of its table, as TOML."""

    def __init__(self, cloud: Cloud, name: str = "cloud", **options: str | int) -> None:
        super().__init__()
        self.name = name
        self.bin = self.home / "bin"
        self.bin.mkdir()
        self.env.update(cloud.environment())
        places = {"AWS_CONFIG_FILE": ".aws/config", "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials"}
        self.env.update({key: str(self.home / place) for key, place in places.items()})
        self.env["PATH"] = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        self.install_plugin(NEW)
        self.set(**options)

    def set(self, **options: str | int) -> None:
        """Write its configuration anew."""
        given = {"provider": "ec2", "region": REGION, **options}
        lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
        self.config.write_text("\n".join([f'default_host = "{self.name}"', f"[hosts.{self.name}]", *lines, ""]))

    def install_plugin(self, version: str | None) -> None:
        """Session Manager's plugin, of this version; None takes it away."""
        path = self.bin / "session-manager-plugin"
        path.unlink(missing_ok=True)
        if version:
            program = Path(__file__).with_name("plugin.py")
            path.write_text(_PLUGIN % (version, sys.executable, program))
            path.chmod(0o755)
