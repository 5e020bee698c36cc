"""GitHub Codespaces: machines that GitHub makes for a repository, and stops where nobody is present.

Nothing here asks GitHub before there is something to ask; a command that finds a connection open asks it nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orch import units
from orch.errors import ConfigError, OrchError
from orch.model import Check, Host

if TYPE_CHECKING:
    from orch.config import Config
    from orch.ssh import SshTransport

    from ..base import Archive, Tell
    from .space import Space

OPTIONS: Mapping[str, type] = {"codespace": str, "idle_stop": str}
IDLE_STOP = 30 * 60.0  # seconds after the last job until a codespace is stopped
IDLE_TIMEOUT = 30  # minutes: GitHub's own, where a codespace was made without saying
HOME = "/workspaces/.orch"
_PERSIST = "30s"
"""How long a connection stays open without use: what flows through it keeps a codespace awake (once a minute)."""


class Codespaces:
    """One codespace a host; it is known by GitHub's name for it."""

    options: Mapping[str, type] = OPTIONS

    def transport(self, host: Host) -> SshTransport:
        """OpenSSH, through gh."""
        return _transport(host)

    def checks(self, host: Host) -> list[Check]:
        """From a connection made anew."""
        from orch.ssh.checks import look

        return look(_transport(host))

    def settings(self, host: Host) -> Mapping[str, float]:
        """When it is to stop itself, and when GitHub would."""
        from . import memory

        space = memory.load().spaces.get(name_of(host))
        minutes = space.idle_timeout if space is not None else None
        return {"idle_stop": idle_stop(host), "idle_timeout_minutes": minutes or IDLE_TIMEOUT}

    def archive(self, host: Host) -> Archive | None:
        """What was kept here of its jobs."""
        from ..kept import Kept

        return Kept(host)

    def usd_per_hour(self, host: Host, state: str) -> float | None:
        """By GitHub's prices."""
        from . import memory
        from .prices import usd_per_hour

        space = memory.load().spaces.get(name_of(host))
        return usd_per_hour(space, state) if space is not None else None

    def must_run(self, host: Host) -> None:
        """By REST."""
        from . import power

        power.must_run(host.name, name_of(host))

    def start(self, host: Host, tell: Tell) -> None:
        """Start it, and wait until GitHub says that it runs."""
        from . import power

        power.start(host.name, name_of(host), tell)

    def stop(self, host: Host, tell: Tell) -> None:
        """Stop it; its disk is kept for as long as it was said to be."""
        from . import power

        with _transport(host).connection.shut():  # whose connection ends comes back, and gh would start it again
            power.stop(host.name, name_of(host), tell)

    def loss(self, host: Host) -> Sequence[tuple[str, str]]:
        """What goes with it."""
        from . import power

        return power.loss(name_of(host))

    def down(self, host: Host, snapshot: bool, tell: Tell) -> None:
        """Delete it."""
        from . import power

        if snapshot:
            raise OrchError("usage", "of a codespace's disk there are no copies", "orch pull, and git push, before")
        with _transport(host).connection.shut():
            power.delete(name_of(host), tell)


def remembered(config: Config, is_used: Callable[[str], bool] | None) -> dict[str, Host]:
    """The codespaces that this laptop knows, or those in use, as hosts; one that is configured is left out."""
    from . import memory

    configured = {name_of(host) for host in config.hosts.values() if host.provider == "codespaces"}
    spaces = memory.load().spaces.values()
    found = [one for one in spaces if one.name not in configured and (is_used is None or is_used(one.name))]
    return {one.name: host_of(one, config.codespaces) for one in found}


def host_of(space: Space, table: Mapping[str, Any]) -> Host:
    """A codespace as a host; ``table`` is what the configuration says of all of them."""
    return Host(space.name, "codespaces", {key: table[key] for key in OPTIONS if key in table}, "")


def name_of(host: Host) -> str:
    """What GitHub calls it."""
    name: str = host.options.get("codespace", host.name)
    return name


def idle_stop(host: Host) -> float:
    """Seconds of idleness after which it stops itself; 0: never."""
    text = host.options.get("idle_stop")
    if text is None:
        return IDLE_STOP
    if text in ("never", "0"):
        return 0.0
    try:
        return units.duration(text)
    except OrchError as error:
        where = f"{host.source}: [hosts.{host.name}]" if host.source else "[codespaces]"
        raise ConfigError(f"{where} idle_stop: {error.message}", f'{error.hint}, or "never"') from None


def _transport(host: Host) -> SshTransport:
    from orch.ssh import SshTransport

    from .door import Door

    name = name_of(host)
    variables = {"ORCH_HOME": HOME, "ORCH_CODESPACE": name}
    door = Door(host.name, name)
    options = ["-F", "none", "-o", f"ConnectTimeout={door.seconds}"]
    return SshTransport(host, f"cs.{name}", options, variables, _PERSIST, door, counts_visits=True)


PROVIDER = Codespaces()
