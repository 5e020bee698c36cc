"""What GitHub says of machines, repositories and codespaces, in its own words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.github.space import Codespace

LOGIN = "octo"
OWNER: dict[str, Any] = {"login": LOGIN, "id": 1, "node_id": "U_1", "type": "User", "site_admin": False}
REPOSITORY = f"{LOGIN}/video-marketing-ai"


def _machine(name: str, cpus: int, memory: int, storage: int) -> dict[str, Any]:
    return {
        "name": name,
        "display_name": f"{cpus} cores, {memory} GB RAM, {storage} GB storage",
        "operating_system": "linux",
        "storage_in_bytes": storage << 30,
        "memory_in_bytes": memory << 30,
        "cpus": cpus,
        "prebuild_availability": None,
    }


MACHINES = {
    name: _machine(name, *sizes)
    for name, sizes in {
        "basicLinux32gb": (2, 8, 32),
        "standardLinux32gb": (4, 16, 32),
        "premiumLinux": (8, 32, 64),
        "largePremiumLinux": (16, 64, 128),
    }.items()
}


def iso(at: float | None) -> str | None:
    """A time as GitHub writes it."""
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def repository(name: str, number: int) -> dict[str, Any]:
    """A repository; ``name`` as OWNER/NAME."""
    owner, _, short = name.partition("/")
    return {
        "id": number,
        "node_id": f"R_{number}",
        "name": short,
        "full_name": name,
        "default_branch": "main",
        "owner": {**OWNER, "login": owner},
        "private": True,
        "permissions": {"admin": True, "push": True, "pull": True},
    }


def codespace(space: Codespace) -> dict[str, Any]:
    """A codespace, as everybody is told of it."""
    return {
        "id": space.number,
        "name": space.name,
        "display_name": space.display_name,
        "environment_id": f"environment-{space.number}",
        "owner": OWNER,
        "billable_owner": OWNER,
        "repository": space.repository,
        "machine": MACHINES[space.machine_name],
        "devcontainer_path": space.devcontainer_path,
        "prebuild": False,
        "created_at": iso(space.created_at),
        "updated_at": iso(space.created_at),
        "last_used_at": iso(space.last_used_at),
        "state": space.state,
        "url": f"https://api.github.com/user/codespaces/{space.name}",
        "git_status": {
            "ahead": 0,
            "behind": 0,
            "has_unpushed_changes": False,
            "has_uncommitted_changes": space.dirty,
            "ref": space.ref,
        },
        "location": "EastUs",
        "idle_timeout_minutes": space.idle_timeout_minutes,
        "idle_timeout_notice": None,
        "retention_period_minutes": space.retention_minutes,
        "retention_expires_at": iso(space.expires_at),
        "web_url": f"https://{space.name}.github.dev",
        "runtime_constraints": {"allowed_port_privacy_settings": ["private", "org", "public"]},
        "pending_operation": space.state in ("Starting", "ShuttingDown"),
        "pending_operation_disabled_reason": None,
        "recent_folders": [],
        "publish_url": None,
    }


def connection(name: str, token: str, port: int) -> dict[str, Any]:
    """The way to a codespace that is Available: what only gh and the editors ask for."""
    return {
        "tunnelProperties": {
            "connectAccessToken": token,
            "managePortsAccessToken": token,
            "serviceUri": f"http://127.0.0.1:{port}/",  # whose first label is the cluster, as gh wants it
            "tunnelId": name,
            "clusterId": "127",
            "domain": "tunnels.example",
        }
    }
