"""A codespace: a machine of namespaces, with what GitHub puts into one."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import disk
from tests.support.keys import ssh_key
from tests.support.machine import Machine
from tests.support.root import as_root

if TYPE_CHECKING:
    from tests.support.github.knobs import Knobs

USER = "codespace"
_SECRETS = "workspaces/.codespaces/shared/.env-secrets"
_INSIDE = Path(__file__).parent / "inside"


class Codespace(Machine):
    """One that is being created; ``asked`` is the body of the call that did so.

    ``changing`` is held while its state changes. ``token`` is the GITHUB_TOKEN of its present run. Times are epoch
    seconds, but that ``started`` and ``active`` are of the monotonic clock.
    """

    def __init__(self, name: str, number: int, repository: dict[str, Any], asked: dict[str, Any], knobs: Knobs) -> None:
        super().__init__(name, user=USER, system=True)
        self.number = number
        self.repository = repository
        self.display_name = asked.get("display_name") or name
        self.machine_name: str = asked["machine"]
        self.next_machine = self.machine_name
        self.ref = asked.get("ref") or repository["default_branch"]
        self.devcontainer_path = asked.get("devcontainer_path")
        self.idle_timeout_minutes: int = asked.get("idle_timeout_minutes") or 30
        self.retention_minutes: int = asked.get("retention_period_minutes", 30 * 24 * 60)
        self.created_at = self.last_used_at = time.time()
        self.expires_at: float | None = None
        self.started = self.active = 0.0
        self.state = "Queued"
        self.dirty = False
        self.token = ""
        self.changing = threading.RLock()
        self.image = set(knobs.image)
        self._jobs: list[subprocess.Popen[bytes]] = []
        self._furnish(knobs)

    @property
    def root(self) -> Path:
        """Where directories of its root lie here."""
        return self._place / "root"

    @property
    def workspaces(self) -> Path:
        """Its /workspaces, seen from here."""
        return self.root / "workspaces"

    def _furnish(self, knobs: Knobs) -> None:
        folder = self.workspaces / self.repository["name"]
        for directory in (folder, self.root / "imitated", (self.root / _SECRETS).parent):
            directory.mkdir(parents=True)
        (folder / "README.md").write_text(f"{self.repository['full_name']}\n")
        self._install("etc/sudoers.d/codespace", f"{USER} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
        if knobs.apt != "absent":
            self._install("usr/bin/apt-get", (_INSIDE / "apt-get").read_text(), 0o755)
        if knobs.apt == "fails":
            (self.root / "imitated/apt-fails").touch()
        shutil.copy(shutil.which("tmux") or "", self.root / "imitated/tmux")
        as_root("chown", "-R", "0:0", str(self._place / "system"))
        if not os.getuid():
            as_root("chown", "-R", f"{disk.UID}:{disk.GID}", str(self.workspaces))

    def _install(self, there: str, text: str, mode: int) -> None:
        file = self._place / "system" / there
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def reach(self, socket: Path, gh: Path) -> None:
        """Give it a way to GitHub, and a gh that takes it, if it has one."""
        _link(socket, self.root / "imitated/github")
        self.write(".config/gh/config.yml", "version: 1\nhttp_unix_socket: /imitated/github\n", 0o600)
        if "gh" in self.image:
            _link(gh, self._place / "bin/gh")

    def lets_in(self, key: str) -> None:
        """A public key that may log in from now on."""
        file = self.home / ".ssh/authorized_keys"
        known = file.read_text()
        if key not in known.splitlines():
            self.write(".ssh/authorized_keys", f"{known}{key}\n", 0o600)

    def put_secrets(self, secrets: dict[str, str]) -> None:
        """What its user's and its repository's secrets are; its token is one of them."""
        lines = {**secrets, "GITHUB_TOKEN": self.token}
        text = "".join(f"{key}={base64.b64encode(lines[key].encode()).decode()}\n" for key in lines)
        file = self.root / _SECRETS
        aside = file.with_suffix(".new")
        aside.write_text(text)
        os.chown(aside, disk.UID, disk.GID)
        aside.replace(file)

    # Power

    def switch_on(self, knobs: Knobs, token: str, secrets: dict[str, str]) -> None:
        """Start it, with a token of its own; processes and /tmp are new, disks are what they were."""
        self.token = token
        self.put_secrets(secrets)
        self._hidden = ["gh"]
        if "tmux" not in self.image and not (self._place / "system/var/lib/imitated/tmux").exists():
            self._hidden.append("tmux")
        config = disk.sshd_config(f"{self.ip}:{self.port}", False, [self._environment_of_sessions(knobs)])
        (self._place / "etc/ssh/sshd_config").write_text(config)
        self.boot()
        if knobs.post_start:
            self._post_start(knobs)

    def environment(self, knobs: Knobs) -> dict[str, str]:
        """What everything that GitHub or ssh starts there has in its environment."""
        return {
            "CODESPACES": "true",
            "CODESPACE_NAME": self.name,
            "GITHUB_REPOSITORY": self.repository["full_name"],
            "GITHUB_USER": self.repository["owner"]["login"],
            "GITHUB_TOKEN": self.token,
            "ORCH_MINUTE": f"{knobs.minute:g}",
        }

    def _environment_of_sessions(self, knobs: Knobs) -> str:
        return "SetEnv " + " ".join(f"{key}={value}" for key, value in self.environment(knobs).items())

    def _post_start(self, knobs: Knobs) -> None:
        pairs = [f"{key}={value}" for key, value in self.environment(knobs).items()]
        folder = f"/workspaces/{self.repository['name']}"
        script = f"cd {shlex.quote(folder)} && {knobs.post_start}"
        with (self._place / "log/post-start").open("ab") as output:
            argv = self.inside(["env", *pairs, "bash", "-c", script])
            self._jobs.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output))

    def switch_off(self) -> None:
        """Everything that runs there ends, now."""
        self.power_off()
        for job in self._jobs:
            job.wait()
        self._jobs.clear()

    def rebuild_disk(self) -> None:
        """What a rebuild of its container does: /workspaces stays, home and what was installed are gone."""
        as_root("find", str(self.home), "-mindepth", "1", "-delete")
        as_root("rm", "-rf", *(str(self._place / "system" / name) for name in ("var/lib/imitated", "usr/bin/tmux")))
        self.authorize(ssh_key())

    def close(self) -> None:
        """Away with it."""
        self.switch_off()
        as_root("rm", "-rf", str(self._place / "system"), str(self.root))
        super().close()

    def read(self, there: str) -> str:
        """A file of its /workspaces; a path below that."""
        return (self.workspaces / there).read_text()


def _link(source: Path, target: Path) -> None:
    """The same file at another place; a copy where that is on another disk."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
