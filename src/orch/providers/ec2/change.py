"""What exists, brought to what is wanted: in place or not at all.

A resize, a larger disk, a change of the stack that replaces nothing. That a change would replace something is known
before anything is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orch.errors import OrchError

from ..base import Plan, Tell
from . import ingress, machine, preflight, stack
from .aws import Aws
from .machine import GONE, Machine
from .preflight import Kind
from .session import check_plugin
from .shape import Shape
from .template import template
from .todo import Todo, costs, stops

_GROW = "{ sudo growpart $(readlink -f /dev/xvda) 1; sudo xfs_growfs -d /; }"
"""The root device has that name whatever the kernel calls it; ``growpart`` fails where it has nothing to do."""


def plan(aws: Aws, shape: Shape, now: stack.Stack, found: Machine) -> Plan:
    """What is different from what is wanted."""
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
        told += costs(aws, kind, shape)
    grown = shape.disk if shape.disk > size else None
    todo = Todo(shape, machine=found, kind=kind, disk=grown, body=body, values=values, stuck=is_stuck)
    title = f"{shape.name} ({found.id}, {aws.region}) " + ("is to change" if told else "is as configured")
    return Plan(
        title,
        told,
        notes=_notes(aws, shape),
        interrupts=resized or is_behind,  # AWS may stop and start it, to bring it to what it is
        todo=todo,
        document=json.dumps(body, indent=2) if body else "",
    )


def _notes(aws: Aws, shape: Shape) -> list[str]:
    """What stands beside the host, and costs money."""
    living = [one for one in machine.machines(aws, shape.name) if one.state not in GONE]
    before = [one.id for one in living if machine.is_retired(one)]
    beside = [one.id for one in living if one.generation > shape.generation and not machine.is_retired(one)]
    gone = f"{', '.join(before)}, which was {shape.name} before it moved, is still there: orch down {shape.name} --old"
    begun = f"{', '.join(beside)} is of a move that was not finished: orch up {shape.name} --move"
    return [*([gone] if before else []), *([begun] if beside else [])]


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


def carry_out(aws: Aws, todo: Todo, tell: Tell) -> None:
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
