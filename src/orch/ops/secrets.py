"""What jobs are to know and nobody else: kept where a host's secrets are kept, and brought along with a job.

Invariants
- A value goes from the store to the host in a request that is read from standard input, and to nobody else.
- No error and no answer repeats one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orch.errors import OrchError, usage
from orch.model import Host
from orch.providers import provider_of
from orch.providers.base import Secretive, SecretStore
from orch.remote import Remote
from orch_agent import wire
from orch_agent.check import LEAST, check_secret, check_values
from orch_agent.model import JobSpec, JobView, Refusal

from .hosts import Hosts, runs_of


def store_of(host: Host) -> SecretStore:
    """Where the secrets for ``host`` are kept."""
    provider = provider_of(host)
    if not isinstance(provider, Secretive):
        raise OrchError("refused", f"secrets for {host.name}, a codespace, are kept by GitHub", "cs secret set NAME")
    return provider.secrets(host)


def checked_name(text: str) -> str:
    """A name."""
    try:
        return check_secret(text)
    except Refusal as refusal:
        raise usage(refusal.message, "orch secret set NAME    # asks for the value") from None


def keep(host: Host, name: str, value: bytes) -> list[str]:
    """Keep a value, without the ends of lines behind it; what there is to say of it."""
    store = store_of(host)
    value = value.rstrip(b"\r\n")
    wrong = _wrong(store, value)
    if wrong:
        raise OrchError("refused", f"{wrong}, so nothing was set", f"orch secret set {name} -H {host.name}")
    store.put(name, value.decode())
    return _remarks(store, value)


def _wrong(store: SecretStore, value: bytes) -> str:
    if not value:
        return "the value is empty"
    if len(value) > store.most:
        return f"the value has {len(value)} bytes, and {store.where} keeps {store.most} for a job to get"
    if b"\0" in value:
        return "the value holds a zero byte, which no variable can"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "the value is no text in UTF-8"
    return ""


def _remarks(store: SecretStore, value: bytes) -> list[str]:
    found = []
    if len(value) < LEAST:
        found.append(f"it is shorter than {LEAST} bytes: that stands in any text, so logs are not searched for it")
    if value.lstrip().startswith((b"{", b"[")):
        found.append("logs hide it as a whole and by its lines: what a program reads out of a document, they show")
    if not store.travels and len(value) > 4096:
        found.append("it is longer than 4 KiB: AWS charges 0.05 USD a month for it")
    return found


def brought(host: Host, spec: JobSpec) -> dict[str, object]:
    """What goes with the submission of ``spec``; refuses one whose secrets are not kept, or that shows one of them."""
    if not isinstance(provider_of(host), Secretive):
        return {}  # GitHub gives no value back: the codespace itself looks
    store = store_of(host)
    names = sorted(set(spec.secrets.values()))
    values = store.values(names)
    for variable, kept in spec.secrets.items():
        if kept not in values:
            raise _missing(host, variable, kept)
    check_values(spec, values)
    return {"secrets": dict(values)} if store.travels else {}


def _missing(host: Host, variable: str, kept: str) -> OrchError:
    if variable == kept:
        says, hint = f"no secret {kept} is kept for {host.name}", f"orch secret set {kept} -H {host.name}"
    else:  # somebody may have typed a value in place of a name
        says = f"what {variable} is to be is not kept for {host.name} under the name that was given"
        hint = f"orch secret set NAME -H {host.name}    # and --secret {variable}=NAME"
    return OrchError("refused", says, hint)


def send(hosts: Hosts, ref: str, host: str | None = None) -> JobView:
    """Bring a job's secrets to its host once more, as they are kept now."""
    remote = hosts.of_job(ref, host)
    run = runs_of(remote, [ref])[0]
    spec = _spec(remote, run)
    if not spec.secrets:
        raise OrchError("refused", f"{ref} has no secrets", f"orch show {ref}")
    request = brought(remote.host, spec)
    if not request:
        says = f"{remote.host.name} reads its secrets by itself, whenever a job starts"
        raise OrchError("refused", says, f"orch show {ref}    # its reason says what it waits for")
    job: JobView = remote.call("secrets", {"job": run, **request})["job"]
    return job


def _spec(remote: Remote, ref: str) -> JobSpec:
    said: Mapping[str, Any] = remote.call("show", {"job": ref, "first": True})["spec"]
    return wire.spec_from(said)
