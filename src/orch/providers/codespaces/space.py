"""Codespaces as GitHub tells of them: by REST alone, which wakes none of them."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import gh

OFF = {
    "Available": "",
    "Shutdown": "stopped",
    "Archived": "stopped",
    "Failed": "stopped",
    "ShuttingDown": "stopping",
    "Exporting": "stopping",
    "Deleted": "absent",
    "Moved": "absent",
    "Queued": "starting",
    "Created": "starting",
    "Provisioning": "starting",
    "Awaiting": "starting",
    "Starting": "starting",
    "Unavailable": "starting",
    "Updating": "starting",
    "Rebuilding": "starting",
    "Unknown": "starting",
}
"""A codespace's state in GitHub's words, and what its host is instead of running: ``orch.transport.Off``."""


class Machine(NamedTuple):
    """A type of machine. Sizes in bytes."""

    name: str
    cpus: int
    memory: int
    storage: int
    display: str

    @property
    def short(self) -> str:
        """``4-core/16GB``."""
        return f"{self.cpus}-core/{self.memory >> 30}GB"


class Space(NamedTuple):
    """A codespace. Times in epoch seconds, None where GitHub does not say; ``idle_timeout`` and ``retention`` minutes.

    ``used_at`` is when it was last started. ``dirty``: it has changes that are nowhere else.
    """

    name: str
    display: str
    repository: str
    owner: str
    state: str
    machine: Machine | None
    idle_timeout: int | None
    retention: int | None
    expires_at: float | None
    created_at: float | None
    used_at: float | None
    branch: str
    dirty: bool
    payer: str = ""
    """Whose account it is billed to."""

    @property
    def folder(self) -> str:
        """The last part of its repository's name: where it is cloned, below /workspaces."""
        return self.repository.rpartition("/")[2]

    @property
    def off(self) -> str:
        """What it is instead of running; nothing where it runs."""
        return OFF.get(self.state, "starting")


def listed() -> list[Space]:
    """All of the person's codespaces."""
    return [read(said) for said in gh.pages("/user/codespaces", "codespaces")]


def one(name: str) -> Space | None:
    """The codespace of that name, if there is one."""
    try:
        return read(gh.api(f"/user/codespaces/{name}"))
    except gh.Failure as failure:
        if failure.code == 404:
            return None
        raise


def offered(repository: str, branch: str | None = None) -> list[Machine]:
    """The types of machine that GitHub offers for a repository, the smallest first."""
    with gh.of_repository(repository):
        return _machines(f"/repos/{repository}/codespaces/machines" + (f"?ref={branch}" if branch else ""))


def offered_to(name: str) -> list[Machine]:
    """The types that one codespace can be changed to, the smallest first."""
    return _machines(f"/user/codespaces/{name}/machines")


def _machines(path: str) -> list[Machine]:
    said = gh.api(path)
    with gh.understood(path):
        return sorted(map(_machine, said["machines"]), key=lambda one: (one.cpus, one.memory, one.storage))


def read(said: Any) -> Space:
    """One codespace of GitHub's answer."""
    with gh.understood("/user/codespaces"):
        return _read(said)


def _read(said: Mapping[str, Any]) -> Space:
    git = said.get("git_status") or {}
    return Space(
        said["name"],
        said.get("display_name") or said["name"],
        (said.get("repository") or {}).get("full_name") or "",
        (said.get("owner") or {}).get("login") or "",
        said.get("state") or "Unknown",
        _machine(said["machine"]) if said.get("machine") else None,
        said.get("idle_timeout_minutes"),
        said.get("retention_period_minutes"),
        epoch(said.get("retention_expires_at")),
        epoch(said.get("created_at")),
        epoch(said.get("last_used_at")),
        git.get("ref") or "",
        bool(git.get("has_uncommitted_changes") or git.get("has_unpushed_changes")),
        (said.get("billable_owner") or {}).get("login") or "",
    )


def _machine(said: Mapping[str, Any]) -> Machine:
    return Machine(
        said["name"],
        said.get("cpus") or 0,
        said.get("memory_in_bytes") or 0,
        said.get("storage_in_bytes") or 0,
        said.get("display_name") or said["name"],
    )


def epoch(text: str | None) -> float | None:
    """A time as GitHub writes it, ``2026-02-16T14:30:00Z`` or with an offset, in epoch seconds."""
    if not text:
        return None
    if text.endswith("Z"):
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
