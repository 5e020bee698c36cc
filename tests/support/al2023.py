"""A machine with what an Amazon Linux 2023 has at its first boot, as far as orch goes by it.

Invariants
- What a stop and a start of an EC2 instance keeps, is kept by ``power_off`` and ``boot``: ``system`` holds it.
- Programs that only a real one could run are stubs: each writes its call to ``calls``, fails as often as ``fails``
  says, and then does what ``programs`` says, or nothing. Everything else is real.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.machine import Machine

INSTANCE = "i-0123456789abcdef0"
SIGNAL, CLOUDWATCH = "cfn-signal", "amazon-cloudwatch-agent-ctl"
_AT = {
    **dict.fromkeys(("dnf", "systemctl", "loginctl", "aws"), "bin"),
    "sleep": "system/opt/aws/quick",
    SIGNAL: "system/opt/aws/bin",
    CLOUDWATCH: "system/opt/aws/amazon-cloudwatch-agent/bin",
}
_STUB = """\
#!/bin/sh
name=${0##*/}
{ printf '%s' "$name"; printf '\\t%s' "$@"; echo; } >>/var/log/calls
left=$(cat "/var/log/fails-$name" 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
    echo $((left - 1)) >"/var/log/fails-$name"
    exit 1
fi
"""


class AmazonLinux(Machine):
    """One that was never booted. ``programs``: lines of ``sh`` by which a stub does more than to tell of its call."""

    def __init__(
        self,
        name: str = "box",
        *,
        instance: str = INSTANCE,
        programs: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        # Its sftp is a program of its own, as there.
        sshd = ["Subsystem sftp /usr/lib/openssh/sftp-server", *options.pop("sshd", ())]
        super().__init__(name, user="ec2-user", system=True, sshd=sshd, **options)
        self.home.chmod(0o700)
        cloud = self._place / "system/var/lib/cloud/data"
        cloud.mkdir(parents=True)
        (cloud / "instance-id").write_text(f"{instance}\n")
        (self._place / "log/wtmp").touch()
        for program, where in _AT.items():
            self.stub(where, program, (programs or {}).get(program, ""))

    def stub(self, where: str, program: str, lines: str = "") -> None:
        """Put a program in place that writes down its calls; ``lines`` are what else it does."""
        path = self._place / where / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_STUB + lines)
        path.chmod(0o755)

    def path(self, absolute: str) -> Path:
        """Where a file of its disk is, seen from here: to be read, or written while it is off."""
        if absolute.startswith("/var/log/"):
            return self._place / "log" / absolute.removeprefix("/var/log/")
        return self._place / "system" / absolute.lstrip("/")

    def fails(self, program: str, times: int) -> None:
        """Have a stub fail so often."""
        (self._place / "log" / f"fails-{program}").write_text(f"{times}\n")

    def calls(self, program: str = "") -> list[list[str]]:
        """What the stubs were called with, program first; of one, or of all."""
        file = self._place / "log/calls"
        found = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
        return [words for words in found if program in ("", words[0])]

    def cloud_init(self, user_data: str) -> subprocess.CompletedProcess[str]:
        """Run user data as cloud-init does at the first boot, but that nobody sleeps while it runs."""
        script = "/var/lib/cloud/data/user-data"
        self.run(f"install -m 700 /dev/stdin {script}", user="root", input=user_data)
        return self.run(f"PATH=/opt/aws/quick:$PATH exec {script}", user="root", check=False, timeout=120)
