"""Secrets for codespaces, of the user and of repositories; they arrive sealed."""

from __future__ import annotations

import base64
import time
from typing import Any

from nacl.public import PrivateKey, SealedBox

from tests.support.github.documents import iso


class Secret:
    """One; ``repositories`` are the numbers of those whose codespaces see it, if it is the user's."""

    def __init__(self, value: str, repositories: set[int]) -> None:
        self.value = value
        self.repositories = repositories
        self.created_at = self.updated_at = time.time()


class Secrets:
    """All of them, by where they are: ``user``, or the full name of a repository."""

    def __init__(self) -> None:
        self._key = PrivateKey.generate()
        self._all: dict[str, dict[str, Secret]] = {}

    def wipe(self) -> None:
        """There are none."""
        self._all = {}

    def at(self, place: str) -> dict[str, Secret]:
        """Those of one place."""
        return self._all.setdefault(place, {})

    def put(self, place: str, name: str, value: str, *repositories: int) -> bool:
        """Set one; whether it is new."""
        known = self.at(place).get(name)
        self.at(place)[name] = made = Secret(value, set(repositories))
        if known:
            made.created_at = known.created_at
        return known is None

    def unseal(self, text: str) -> str:
        """What was sealed with our public key."""
        return SealedBox(self._key).decrypt(base64.b64decode(text)).decode()

    def public_key(self) -> dict[str, str]:
        """What secrets are to be sealed with."""
        return {"key_id": "1", "key": base64.b64encode(bytes(self._key.public_key)).decode()}

    def seen_by(self, repository: dict[str, Any]) -> dict[str, str]:
        """What codespaces of a repository get, at their start: its own before the user's."""
        users = self.at("user").items()
        found = {name: one.value for name, one in users if repository["id"] in one.repositories}
        return found | {name: one.value for name, one in self.at(repository["full_name"]).items()}


def document(name: str, secret: Secret, place: str) -> dict[str, Any]:
    """What GitHub tells of a secret: never its value."""
    said: dict[str, Any] = {"name": name, "created_at": iso(secret.created_at), "updated_at": iso(secret.updated_at)}
    if place == "user":
        said["visibility"] = "selected"
        said["selected_repositories_url"] = f"https://api.github.com/user/codespaces/secrets/{name}/repositories"
    return said
