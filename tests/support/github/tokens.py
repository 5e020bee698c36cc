"""Who asks, by the token that comes with a call."""

from __future__ import annotations

import secrets
from typing import NamedTuple

LAPTOP = "gho_laptop"
SCOPES = frozenset({"codespace", "read:org", "repo", "user"})


class Who(NamedTuple):
    """The user, with these scopes; or the codespace ``space``, with its own token."""

    scopes: frozenset[str] = frozenset()
    space: str = ""


class Tokens:
    """Those that GitHub knows."""

    def __init__(self) -> None:
        self._known: dict[str, Who] = {}
        self.wipe()

    def wipe(self) -> None:
        """Only the laptop's is known."""
        self._known = {LAPTOP: Who(SCOPES)}

    def allow(self, token: str, *scopes: str) -> None:
        """A token of the user's that may do this; the laptop's too can be changed so."""
        self._known[token] = Who(frozenset(scopes))

    def who(self, token: str) -> Who | None:
        """Whose it is."""
        return self._known.get(token)

    def new_inside(self, name: str) -> str:
        """A codespace's own, from now on; those before are no longer good."""
        self.forget_inside(name)
        token = f"ghu_{secrets.token_hex(18)}"
        self._known[token] = Who(space=name)
        return token

    def forget_inside(self, name: str) -> None:
        """A codespace has none any more."""
        for token, who in list(self._known.items()):
            if who.space == name:
                del self._known[token]
