"""Snapshots of a working tree on their way to a host.

Invariants
- A host is sent what it lacks of a snapshot, as far as this laptop knows; one that lacks more says so, and is sent all.
- A small pack goes with whatever is asked for it, in one exchange. A large one goes ahead, and its progress is told.
- Every step bears repetition: what a host has already, it takes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from orch import code
from orch.code import Snapshot
from orch.errors import OrchError
from orch.remote import Answer, Begun, Remote

from .patience import PAUSES, Patience, Tell, unheard

_SMALL = 1 << 20  # bytes that go along with something else
_CHUNK = 1 << 18


class Meter(Protocol):
    """Told how many bytes have gone."""

    def tell(self, come: int) -> None:
        """So many."""


Transfers = Callable[[int], AbstractContextManager[Meter]]
"""What shows a transfer of so many bytes, for as long as it stands open."""


class Delivery:
    """A snapshot that is to be on a host; ``sent`` counts the bytes that went there.

    ``begun``: the verb that is going to be asked, where that waits already.
    """

    def __init__(self, snapshot: Snapshot, transfers: Transfers, begun: Begun | None = None) -> None:
        self.snapshot = snapshot
        self.sent = 0
        self._transfers = transfers
        self._begun = begun

    def ask(self, remote: Remote, verb: str, request: Mapping[str, Any]) -> Answer:
        """What ``verb``, which needs the snapshot, answers."""
        base = code.base(self.snapshot, remote.host.name)
        try:
            answer = self._ask(remote, verb, request, base)
        except OrchError as error:
            if error.kind != "no_code":
                raise
            answer = self._ask(remote, verb, request, None)
        code.note(self.snapshot, remote.host.name)
        return answer

    def _ask(self, remote: Remote, verb: str, request: Mapping[str, Any], base: str | None) -> Answer:
        """The same, where the host has ``base``; None: nothing of it is known to be there."""
        if base == self.snapshot.commit:
            return self._call(remote, verb, request)
        pack = code.pack(self.snapshot, base)
        with pack.file:
            fields = self._fields(pack.base, pack.size)
            if pack.size <= _SMALL:
                answer = self._call(remote, verb, {**request, "pack": fields}, pack.file.read())
                self.sent += pack.size
                return answer
            _, stream = remote.open("receive", {"pack": fields, "announce": True})
            with self._transfers(pack.size) as meter:
                gone = 0
                while (chunk := pack.file.read(_CHUNK)) and stream.send(chunk):
                    gone += len(chunk)
                    meter.tell(gone)
                remote.ended(stream)
            self.sent += pack.size
        return remote.call(verb, request)

    def _call(self, remote: Remote, verb: str, request: Mapping[str, Any], payload: bytes = b"") -> Answer:
        begun, self._begun = self._begun, None
        if begun is not None and begun.verb == verb:
            return begun.call(request, payload)
        return remote.call(verb, request, payload=payload)

    def _fields(self, base: str | None, size: int) -> dict[str, Any]:
        said = {"store": self.snapshot.store, "commit": self.snapshot.commit, "base": base}
        return {**said, "size": size, "laptop": code.laptop()}


def sync(remote: Remote, delivery: Delivery, tell: Tell = unheard) -> Answer:
    """See to it that the snapshot is there."""
    wanted = {"store": delivery.snapshot.store, "commit": delivery.snapshot.commit}
    patience = Patience(remote.host.name, tell, tries=len(PAUSES))
    return patience.go(lambda: delivery.ask(remote, "receive", wanted))
