"""Hosts that can be made, started, stopped and deleted.

Invariants
- Nothing that would end a job is done while one runs or waits, unless somebody insists.
- A host that may be stopping takes no jobs, whatever has become of the call that was to stop it.
- What starts a machine says so, and waits until the machine answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from orch.errors import OrchError
from orch.model import Host, HostStatus, is_live
from orch.providers import provider_of
from orch.providers.base import Cloud, Plan, Startable, Tell, reached
from orch.remote import Remote
from orch.transport import LinkDown, NeverUsed, Off
from orch_agent.model import JobView

from . import cache
from .hosts import PATIENCE, connect, status_of
from .status import note_status

REACHED = 300.0  # seconds in which a machine that has just started must answer
_IDLE_PAUSE = 5.0
_CLOSED = 600.0  # seconds for which a host takes no jobs, if nobody says that it may
_COULD_START = ("creating", "starting", "stopped", "stopping")


def startable(host: Host) -> Startable:
    """The provider of ``host``, which must be one that starts hosts."""
    provider = provider_of(host)
    if not isinstance(provider, Startable):
        what = "this machine" if host.provider == "local" else "a machine that is there already"
        says = f"{host.name} is {what}: orch neither makes nor starts it"
        raise OrchError("refused", says, "orch hosts    # those of provider ec2 are orch's to make")
    return provider


def cloud_of(host: Host) -> Cloud:
    """The provider of ``host``, which must be one that makes hosts as they are configured."""
    provider = startable(host)
    if not isinstance(provider, Cloud):
        raise OrchError("refused", f"{host.name} is a codespace: orch up does not make it", "cs create")
    return provider


# Starting and stopping


def start(host: Host, tell: Tell) -> Remote:
    """See to it that ``host`` runs and answers."""
    startable(host).start(host, tell)
    remote = connect(host)
    _reach(remote, tell)
    _open(remote)  # to start one undoes a stop that came to nothing
    return remote


def _reach(remote: Remote, tell: Tell) -> None:
    """Wait until it answers; the agent arrives with that."""
    try:
        reached(partial(note_status, remote), "ssh", REACHED, tell)
    except (LinkDown, Off) as error:
        says = f"{remote.host.name} runs, and does not answer: {error.message}"
        raise OrchError("host", says, error.hint or f"orch doctor {remote.host.name}") from None


def can_start(host: Host, off: Off) -> bool:
    """Whether there is something to start, and somebody who can."""
    return off.state in _COULD_START and isinstance(provider_of(host), Startable)


def must_run(host: Host) -> None:
    """An ``Off`` where ``host`` does not run, as its provider says now; a host that nobody can start runs."""
    provider = provider_of(host)
    if isinstance(provider, Startable):
        provider.must_run(host)


def stop(host: Host, force: bool, tell: Tell, idle: float = 0.0) -> None:
    """Stop ``host``, on which nothing runs or waits, or ``force``; ``idle``: nor anybody was for so many seconds."""
    cloud = startable(host)
    hint = f"orch stop {host.name} --force    # ends them as NODE_FAIL"
    with _closed(host, "is about to stop", force, hint, tell, idle) as told:
        cloud.stop(host, told)


def stop_overdue(told: HostStatus, tell: Tell) -> None:
    """Stop a codespace that should have stopped itself, unless somebody is there."""
    stop(told.host, False, tell, told.facts["codespace"]["idle_stop_seconds"])


@contextmanager
def _closed(host: Host, why: str, force: bool, hint: str, tell: Tell, idle: float = 0.0) -> Iterator[Tell]:
    """Inside, ``host`` takes no jobs, and has none, or ``force``. It takes them again where nothing was done to it: no
    step was told to the ``Tell`` that this gives, or the step was denied.
    """
    remote = connect(host)
    is_closed, steps = _close(remote, why, force, hint, idle), list[str]()

    def told(what: str, status: str) -> None:
        steps.append(what)
        tell(what, status)

    try:
        yield told
    except BaseException as error:
        is_denied = isinstance(error, OrchError) and error.kind != "host"
        if is_closed and (is_denied or not steps):
            _open(remote)
        raise


def _close(remote: Remote, why: str, force: bool, hint: str, idle: float) -> bool:
    """Whether it runs, and takes no more jobs; what it says of its jobs is remembered."""
    name = remote.host.name
    try:
        asked = {"why": why, "seconds": _CLOSED, "even_so": force, **({"idle": idle} if idle else {})}
        names = remote.call("close", asked)["names"]
    except NeverUsed:
        return False
    except OrchError as error:
        if force or (isinstance(error, Off) and error.state != "starting"):
            return False
        if error.kind == "refused":
            with suppress(OrchError):
                note_status(remote)
            raise
        says = f"{error.message}; whether jobs run there is not known"
        raise OrchError(error.kind, says, f"{hint}\n{error.hint}") from None
    if names and not force:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        count = f"{len(names)} job{'s' * (len(names) != 1)}"
        raise OrchError("refused", f"{count} of {name} would end: {shown}", f"orch wait {' '.join(names[:5])}\n{hint}")
    with suppress(OrchError):
        note_status(remote)
    return True


def _open(remote: Remote) -> None:
    with suppress(OrchError):  # it opens by itself, soon
        remote.call("close", {"seconds": 0})


def live_jobs(host: Host) -> list[JobView]:
    """What runs or waits there; of a host that is off nothing does."""
    try:
        return [job for job in status_of(connect(host), (), False)["jobs"] if is_live(job)]
    except Off:
        return []


# Making and deleting


def plan(host: Host, tell: Tell, move: bool = False) -> Plan:
    """What ``up`` would do."""
    return cloud_of(host).plan(host, tell, move)


def carry_out(
    host: Host, todo: Plan, tell: Tell, again: str, when_idle: bool = False, keep_failed: bool = False
) -> None:
    """Do it; what would interrupt jobs is done while there are none, or waits for that. ``again``: what was typed."""
    cloud = cloud_of(host)
    if todo.interrupts:
        if when_idle:
            _await_free(host, tell)
        hint = f"{again} --when-idle    # waits for them"
        with _closed(host, "is about to change", False, hint, tell) as told:
            cloud.carry_out(host, todo, told, keep_failed)
    else:
        cloud.carry_out(host, todo, tell, keep_failed)
    remote = connect(host)
    _reach(remote, tell)
    _open(remote)
    done = remote.transport.run(cloud.settling(host, todo), b"", PATIENCE * 6)
    if done.status:
        said = done.err.decode(errors="replace").strip().splitlines() or [f"status {done.status}"]
        says = f"{host.name} runs, but could not be told all that was to change: {said[-1][:300]}"
        raise OrchError("host", says, f"orch up {host.name}    # again; orch doctor {host.name}")


def former(host: Host) -> Sequence[str]:
    """What is left of the machine that ``host`` was before a move."""
    return cloud_of(host).former(host)


def leave(host: Host, tell: Tell) -> None:
    """Delete the machine that ``host`` was before a move."""
    cloud_of(host).leave(host, tell)


def _await_free(host: Host, tell: Tell) -> None:
    while jobs := live_jobs(host):
        tell("jobs", f"{len(jobs)} to wait for")
        time.sleep(_IDLE_PAUSE)


def loss(host: Host) -> Sequence[tuple[str, str]]:
    """What is deleted with ``host``."""
    return startable(host).loss(host)


def down(host: Host, force: bool, snapshot: bool, tell: Tell) -> None:
    """Delete ``host`` whole, on which nothing runs or waits, or ``force``."""
    cloud = startable(host)
    hint = f"orch down {host.name} --force{' --snapshot' * snapshot}    # ends them"
    with _closed(host, "is about to be deleted", force, hint, tell) as told:
        cloud.down(host, snapshot, told)
    cache.forget(host)
