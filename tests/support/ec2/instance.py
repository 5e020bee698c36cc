"""One machine at Amazon: a namespace machine that boots as cloud-init would boot it."""

from __future__ import annotations

import base64
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import disk
from tests.support.ec2.loopback import address
from tests.support.machine import PATH, Machine
from tests.support.root import as_root

USER = "ec2-user"
_IN_HASTE = "/opt/imitated/in-haste"  # where sleep does not sleep: nobody waits for a bootstrap that tries again
_KNOWN = "/etc/ssh/instance_connect_keys"


class Instance(Machine):
    """The machine of ``model``, moto's instance. It has no key of its own; user data runs at its first boot, as root.

    ``cut``: it is to end, and whoever waits for it gives up. ``changing`` is held while it boots or stops.
    """

    def __init__(self, model: Any) -> None:
        lines = [f"AuthorizedKeysFile .ssh/authorized_keys {_KNOWN}"]
        super().__init__(model.id, user=USER, system=True, sshd=lines)
        self.model = model
        self.changing = threading.Lock()
        self.cut = False
        self.prepared = False
        self.on = False
        self.console = self._place / "console"
        self.console.touch()
        self._said = b""
        self._lines = lines
        self._first = True
        self.before_off: Callable[[], None] = lambda: None
        self._jobs: list[subprocess.Popen[bytes]] = []
        cloud = self._place / "system/var/lib/cloud/data"
        cloud.mkdir(parents=True)
        (cloud / "instance-id").write_text(f"{model.id}\n")
        (self._place / "log/wtmp").touch()
        self.install(f"{_IN_HASTE}/sleep", "#!/bin/sh\n")
        self.write(".ssh/authorized_keys", self._key_of_the_account(), 0o600)
        (self._place / "etc/ssh" / Path(_KNOWN).name).touch()

    def _key_of_the_account(self) -> str:
        pair = self.model.ec2_backend.key_pairs.get(self.model.key_name)
        return f"{pair.public_key.strip()}\n" if pair else ""

    def path(self, there: str) -> Path:
        """Where a file of the machine's lies here."""
        inside = Path(there).relative_to("/")
        home = Path(f"home/{USER}")
        if inside.is_relative_to(home):
            return self.home / inside.relative_to(home)
        if inside.is_relative_to("usr/local/bin"):
            return self._place / "bin" / inside.name
        return self._place / "system" / inside

    def there(self, file: Path) -> str:
        """What a file that lies here is called on the machine; a ``ValueError`` if it is none of its own."""
        if file.is_relative_to(self.home):
            return f"/home/{USER}/{file.relative_to(self.home)}"
        return f"/{file.relative_to(self._place / 'system')}"

    def install(self, there: str, text: str) -> None:
        """Put a program on its disk, before it boots."""
        file = self.path(there)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def knows(self, key: str, seconds: float) -> None:
        """Instance Connect: a public key that lets in for a while."""
        until = time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds))
        with (self._place / "etc/ssh" / Path(_KNOWN).name).open("a") as file:
            file.write(f'expiry-time="{until}" {key.strip()}\n')

    # Power

    def boot(self) -> None:
        """Switch it on at its address of today; what runs by itself starts."""
        self.cut = False
        self.ip, self.port = self.model.public_ip_address or address(), 22
        config = disk.sshd_config(f"{self.ip}:22", False, self._lines)
        (self._place / "etc/ssh/sshd_config").write_text(config)
        super().boot()
        self.on = True
        if self._first:
            self._first = False
            self._run_user_data()
        self._start("/usr/local/sbin/imitated-systemd")

    def _run_user_data(self) -> None:
        text = base64.b64decode(self.model.user_data or "") or b"#!/bin/sh\n"
        script = "/var/lib/cloud/user-data"
        self.run(f"cat >{script}; chmod 700 {script}", "root", input=text.decode())
        self._start("env", f"PATH={_IN_HASTE}:{PATH}", script)

    def _start(self, *argv: str) -> None:
        with self.console.open("ab") as output:
            inside = self.inside(argv, "root")
            job = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._jobs.append(job)

    def shut_down(self) -> None:
        """Off, as the API or ``systemctl poweroff`` does it."""
        if self.on:
            self.before_off()
        self.on = False
        self.power_off()
        for job in self._jobs:
            job.wait()
        self._jobs.clear()

    def close(self) -> None:
        """Away with it, its disk too; what was on its console is still known."""
        self.shut_down()
        if self.console.exists():
            self._said = self.console.read_bytes()
        as_root("rm", "-rf", str(self._place / "system"))
        super().close()

    def on_console(self) -> bytes:
        """All that was printed there."""
        return self.console.read_bytes() if self.console.exists() else self._said
