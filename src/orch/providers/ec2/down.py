"""Deleting a host whole, with all that was made for it and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from orch.errors import OrchError

from ..base import Tell
from . import ingress, machine, stack
from .aws import Aws
from .machine import Machine
from .shape import TAG, Shape

_PATIENCE, _POLL = 3600.0, 5.0  # seconds that a snapshot may take, and between two looks


def loss(aws: Aws, shape: Shape) -> Sequence[tuple[str, str]]:
    """What is deleted, thing by thing."""
    told = [("stack", f"{one.name}: {_parts(one)}") for one in stack.of_host(aws, shape)]
    for one in machine.machines(aws, shape.name):
        if one.state not in machine.GONE:
            told.append(("machine", f"{one.id}, {one.type}, {one.state}"))
            told.append(("disk", f"{machine.disk_size(aws, one)} GB: clones, results, ledger, logs"))
    told += [("logs", f"CloudWatch's {name}, all of it") for name in _log_groups(aws, shape)]
    if names := _parameters(aws, shape):
        keys = sum(name.startswith(shape.deploy_keys) for name in names)
        also = f", of them {keys} deploy keys" if keys else ""
        told.append(("secrets", f"{len(names)} parameters below /orch/{shape.name}/{also}"))
    return told


def _parts(one: stack.Stack) -> str:
    return "role, security group, host key" + (", key pair" if "KeyPairId" in one.outputs else "")


def delete(aws: Aws, shape: Shape, snapshot: bool, tell: Tell) -> None:
    """Delete it, the newest generation first; with ``snapshot`` not before a copy of the disk is complete."""
    for one in machine.machines(aws, shape.name) if snapshot else ():
        if one.state not in machine.GONE and not machine.is_retired(one):
            _keep(aws, shape, one, tell)
    ingress.shut(aws, ingress.groups_of(aws, shape))  # a rule that names another group would keep that one
    _delete_stacks(aws, shape, stack.of_host(aws, shape), tell)
    _delete_parameters(aws, shape, tell)
    for name in _log_groups(aws, shape):
        aws.client("logs").delete_log_group(logGroupName=name)


def _delete_stacks(aws: Aws, shape: Shape, stacks: Sequence[stack.Stack], tell: Tell) -> None:
    """All that can be; then what could not is told."""
    failure: OrchError | None = None
    for one in sorted((shape.generation_of(known.name) for known in stacks), reverse=True):
        try:
            stack.delete(aws, shape._replace(generation=one), tell)
        except OrchError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def delete_retired(aws: Aws, shape: Shape, tell: Tell) -> None:
    """Delete what has given way to another machine, with its stack, also where only that is left of it."""
    _delete_stacks(aws, shape, former(aws, shape), tell)


def former(aws: Aws, shape: Shape) -> list[stack.Stack]:
    """The stacks of earlier generations than the host's."""
    now = machine.standing(aws, shape)
    return [one for one in stack.of_host(aws, shape) if shape.generation_of(one.name) < now.generation]


def _keep(aws: Aws, shape: Shape, one: Machine, tell: Tell) -> None:
    client = aws.client("ec2")
    machine.stop(aws, one, tell)  # so that what is copied is whole
    tags = [{"Key": TAG, "Value": shape.name}, {"Key": "Name", "Value": shape.stack}]
    made: dict[str, Any] = client.create_snapshot(
        VolumeId=one.volume,
        Description=f"orch: the disk of {shape.name}",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
    )
    name, until = made["SnapshotId"], time.monotonic() + _PATIENCE
    while made["State"] != "completed":
        tell(name, made.get("Progress") or made["State"])
        if made["State"] == "error" or time.monotonic() > until:
            why = made.get("StateMessage") or "no answer"
            raise OrchError("host", f"{name}, a copy of the disk, is not complete: {why}", f"orch down {shape.name}")
        time.sleep(_POLL)
        made = client.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]
    tell(name, "completed; it stays, and is paid for: orch sweep")


def _parameters(aws: Aws, shape: Shape) -> list[str]:
    """Those that the stack does not know: secrets, and what the machine wrote."""
    pages = aws.client("ssm").get_paginator("get_parameters_by_path")
    said = pages.paginate(Path=f"/orch/{shape.name}/", Recursive=True)
    own = {shape._replace(generation=number).host_key for number in range(1, 10)}
    return sorted(one["Name"] for page in said for one in page["Parameters"] if one["Name"] not in own)


def _log_groups(aws: Aws, shape: Shape) -> list[str]:
    """Of every generation, also where the stack has gone without them."""
    pages = aws.client("logs").get_paginator("describe_log_groups")
    base = shape._replace(generation=1).log_group
    names = [one["logGroupName"] for page in pages.paginate(logGroupNamePrefix=base) for one in page["logGroups"]]
    return [name for name in names if name == base or name.startswith(f"{base}--")]


def _delete_parameters(aws: Aws, shape: Shape, tell: Tell) -> None:
    names = _parameters(aws, shape)
    for at in range(0, len(names), 10):
        aws.client("ssm").delete_parameters(Names=names[at : at + 10])
    if names:
        tell("parameters", f"{len(names)} deleted")
