"""A machine where there is none.

It carries from its first minute what stops it; one that could not be set up is taken back by AWS itself, also when this
laptop is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from orch.errors import OrchError

from ..base import Plan, Tell
from . import preflight, stack
from .aws import Aws
from .preflight import Site
from .shape import Shape
from .template import parameters, stack_policy, template
from .todo import Todo, costs, stops

_NO_ROOM = ("InsufficientInstanceCapacity", "do not have sufficient", "Insufficient capacity")
_CONSOLE = 40  # lines of the machine's console that are shown after a failure


def plan(aws: Aws, shape: Shape, failed: stack.Stack | None) -> Plan:
    """What a new machine takes; ``failed`` is in its way."""
    site, misses = preflight.examine(aws, shape)
    title = f"{shape.name} is to be made, in {aws.region}"
    if site is None:
        return Plan(title, misses=misses)
    told = list(facts(aws, shape, site))
    if failed is not None:
        told.append(("first", f"what is left of an attempt that failed is deleted ({failed.status})"))
    todo = Todo(shape, site=site, kind=site.kind, failed=failed is not None)
    return Plan(title, told, document=json.dumps(template(shape, site.kind.architecture), indent=2), todo=todo)


def facts(aws: Aws, shape: Shape, site: Site) -> Iterator[tuple[str, str]]:
    """What a new machine would be, and cost."""
    kind = site.kind
    yield "account", f"{site.account}, {aws.region}{_as(aws)}"
    yield "machine", f"{kind.name}: {kind.cpus} processors, {kind.memory / 2**30:g} GB, {kind.architecture}"
    yield "disk", f"{shape.disk} GB gp3, encrypted"
    way = "Session Manager; no open port" if shape.access == "ssm" else "port 22, open to this laptop's address alone"
    key = "a key made for each connection" if shape.ssh_key == "connect" else "a key pair of its own"
    yield "access", f"{way}; {key}"
    yield "stops", stops(shape.idle_stop)
    yield "makes", f"the stack {shape.stack}: machine, role, security group, log group {shape.log_group}, host key"
    yield from costs(aws, kind, shape)


def _as(aws: Aws) -> str:
    return f", profile {aws.profile}" if aws.profile else ""


def make(aws: Aws, todo: Todo, tell: Tell, keep_failed: bool) -> None:
    """Make it, in the first zone that has room."""
    shape, site = todo.shape, todo.site
    assert site is not None  # of a plan for a new machine
    if todo.failed:
        stack.delete(aws, shape, tell)
    error: OrchError | None = None
    for subnet in site.subnets:
        values = parameters(shape, image=site.image, subnet=subnet.id, vpc=subnet.vpc)
        stack.create(aws, shape, template(shape, site.kind.architecture), stack_policy(), values, keep_failed)
        now = stack.watch(aws, shape, tell)
        if now is not None and now.status == "CREATE_COMPLETE":
            return
        if now is None:
            raise OrchError("host", f"{shape.stack} was deleted while it was made", f"orch up {shape.name}")
        failure = stack.failure(aws, shape, now)
        if not any(word in failure.message for word in _NO_ROOM):
            raise _told(aws, shape, failure, keep_failed)
        tell("machine", f"no room for {shape.instance_type} in {subnet.zone}")
        stack.delete(aws, shape, tell)
        error = failure
    zones = ", ".join(subnet.zone for subnet in site.subnets)
    says = f"AWS has no room for a {shape.instance_type} in {zones} now"
    raise OrchError("host", says, "try again later, or with another instance_type") from error


def _told(aws: Aws, shape: Shape, failure: stack.Failed, kept: bool) -> OrchError:
    """The failure, with the machine's own words behind it."""
    console = _console(aws, failure.machine)
    hint = f"orch up {shape.name}    # again; with --keep-failed what failed stays to be looked at"
    if kept:
        hint = f"look at it in the console; orch down {shape.name} deletes it"
    if failure.kind != "host":
        hint = failure.hint
    return OrchError(failure.kind, "\n".join([failure.message, *console]), hint)


def _console(aws: Aws, instance: str | None) -> list[str]:
    if not instance:
        return []
    try:
        said: str = aws.client("ec2").get_console_output(InstanceId=instance).get("Output", "")
    except Exception:
        return ["(its console could not be read)"]
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    return ["its console said, at the end:", *lines[-_CONSOLE:]] if lines else ["(its console says nothing yet)"]
