"""A laptop: ``orch`` with a home and a configuration of its own, on the near side of a link or of none."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path

from tests.support.cli import Orch
from tests.support.machine import Machine


class Laptop(Orch):
    """``orch`` that knows ``machines``, the first of which is its default host; ``more`` ends its configuration."""

    def __init__(self, *machines: Machine, more: str = "") -> None:
        # Short, for sockets lie in it, and their paths have a limit.
        self._directory = tempfile.TemporaryDirectory(prefix="o-", dir="/tmp", ignore_cleanup_errors=True)
        home = Path(self._directory.name)
        self.runtime = home / "r"
        self.runtime.mkdir(mode=0o700)
        self.config = home / "config.toml"
        places = {"TMUX_TMPDIR": home, "XDG_RUNTIME_DIR": self.runtime, "ORCH_CONFIG": self.config}
        links = [machine.link for machine in machines if machine.link]
        super().__init__(home, {key: str(path) for key, path in places.items()}, links[0].here([]) if links else [])
        self.configure(*machines, more=more)

    def configure(self, *machines: Machine, more: str = "") -> None:
        """Write its configuration."""
        default = f'default_host = "{machines[0].name}"\n' if machines else ""
        self.config.write_text(default + "".join(machine.config() for machine in machines) + more)

    def processes(self) -> list[int]:
        """What runs on it: ssh's masters too, which are nobody's children."""
        return sorted(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid))

    def _is_ours(self, pid: int) -> bool:
        """Its home is in the environment, or on the command line: a master is called by its socket."""
        try:
            said = [Path(f"/proc/{pid}/{file}").read_bytes() for file in ("environ", "cmdline")]
        except OSError:
            return False
        return pid != os.getpid() and any(os.fsencode(self.home) in text for text in said)

    def freeze(self) -> None:
        """Close the lid: everything stops where it is."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Open it again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> bool:
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)

    def crash(self) -> None:
        """Everything on it ends at once, without a word."""
        while self._signal(signal.SIGKILL):
            time.sleep(0.01)

    def close(self) -> None:
        """End whatever runs on it, and away with it."""
        self.crash()
        self._directory.cleanup()
