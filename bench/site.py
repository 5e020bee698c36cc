"""A laptop, and a machine that it reaches by ssh: on loopback, or over a link with a delay."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from tests.support.link import Link
from tests.support.machine import Machine

from .harness import ORCH, Used, measure


class Site:
    """``name`` says how far away the machine is; ``before`` runs what stands behind it at our end of the link."""

    def __init__(self, name: str, home: Path, machine: Machine, link: Link | None) -> None:
        self.name = name
        self.home = home
        self.machine = machine
        self.link = link
        self.before = link.here([]) if link else []
        self.env = {
            **os.environ,
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "ORCH_CONFIG": str(home / "config.toml"),
        }
        self.config = home / "ssh_config"
        self._names = (f"job{number}" for number in count())
        (home / "config.toml").write_text(machine.config("far"))
        self.config.write_text(_ssh_config(machine, home))

    def measure(self, words: Sequence[str], **env: str) -> Used:
        """What a command on the laptop takes."""
        return measure(words, {**self.env, **env}, before=self.before)

    def bare(self, *words: str) -> list[str]:
        """A plain ssh that runs ``words`` there, over one multiplexed connection."""
        return ["ssh", "-F", str(self.config), "far", *words]

    def orch(self, *words: str) -> Used:
        """What a command of orch takes."""
        return self.measure([*ORCH, *words])

    def submit(self) -> Used:
        """What ``orch run`` takes; the job has ended when this returns, and its end is not measured."""
        name = next(self._names)
        used = self.orch("run", name, "true")
        self.orch("wait", name)
        return used

    def close(self) -> None:
        """End every connection."""
        for path in self.home.rglob("*"):
            if path.is_socket():
                subprocess.run(["ssh", "-S", str(path), "-O", "exit", "far"], stderr=subprocess.DEVNULL, check=False)


def _ssh_config(machine: Machine, home: Path) -> str:
    options = {
        "HostName": machine.ip,
        "User": "me",
        **machine.ssh_options,
        "ControlMaster": "auto",
        "ControlPath": f"{home}/bare",
        "ControlPersist": "yes",
    }
    return "Host far\n" + "".join(f"    {key} {value}\n" for key, value in options.items())


@contextmanager
def site(name: str, delay: float = 0.0) -> Iterator[Site]:
    """A machine at a distance of ``delay`` seconds there and back; without any it is on loopback."""
    with ExitStack() as stack:
        link = Link(delay / 2) if delay else None
        if link:
            stack.callback(link.close)
        machine = Machine("far", link=link)
        stack.callback(machine.close)
        machine.boot()
        # Its tmux server goes on, as anybody's who uses tmux.
        machine.run("tmux new-session -d -s keeper")
        # Short: control sockets lie in it, and their path has a limit.
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True))
        one = Site(name, Path(home), machine, link)
        stack.callback(one.close)
        yield one
