"""Codespaces made, started, stopped, changed and deleted: each call says what it waits for, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from orch.errors import OrchError

from ..base import Tell, under_way
from . import gh, memory, space
from .door import gone, off
from .space import Machine, Space

_PATIENCE = 900.0  # seconds that a codespace may take to be made, with all that its devcontainer wants
_STOPS = 600.0
_PAUSE = 1.0
_STARTS = 3


def make(repository: str, branch: str | None, machine: Machine, wanted: dict[str, Any], tell: Tell) -> Space:
    """A new codespace, which is being set up. ``wanted``: further fields of GitHub's call."""
    fields = {
        "machine": machine.name,
        "multi_repo_permissions_opt_out": True,
        **({"ref": branch} if branch else {}),
        **wanted,
    }
    tell(repository, f"a codespace of {machine.short} is made")
    made = space.read(gh.api(f"/repos/{repository}/codespaces", "POST", fields))
    memory.note(made)
    return made


def must_run(host: str, name: str) -> None:
    """An ``Off`` where it does not, as GitHub says now."""
    found = _there(host, name)
    if found.off:
        raise off(host, found.off)


def start(host: str, name: str, tell: Tell) -> Space:
    """See to it that it runs; one that is stopping stops first, and one that falls back is started again."""
    found = _there(host, name)
    if found.off == "stopping":
        found = _become(host, name, lambda one: one.off != "stopping", _STOPS, tell)
    for _ in range(_STARTS):
        is_begun = found.off != "stopped"
        if not is_begun:
            tell(name, "starting")
            _ask_to_start(name)
        found = _settled(host, name, is_begun, tell)
        if not found.off:
            return found
    raise OrchError("host", f"{name} does not start: it is {found.state} again", f"gh codespace logs -c {name}")


def _ask_to_start(name: str) -> None:
    try:
        gh.api(f"/user/codespaces/{name}/start", "POST")
    except gh.Failure as failure:
        if failure.code != 409:  # somebody else has started it
            raise


def await_made(name: str, tell: Tell) -> Space:
    """Come back when a codespace that is being made runs."""
    found = _settled(name, name, True, tell)
    if found.off:
        says = f"GitHub could not set up the codespace {name}: it is {found.state}"
        raise OrchError("host", says, f"gh codespace logs -c {name}\ncs delete {name}")
    return found


def _settled(host: str, name: str, is_begun: bool, tell: Tell) -> Space:
    """Come back when it runs, or does not any more; ``is_begun``: its start is no news."""

    def is_there(one: Space) -> bool:
        nonlocal is_begun
        is_begun = is_begun or one.off != "stopped"
        return not one.off or (is_begun and one.off == "stopped")

    return _become(host, name, is_there, _PATIENCE, tell)


def stop(host: str, name: str, tell: Tell) -> Space:
    """See to it that it is stopped."""
    found = _there(host, name)
    if found.off in ("", "starting"):
        tell(name, "stopping")
        gh.api(f"/user/codespaces/{name}/stop", "POST")
    with under_way(f"{name} was told to stop"):
        return _become(host, name, lambda one: one.off == "stopped", _STOPS, tell)


def resize(host: str, name: str, machine: Machine, tell: Tell) -> None:
    """Another type of machine, from its next start on."""
    tell(name, f"becomes {machine.short}")
    memory.note(space.read(gh.api(f"/user/codespaces/{name}", "PATCH", {"machine": machine.name})))


def delete(name: str, tell: Tell) -> None:
    """There is none any more, whether there was one or not."""
    tell(name, "is deleted")
    try:
        gh.api(f"/user/codespaces/{name}", "DELETE")
    except gh.Failure as failure:
        if failure.code != 404:
            raise
    memory.forget(name)


def loss(name: str) -> Sequence[tuple[str, str]]:
    """What is deleted with it."""
    found = space.one(name)
    if found is None:
        return ()
    lost = [("disk", f"/workspaces of {found.repository}, its home, its jobs' ledger and logs")]
    if found.dirty:
        lost.append(("changes", f"on {found.branch} there are changes that are not pushed, or not committed"))
    return lost


def _there(host: str, name: str) -> Space:
    found = space.one(name)
    if found is None or found.off == "absent":
        memory.forget(name)
        raise gone(host)
    memory.note(found)
    return found


def _become(host: str, name: str, is_there: Callable[[Space], bool], patience: float, tell: Tell) -> Space:
    until = time.monotonic() + patience
    while True:
        found = _there(host, name)
        tell(name, found.state)
        if is_there(found):
            return found
        if time.monotonic() > until:
            says = f"{name} is still {found.state} after {patience:.0f} s"
            raise OrchError("host", says, f"gh codespace view -c {name}")
        time.sleep(_PAUSE)
