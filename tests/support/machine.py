"""A computer of its own, made of namespaces, with a real sshd.

Invariants
- Its processes, mounts, host name, accounts, /home, /root, /run and /tmp are its own; programs are this machine's.
  It is reached as the account ``me``, or ``user``, whose home is ``machine.home`` here and /home/me there.
- Killing its first process is the power cut: nothing of it lives on. That also happens when the tests die.
- Nothing of it is mounted, listed or left outside, but one temporary directory that ``close`` removes.
Needs Linux, and root or sudo without a password.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support import disk
from tests.support.agent import PYTHON, eventually
from tests.support.keys import make_key, ssh_key
from tests.support.link import Link
from tests.support.root import SUDO, Held

PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_SSHD = "sshd|sshd-session|sshd-auth"


def _free_port() -> int:
    """Not one of those that the kernel gives to clients, so that it stays free while the machine is off."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Machine:
    """A machine, switched off until ``boot``.

    ``python`` is what ``python3`` is there, or None for none at all; ``without`` are patterns of programs of /usr/bin
    that it lacks; ``sshd`` are lines of sshd_config, before all others. With ``password`` the account has one, and no
    key is known. With a ``link`` it is the one machine at the link's far end. One with ``system`` has an /etc, /usr,
    /var and /opt that root may change there: they begin as this machine's, and the changes lie on its disk.
    """

    def __init__(
        self,
        name: str = "box",
        *,
        shell: str = "bash",
        python: str | None = PYTHON,
        without: Iterable[str] = (),
        password: bool = False,
        sshd: Iterable[str] = (),
        link: Link | None = None,
        home: Path | None = None,
        user: str = "me",
        system: bool = False,
    ) -> None:
        self.name = name
        self.link = link
        self.ip = link.far if link else "127.0.0.1"
        self.port = 22 if link else _free_port()
        self.user = user
        self._directory = tempfile.TemporaryDirectory(prefix="orch-machine-", dir="/tmp", ignore_cleanup_errors=True)
        self._place = Path(self._directory.name)
        self.home = home or self._place / "home"
        self.known_hosts = self._place / "known_hosts"
        self.log = self._place / "log" / "sshd.log"
        self._init: Held | None = None
        self._prefix, self._hidden = "/usr", list(without)
        for directory in ("bin", "etc/ssh", "log", *(["system"] if system else [])):
            (self._place / directory).mkdir(parents=True)
        if python is None:
            self._hidden.append("python*")
        else:
            self._prefix = disk.add_python(self._place / "bin", python)
        disk.add_accounts(self._place / "etc", shell, user)
        (self._place / "etc/hosts").write_text(f"127.0.0.1 localhost {name}\n")
        self._set_up_sshd(password, sshd)
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o755)
        os.chown(self.home, disk.UID, disk.GID)
        if not password:
            self.authorize(ssh_key())

    def _set_up_sshd(self, password: bool, lines: Iterable[str]) -> None:
        config = disk.sshd_config(f"{self.ip}:{self.port}", password, lines)
        (self._place / "etc/ssh/sshd_config").write_text(config)
        self.log.touch()
        self.new_host_key()
        key = (self._place / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        self.known_hosts.write_text(f"{self.ip if self.port == 22 else f'[{self.ip}]:{self.port}'} {key}")

    def authorize(self, key: Path) -> None:
        """Let the holder of a private key log in."""
        file = self.home / ".ssh/authorized_keys"
        known = file.read_text() if file.exists() else ""
        self.write(".ssh/authorized_keys", known + Path(f"{key}.pub").read_text(), 0o600)

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """A file in the account's home, and the directories on its way."""
        path = self.home / name
        for directory in reversed(path.relative_to(self.home).parents[:-1]):
            if not (self.home / directory).exists():
                (self.home / directory).mkdir(mode=0o700)
                os.chown(self.home / directory, disk.UID, disk.GID)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, disk.UID, disk.GID)
        return path

    # How it is reached

    @property
    def address(self) -> str:
        """As ssh takes it."""
        return f"{self.user}@{self.ip}"

    @property
    def ssh_options(self) -> dict[str, str]:
        """Keywords of ssh_config: nothing of the person's own ~/.ssh is used."""
        return {
            "Port": str(self.port),
            "IdentityFile": str(ssh_key()),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
        }

    def config(self, name: str | None = None, **changed: str) -> str:
        """Its table in orch's configuration; ``changed`` are other or further ssh options."""
        options = {**self.ssh_options, **changed}
        inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
        return (
            f'[hosts.{name or self.name}]\nprovider = "ssh"\naddress = "{self.address}"\nssh_options = {{ {inline} }}\n'
        )

    def ssh(self, *words: str, **changed: str) -> list[str]:
        """The command line of a plain ssh to it."""
        options = {**self.ssh_options, "BatchMode": "yes", **changed}
        argv = ["ssh", "-F", "none", *(f"-o{key}={value}" for key, value in options.items()), self.address, *words]
        return self.link.here(argv) if self.link else argv

    # Power

    def boot(self) -> None:
        """Switch it on: the same disk, an empty /tmp, a fresh boot id, sshd listening."""
        assert self._init is None, f"{self.name} is on already"
        (self._place / "boot_id").write_text(f"{uuid.uuid4()}\n")
        where = [str(self._place), str(self.home), self._prefix]
        self._init = Held(
            *(self.link.there([]) if self.link else []),
            *("unshare", "--fork", "--pid", "--mount", "--uts", "--kill-child"),
            *(str(Path(__file__).with_name("boot")), self.name, *where, self.user, *self._hidden),
        )
        if self.link:
            self.link.far_end_up()
        self.start_sshd()

    def power_off(self) -> None:
        """Cut its power. Over a link nobody hears of it; on loopback the kernel closes its connections."""
        if self._init is None:
            return
        if self.link:
            self.link.far_end_down()
        self._init.kill()
        self._init = None
        if self.link:
            self.link.forget_connections()

    def reboot(self) -> None:
        """Cut its power, and boot."""
        self.power_off()
        self.boot()

    def close(self) -> None:
        """Away with it."""
        self.power_off()
        self._directory.cleanup()

    # What runs on it

    def inside(self, argv: Iterable[str], user: str | None = None) -> list[str]:
        """What to run here so that ``argv`` runs there, without ssh."""
        assert self._init, f"{self.name} is off"
        user = user or self.user
        home, shell = ("/root", "/bin/bash") if user == "root" else (f"/home/{user}", "/bin/sh")
        environment = [f"HOME={home}", f"USER={user}", f"LOGNAME={user}", f"SHELL={shell}"]
        enter = ["nsenter", f"--target={self._init.pid}", "--mount", "--uts", "--pid", "--net"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return [*SUDO, *enter, *become, "env", "-i", f"--chdir={home}", *environment, f"PATH={PATH}", *argv]

    def run(
        self, script: str, user: str | None = None, check: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a script by its ``sh``, without ssh; a status other than 0 fails the test unless ``check`` is off."""
        argv = self.inside(["sh", "-c", script], user)
        done = subprocess.run(argv, text=True, check=False, **{"capture_output": True, "timeout": 60, **more})
        assert done.returncode == 0 or not check, f"{script}: status {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def processes(self) -> list[tuple[int, list[str]]]:
        """Pid there and command line of everything that runs on it, its first process left out."""
        said = self.run("echo $$; cd /proc; exec grep -azH '' [0-9]*/cmdline", user="root", check=False).stdout
        own, _, rest = said.partition("\n")
        found: dict[int, list[str]] = {}
        for word in rest.split("\0")[:-1]:
            file, _, text = word.partition(":")
            found.setdefault(int(file.partition("/")[0]), []).append(text)
        return [(pid, argv) for pid, argv in found.items() if pid not in (1, int(own))]

    def seen(self, path: str) -> Path:
        """A path of its own file systems, as root reaches it from here while it is on."""
        assert self._init, f"{self.name} is off"
        return Path(f"/proc/{self._init.pid}/root{path}")

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process of its own, by its pid there."""
        self.run(f"kill -{int(number)} {pid}", user="root")

    # Its sshd

    def start_sshd(self) -> None:
        """Start it; returns when it listens."""
        before = len(self._logged("Server listening"))
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        self.run(f"{sshd} -f /etc/ssh/sshd_config -E /var/log/sshd.log", user="root")
        eventually(lambda: len(self._logged("Server listening")) > before, f"{self.name}'s sshd listens")

    def stop_sshd(self) -> None:
        """Kill the listener and every connection; what runs on the machine lives on."""
        self.run(f"while pkill -KILL -x '{_SSHD}'; do sleep 0.01; done", user="root")

    def restart_sshd(self) -> None:
        """Kill the listener and every connection; start it again."""
        self.stop_sshd()
        self.start_sshd()

    def freeze_sshd(self) -> None:
        """The machine takes connections, and says nothing any more on any of them."""
        self.run(f"pkill -STOP -x '{_SSHD}'", user="root")

    def thaw_sshd(self) -> None:
        """It goes on where it was frozen."""
        self.run(f"pkill -CONT -x '{_SSHD}'", user="root")

    def new_host_key(self) -> None:
        """Another host key, from the next start of sshd on; ``known_hosts`` still has the first."""
        path = self._place / "etc/ssh/ssh_host_ed25519_key"
        path.unlink(missing_ok=True)
        make_key(path)

    def sessions(self) -> list[str]:
        """What was asked of sshd since the machine was made: ``command``, ``shell``, ``subsystem 'sftp'``."""
        return self._logged(r"Starting session: (.+?)(?: on \S+)? for \S+ from")

    def connections(self) -> int:
        """How often somebody has logged in."""
        return len(self._logged(r"Accepted \S+ for "))

    def _logged(self, pattern: str) -> list[str]:
        return re.findall("^" + pattern, self.log.read_text(), re.M)
