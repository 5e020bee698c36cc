"""What there is to do until a host is as configured, and doing it.

Invariants
- A plan is made of what AWS says now, never of what this laptop remembers: whoever was interrupted asks again.
- What exists is changed in place or not at all: a resize, a larger disk, a change of the stack that replaces nothing.
- A machine that is made carries from its first minute what stops it; one that could not be set up is taken back by AWS
  itself, also when this laptop is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch.errors import OrchError

from ..base import Plan, Tell
from . import ingress, machine, preflight, prices, stack
from .aws import Aws
from .machine import GONE, Machine
from .preflight import Kind, Site
from .session import check_plugin
from .shape import Shape
from .template import parameters, stack_policy, template

_NO_ROOM = ("InsufficientInstanceCapacity", "do not have sufficient", "Insufficient capacity")
_GROW = "{ sudo growpart $(readlink -f /dev/xvda) 1; sudo xfs_growfs -d /; }"
"""The root device has that name whatever the kernel calls it; ``growpart`` fails where it has nothing to do."""

_UNITS = ((86400, "days"), (3600, "hours"), (60, "min"))
_CONSOLE = 40  # lines of the machine's console that are shown after a failure


class Change(NamedTuple):
    """The provider's part of a plan. ``site`` is for a new machine, the rest for one that exists."""

    shape: Shape
    site: Site | None = None
    machine: Machine | None = None
    kind: Kind | None = None
    former: Sequence[Machine] = ()
    """What the host was before a move, and still stands."""

    failed: bool = False
    """A stack that failed is in the way, and goes first."""

    stuck: bool = False
    """AWS has left the taking back of an earlier change half way."""

    disk: int | None = None
    """GiB that the disk grows to."""

    body: Mapping[str, Any] | None = None
    values: Mapping[str, str] | None = None
    """Template and parameters that the stack gets."""


def plan(aws: Aws, shape: Shape, tell: Tell) -> Plan:
    """What there is to do."""
    shape = shape._replace(generation=_generation(aws, shape))
    now = stack.look(aws, shape.stack)
    if now is not None and now.is_busy:
        tell(shape.stack, f"is being worked on: {now.status.lower().replace('_', ' ')}")
        now = stack.watch(aws, shape, tell)
    found = machine.find(aws, shape, shape.generation)
    if now is not None and now.is_failed and found is not None and found.state not in GONE:
        says = (
            f"{now.name} is {now.status}, and its machine {found.id} is still there: {now.reason or 'no reason given'}"
        )
        raise OrchError("refused", says, f"orch down {shape.name}    # says what is lost, and deletes it whole")
    if now is None or now.is_failed:
        return _new(aws, shape, now)
    if found is None or found.state in GONE:
        says = f"the machine of {shape.name} was terminated outside orch, and its disk is gone"
        raise OrchError("host", says, f"orch down {shape.name}    # then: orch up {shape.name}")
    return _change(aws, shape, now, found)


def _generation(aws: Aws, shape: Shape) -> int:
    """The one that is the host; of what has no machine any more the newest of which anything is left."""
    found = machine.find(aws, shape)
    if found is not None and found.state not in GONE:
        return found.generation
    return max((shape.generation_of(one.name) for one in stack.of_host(aws, shape)), default=1)


def _notes(aws: Aws, shape: Shape) -> list[str]:
    """What stands beside the host, and costs money."""
    living = [one for one in machine.machines(aws, shape.name) if one.state not in GONE]
    before = [one.id for one in living if machine.is_retired(one)]
    beside = [one.id for one in living if one.generation > shape.generation and not machine.is_retired(one)]
    gone = f"{', '.join(before)}, which was {shape.name} before it moved, is still there: orch down {shape.name} --old"
    begun = f"{', '.join(beside)} is of a move that was not finished: orch up {shape.name} --move"
    return [*([gone] if before else []), *([begun] if beside else [])]


# A new machine


def _new(aws: Aws, shape: Shape, failed: stack.Stack | None) -> Plan:
    site, misses = preflight.examine(aws, shape)
    title = f"{shape.name} is to be made, in {aws.region}"
    if site is None:
        return Plan(title, misses=misses)
    told = list(facts(aws, shape, site))
    if failed is not None:
        told.append(("first", f"what is left of an attempt that failed is deleted ({failed.status})"))
    todo = Change(shape, site=site, kind=site.kind, failed=failed is not None)
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
    yield from _costs(aws, kind, shape)


def _costs(aws: Aws, kind: Kind, shape: Shape) -> Iterator[tuple[str, str]]:
    for line in prices.lines(prices.Prices(aws).cost(kind.name, aws.region, shape.disk)):
        yield "costs", line


def _as(aws: Aws) -> str:
    return f", profile {aws.profile}" if aws.profile else ""


def stops(idle: int) -> str:
    """When it stops, in words."""
    if not idle:
        return "never by itself (idle_stop = never)"
    length = next(f"{idle / size:.4g} {unit}" for size, unit in _UNITS if idle >= 2 * size or unit == "min")
    return f"by itself, {length} after the last job or use"


def make(aws: Aws, todo: Change, tell: Tell, keep_failed: bool) -> None:
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


# One that exists


def _change(aws: Aws, shape: Shape, now: stack.Stack, found: Machine) -> Plan:
    kind = preflight.kind_of(aws, shape.instance_type)
    if found.architecture and kind.architecture != found.architecture:
        says = f"{shape.name} is a machine for {found.architecture}, and {kind.name} for {kind.architecture}: " + (
            "it cannot start from the same disk"
        )
        hint = f"orch up {shape.name} --move    # makes a second one, copies, switches, deletes the first"
        raise OrchError("refused", says, hint)
    size = machine.disk_size(aws, found)
    if shape.disk < size:
        says = f"the disk of {shape.name} has {size} GB and cannot become smaller"
        raise OrchError("refused", says, f'write disk = "{size}GB"')
    resized = kind.name != found.type
    body, values, is_new = _wanted(aws, shape, now, kind)
    told = []
    if resized:
        told.append(("machine", f"{found.type} becomes {kind.name}: {kind.cpus} processors, {kind.memory >> 30} GB"))
    if shape.disk > size:
        told.append(("disk", f"{size} GB become {shape.disk} GB"))
    if now.parameters.get("IdleSeconds") != str(shape.idle_stop):
        told.append(("stops", stops(shape.idle_stop)))
    if is_new:
        told.append(("stack", "what belongs to the machine is brought to this version of orch"))
    is_behind = now.parameters.get("InstanceType") != kind.name
    if is_behind and not resized:
        told.append(("stack", f"is told that the machine is a {kind.name} by now"))
    is_stuck = now.status == "UPDATE_ROLLBACK_FAILED"
    if is_stuck:
        told.append(("stack", "an earlier change that failed half way is taken back to its end"))
    told += _access(aws, shape, found)
    if found.state != "running":
        told.append(("machine", f"starts: it is {found.state}"))
    if resized or shape.disk > size:
        told += _costs(aws, kind, shape)
    grown = shape.disk if shape.disk > size else None
    todo = Change(shape, machine=found, kind=kind, disk=grown, body=body, values=values, stuck=is_stuck)
    title = f"{shape.name} ({found.id}, {aws.region}) " + ("is to change" if told else "is as configured")
    return Plan(
        title,
        told,
        notes=_notes(aws, shape),
        interrupts=resized or is_behind,  # AWS may stop and start it, to bring it to what it is
        todo=todo,
        document=json.dumps(body, indent=2) if body else "",
    )


def _access(aws: Aws, shape: Shape, found: Machine) -> list[tuple[str, str]]:
    """Who may connect, where that changes."""
    if shape.access == "ssm":
        check_plugin()
        is_open = bool(ingress.rules(aws, found.groups[:1]))
        return [("access", "port 22 is closed; by Session Manager alone")] if is_open else []
    network = ingress.present_address(shape)
    if any(rule.get("CidrIpv4") == network for rule in ingress.rules(aws, found.groups[:1])):
        return []
    return [("access", f"port 22 opens for {network}")]


def _wanted(
    aws: Aws, shape: Shape, now: stack.Stack, kind: Kind
) -> tuple[Mapping[str, Any] | None, Mapping[str, str] | None, bool]:
    """Template and parameters, where the stack has others, and whether the template is one of them.

    A machine's user data stays what it was: it has run.
    """
    old = stack.template_of(aws, now.name)
    # A key pair is given at birth, and never again.
    new = template(shape._replace(ssh_key="ssm" if "KeyPair" in old["Resources"] else "connect"), kind.architecture)
    before, after = (one["Resources"][stack.INSTANCE]["Properties"] for one in (old, new))
    after["UserData"] = before["UserData"]
    values = {**now.parameters, "InstanceType": kind.name, "IdleSeconds": str(shape.idle_stop)}
    if new == old and values == dict(now.parameters):
        return None, None, False
    return new, {key: value for key, value in values.items() if key in new["Parameters"]}, new != old


def change(aws: Aws, todo: Change, tell: Tell) -> None:
    """Bring it to its shape: the type while it is stopped, the disk while it runs, the rest by the stack."""
    shape, found, kind = todo.shape, todo.machine, todo.kind
    assert found is not None and kind is not None  # of a plan for what exists
    if todo.stuck:
        stack.unstick(aws, shape, tell)
    prepared = None  # and judged, before anything is done
    if todo.body is not None and todo.values is not None:
        prepared = stack.prepare(aws, shape, todo.body, todo.values)
    if kind.name != found.type:
        machine.stop(aws, found, tell)
        machine.resize(aws, found, kind.name, tell)
    now = machine.start(aws, machine.look(aws, found), tell)
    if todo.disk is not None:
        machine.grow(aws, now, todo.disk, tell)
    if shape.access == "ssh":
        ingress.let_in(aws, shape, now)
    else:
        ingress.shut(aws, now.groups[:1])
    if prepared is not None:
        stack.execute(aws, shape, prepared, tell)


def settling(shape: Shape, grown: bool) -> str:
    """A script for the machine: what is written there, and a file system as large as its disk."""
    idle = f"echo {shape.idle_stop} | sudo tee /etc/orch/idle_stop >/dev/null"
    return f"{idle} && {_GROW}" if grown else f"{idle} && {{ {_GROW} || true; }}"
