"""The agent of a codespace, on a machine of its own, whose gh is a script: GitHub begins there for these tests."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support import disk
from tests.support.agent import Agent, eventually
from tests.support.machine import PATH, Machine

NAME = "fluffy-waddle-7x"
GH = """\
#!/bin/sh
# Says what ~/said has for the last word, else 200; notes every call. `ssh` holds until its input closes.
echo "$GH_TOKEN $*" >>~/calls
for last; do :; done
case "$*" in
    codespace*)
        if [ -e ~/unreachable ]; then echo "error connecting: HTTP 403" >&2; exit 1; fi
        if [ -e ~/hangs ]; then exec sleep 1000; fi
        echo =orch=; echo "held $$" >>~/calls; cat >/dev/null; echo "ended $$" >>~/calls; exit 0;;
esac
status=$(cat ~/said/"$GH_TOKEN.${last##*/}" 2>/dev/null || cat ~/said/"${last##*/}" 2>/dev/null || echo 200)
echo "HTTP/2.0 $status Said"
[ "$status" -lt 300 ] || { echo "gh: Resource not accessible (HTTP $status)" >&2; exit 1; }
"""


class Codespace(Agent):
    """A machine as a codespace: its ``minute`` lasts so many seconds."""

    def __init__(self, machine: Machine, minute: float = 60.0, gh: bool = True, **env: str) -> None:
        self.machine = machine
        self.place = Path(f"/home/{machine.user}")
        home = machine.home
        (home / "bin").mkdir()
        (home / "said").mkdir()
        if gh:
            (home / "bin/gh").write_text(GH)
            (home / "bin/gh").chmod(0o755)
        super().__init__(home)
        self.says("start", 409)
        self.give(GITHUB_TOKEN="builtin")
        where = {"ORCH_HOME": f"{self.place}/.orch", "ORCH_SECRETS_FILE": f"{self.place}/.env-secrets"}
        self.env = {"ORCH_CODESPACE": NAME, "ORCH_MINUTE": str(minute), "PATH": f"{self.place}/bin:{PATH}", **where}
        self.env.update(env)
        for directory, _, names in os.walk(home):
            for path in (directory, *(os.path.join(directory, name) for name in names)):
                os.chown(path, disk.UID, disk.GID, follow_symlinks=False)

    def argv(self, verb: str, *words: str) -> list[str]:
        env = [f"{key}={value}" for key, value in self.env.items()]
        agent = f"{self.place}/.orch/{self.directory.name}"
        return self.machine.inside(["env", *env, "python3", "-I", "-S", agent, verb, *words])

    def give(self, **secrets: str) -> None:
        """What GitHub gives the codespace from now on."""
        lines = (f"{key}={base64.b64encode(value.encode()).decode()}\n" for key, value in secrets.items())
        (self.home / ".env-secrets").write_text("".join(lines))

    def says(self, what: str, status: int) -> None:
        """What GitHub says to calls whose path ends so, to all tokens or one: ``stop``, ``mine.start``."""
        (self.home / "said" / what).write_text(str(status))

    def calls(self, words: str = "") -> list[str]:
        """The calls of gh, and what became of those that were held."""
        path = self.home / "calls"
        return [line for line in path.read_text().splitlines() if words in line] if path.exists() else []

    def submit_with(self, name: str, command: str, settings: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """Submit a job with settings; the whole answer."""
        return self.call("submit", id=name, spec={"name": name, "command": command, **spec}, settings=settings)

    def is_watched(self) -> int | None:
        """The pid, there, of who watches over it."""
        found = [pid for pid, words in self.machine.processes() if words[-1:] == ["vigil"] or words[-2:-1] == ["vigil"]]
        return found[0] if found else None

    def restart(self) -> None:
        """As a stop and a start do: the same disk, no processes."""
        self.machine.reboot()

    def close(self) -> None:
        """Its machine ends what runs on it."""


def stops(codespace: Codespace, patience: float = 30.0) -> float:
    """When it was first asked to stop."""
    eventually(lambda: codespace.calls("/stop"), "it stops itself", patience)
    return time.time()


def run_script(codespace: Codespace, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program there, as GitHub does."""
    words = " ".join(f"{key}={value}" for key, value in env.items())
    return codespace.machine.run(f"{words} {script}")
