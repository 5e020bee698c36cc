"""The imitated GitHub as a whole: one account, its repositories and its codespaces."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.agent import eventually
from tests.support.github import api, documents
from tests.support.github.binaries import newest
from tests.support.github.errors import not_found
from tests.support.github.events import Events
from tests.support.github.fleet import Fleet
from tests.support.github.knobs import Knobs
from tests.support.github.relay import Relay
from tests.support.github.secrets import Secrets
from tests.support.github.services import Services
from tests.support.github.space import Codespace
from tests.support.github.tokens import Tokens
from tests.support.github.wire import Wire

if TYPE_CHECKING:
    from tests.support.forge import Forge


class GitHub:
    """One that is up. ``wipe`` empties the account; ``socket`` is where gh finds it.

    ``usage`` is what was billed; ``devcontainers`` are files of repositories; ``plan`` is the account's; ``forge``
    is where deploy keys come to count.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="o-github-", dir="/tmp", ignore_cleanup_errors=True)
        Path(self._directory.name).chmod(0o755)
        self.socket = Path(self._directory.name) / "gh.sock"
        self.gh_inside = newest()
        self.events, self.tokens, self.secrets = Events(), Tokens(), Secrets()
        self._make_account()
        self.relay = Relay(self)
        self.services = Services(self)
        self.fleet = Fleet(self)
        self._wire = Wire(self.socket, lambda call: api.answer(self, call))

    def _make_account(self) -> None:
        self.knobs = Knobs()
        self.plan = "free"
        self.forge: Forge | None = None
        self.usage: list[dict[str, Any]] = []
        self.devcontainers: dict[str, list[str]] = {}
        self._offered: dict[str, list[str]] = {}
        self._repositories: dict[str, dict[str, Any]] = {}
        self.add_repository(documents.REPOSITORY)

    # The account

    def add_repository(self, name: str, *machines: str) -> dict[str, Any]:
        """A further one, OWNER/NAME; ``machines`` are what is offered for it, all if none is named."""
        made = documents.repository(name, 4242 + len(self._repositories))
        self._repositories[name.lower()] = made
        self.offer(name, *(machines or documents.MACHINES))
        return made

    def offer(self, repository: str, *machines: str) -> None:
        """What codespaces of a repository may be, from now on."""
        self._offered[repository] = list(machines)

    def repository(self, known_as: str) -> dict[str, Any]:
        """By full name or number."""
        for name, one in self._repositories.items():
            if known_as.lower() == name or known_as == str(one["id"]):
                return one
        raise not_found()

    def machines(self, repository: dict[str, Any]) -> list[dict[str, Any]]:
        """What is offered for a repository."""
        return [documents.MACHINES[name] for name in self._offered[repository["full_name"]]]

    # Codespaces, for tests that have no need of gh to make one

    def create(self, repository: str = documents.REPOSITORY, **asked: Any) -> Codespace:
        """A codespace that is Available."""
        offered = self.machines(self.repository(repository))
        space = self.fleet.create(self.repository(repository), {"machine": offered[0]["name"], **asked})
        self.becomes(space, "Available")
        return space

    def becomes(self, space: Codespace, state: str, patience: float = 60) -> None:
        """Wait until a codespace is in a state."""
        eventually(lambda: space.state == state, f"{space.name} is {state}", patience)

    # Ends

    def wipe(self) -> None:
        """Empty the account, and forget what has happened; every knob is as it was."""
        self.fleet.wipe()
        self.tokens.wipe()
        self.secrets.wipe()
        self._make_account()
        self.events.forget()

    def close(self) -> None:
        """Away with it."""
        self.fleet.close()
        self._wire.close()
        self.relay.close()
        self._directory.cleanup()
