"""Hand a job over. It is the host's from the moment that this returns, and exactly one whatever failed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orch import settings
from orch.errors import OrchError
from orch.providers import provider_of
from orch.providers.base import Minded
from orch.remote import Answer, Remote
from orch.transport import LinkDown, LinkLost
from orch_agent import wire
from orch_agent.check import check_spec
from orch_agent.model import JobRef, JobSpec, JobView, check_name

from . import cache
from .cancel import cancel_on
from .patience import PAUSES, Patience, Tell, unheard

if TYPE_CHECKING:
    from .sync import Delivery

_TRIES = 3  # somebody else may take the name again while we replace its job


class Submitted(NamedTuple):
    """``created`` is False where the same id had been submitted before.

    ``job`` is of an array the first of its ``tasks``, whose runs follow one another; of a single job these are None.
    ``remarks``: what the host could not promise.
    """

    job: JobView
    created: bool
    tasks: int | None = None
    remarks: Sequence[str] = ()

    @property
    def ref(self) -> str:
        """``train.3``, or ``train.4-13``."""
        first = self.job["run"]
        return str(JobRef(self.job["name"], first, first + self.tasks - 1 if (self.tasks or 1) > 1 else None))


def submit(
    remote: Remote,
    spec: JobSpec,
    job_id: str,
    replace: bool = False,
    tell: Tell = unheard,
    delivery: Delivery | None = None,
) -> Submitted:
    """Submit ``spec`` under ``job_id``; with ``replace`` a live job of that name is cancelled first.

    ``delivery``: the snapshot that it runs in, unless the host has it from an earlier run.

    A ``LinkDown`` says that nothing was submitted, a ``LinkLost`` that this is not known.
    """
    check_spec(spec)
    request: dict[str, object] = {"id": check_name(job_id, "submission id"), "spec": spec_fields(spec)}
    provider = provider_of(remote.host)
    told = provider.settings(remote.host) if isinstance(provider, Minded) else {}
    if made := {**settings.of(remote.host), **told}:
        request["settings"] = made
    if spec.secrets:
        from . import secrets

        request.update(secrets.brought(remote.host, spec))
    for _ in range(_TRIES if replace else 0):
        try:
            return _submit(remote, request, tell, delivery)
        except OrchError as error:
            if error.kind != "name_in_use":
                raise
        cancel_on(remote, [spec.name])
    return _submit(remote, request, tell, delivery)


def _submit(remote: Remote, request: Mapping[str, object], tell: Tell, delivery: Delivery | None) -> Submitted:
    asked = False

    def attempt() -> Answer:
        nonlocal asked
        try:
            return delivery.ask(remote, "submit", request) if delivery else remote.call("submit", request)
        except LinkLost:
            asked = True
            raise

    try:
        answer = Patience(remote.host.name, tell, tries=len(PAUSES)).go(attempt)
    except LinkDown as error:
        if not asked:
            raise
        raise LinkLost(f"{error.message}; whether it was submitted is not known", unsure(request["id"])) from None
    cache.add(remote.host, answer["job"])
    return Submitted(answer["job"], answer["created"], answer.get("tasks"), answer.get("remarks", ()))


def unsure(job_id: object) -> str:
    """What to do where nobody knows whether the host has the job."""
    return f"the same again with --id {job_id} is safe: it will be one job"


def spec_fields(spec: JobSpec) -> dict[str, object]:
    """The specification as the wire wants it."""
    import json

    fields: dict[str, object] = json.loads(wire.spec_to_json(spec))
    return fields
