"""What differs between the code of two runs, or of a run and now; found out on the host that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orch.errors import OrchError
from orch.remote import Remote

from .hosts import Hosts
from .patience import Patience, Tell, unheard
from .sync import Delivery


def between(hosts: Hosts, refs: Sequence[str], host: str | None) -> Remote:
    """The host that has all these runs."""
    remotes = hosts.of_jobs(refs, host)
    found = {remote.host.name: remote for remote in remotes.values()}
    if len(found) > 1:
        said = " and ".join(f"{ref} on {remote.host.name}" for ref, remote in remotes.items())
        raise OrchError("refused", f"{said}: there is no host that has the code of both", f"orch diff {refs[0]} .")
    return next(iter(found.values()))


def diff(
    remote: Remote,
    refs: Sequence[str],
    now: Delivery | None,
    options: Sequence[str],
    paths: Sequence[str],
    out: Callable[[bytes], Any],
    tell: Tell = unheard,
) -> None:
    """Give ``out`` what git says of the difference; ``now``: the second of the two, where there is one run."""
    request: dict[str, Any] = {"jobs": list(refs), "options": list(options), "paths": list(paths)}
    if now is not None:
        snapshot = now.snapshot
        wanted = {"store": snapshot.store, "commit": snapshot.commit}
        Patience(remote.host.name, tell, tries=1).go(lambda: now.ask(remote, "receive", wanted))
        request.update(wanted)
    _, stream = remote.open("diff", request)
    try:
        while chunk := stream.read():
            out(chunk)
    finally:
        done = stream.finish()
    if done.status:
        raise remote.lost(done)
