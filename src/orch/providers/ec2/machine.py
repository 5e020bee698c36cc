"""The one instance that a host is, as EC2 tells of it: found by its tag, so that any laptop finds it.

A host that moves has two machines for a while. The older generation is the host, until it is marked as retired: that
one tag is the switch.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from orch.errors import OrchError
from orch.transport import Off

from ..base import Tell, under_way
from .aws import Aws, explained
from .shape import GENERATION, RETIRED, TAG, Shape

GONE = ("shutting-down", "terminated")
_YOUNG = 240.0  # seconds after its start in which a machine answers, if it ever does
_PATIENCE, _POLL = 600.0, 1.0  # seconds that a change of state may take, and between two looks


class Machine(NamedTuple):
    """An instance. ``state`` is EC2's word; ``reason`` what it says of the last change; times in epoch seconds."""

    id: str
    state: str
    type: str
    architecture: str
    zone: str
    subnet: str
    address: str | None
    inner: str | None
    """Its address in the network."""

    launched: float
    generation: int
    volume: str | None
    groups: tuple[str, ...]
    reason: str
    tags: Mapping[str, str]


def find(aws: Aws, shape: Shape, only: int | None = None) -> Machine | None:
    """The host's machine, or that of one generation; one that is no more only where there is no other."""
    found = [one for one in machines(aws, shape.name) if _is_meant(one, only)]
    return min(found, key=lambda one: (one.state in GONE, one.generation, -one.launched), default=None)


def _is_meant(one: Machine, only: int | None) -> bool:
    return not is_retired(one) if only is None else one.generation == only


def standing(aws: Aws, shape: Shape, only: int | None = None) -> Machine:
    """The same, which may be off but has its disk; else an ``Off``."""
    found = find(aws, shape, only)
    if found is None or found.state in GONE:
        raise Off(shape.name, "absent" if found is None else "terminated")
    return found


def is_retired(one: Machine) -> bool:
    """Whether it was the host, and is no more."""
    return RETIRED in one.tags


def is_young(one: Machine) -> bool:
    """Whether it started so lately that it need not answer yet."""
    return time.time() - one.launched < _YOUNG


def retired(aws: Aws, shape: Shape) -> list[Machine]:
    """Those that have given way to another generation, and still stand."""
    return [one for one in machines(aws, shape.name) if is_retired(one) and one.state not in GONE]


def machines(aws: Aws, name: str) -> list[Machine]:
    """Every machine that carries the host's name."""
    pages = (
        aws.client("ec2")
        .get_paginator("describe_instances")
        .paginate(Filters=[{"Name": f"tag:{TAG}", "Values": [name]}])
    )
    return [_machine(one) for page in pages for group in page["Reservations"] for one in group["Instances"]]


def _machine(said: Mapping[str, Any]) -> Machine:
    tags = {tag["Key"]: tag["Value"] for tag in said.get("Tags", ())}
    disks = {disk["DeviceName"]: disk.get("Ebs", {}).get("VolumeId") for disk in said.get("BlockDeviceMappings", ())}
    return Machine(
        said["InstanceId"],
        said["State"]["Name"],
        said["InstanceType"],
        said.get("Architecture", ""),
        said.get("Placement", {}).get("AvailabilityZone", ""),
        said.get("SubnetId", ""),
        said.get("PublicIpAddress"),
        said.get("PrivateIpAddress"),
        said["LaunchTime"].timestamp(),
        int(tags[GENERATION]) if tags.get(GENERATION, "").isdecimal() else 1,
        disks.get(said.get("RootDeviceName", "")),
        tuple(group["GroupId"] for group in said.get("SecurityGroups", ())),
        said.get("StateTransitionReason", "") or said.get("StateReason", {}).get("Message", ""),
        tags,
    )


def look(aws: Aws, machine: Machine) -> Machine:
    """The same machine now."""
    said = aws.client("ec2").describe_instances(InstanceIds=[machine.id])
    return _machine(said["Reservations"][0]["Instances"][0])


def start(aws: Aws, machine: Machine, tell: Tell) -> Machine:
    """See to it that it runs; one that is stopping stops first."""
    if machine.state == "stopping":
        machine = _become(aws, machine, "stopped", tell)
    if machine.state == "stopped":
        tell("machine", "starting")
        aws.client("ec2").start_instances(InstanceIds=[machine.id])
    return _become(aws, machine, "running", tell)


def stop(aws: Aws, machine: Machine, tell: Tell) -> Machine:
    """See to it that it is stopped; its disk stays."""
    if machine.state in ("running", "pending"):
        tell("machine", "stopping")
        aws.client("ec2").stop_instances(InstanceIds=[machine.id])
    with under_way(f"{machine.id} was told to stop"), explained():
        return _become(aws, machine, "stopped", tell)


def _become(aws: Aws, machine: Machine, state: str, tell: Tell) -> Machine:
    until = time.monotonic() + _PATIENCE
    before = seen = machine
    while True:
        machine = look(aws, machine)
        if machine.state != seen.state:
            tell("machine", machine.state)
        seen = machine
        # It may have been stopped, and started again by somebody else, between two looks.
        if machine.state == state or (state == "stopped" and machine.launched > before.launched):
            return machine
        if machine.state in GONE or (state == "running" and machine.state == "stopped" and _failed(machine)):
            raise OrchError("host", f"{machine.id} is {machine.state}, not {state}: {machine.reason}", "orch hosts")
        if time.monotonic() > until:
            says = f"{machine.id} is still {machine.state} after {_PATIENCE:.0f} s"
            raise OrchError("host", says, f"aws ec2 describe-instances --instance-ids {machine.id}")
        time.sleep(_POLL)


def _failed(machine: Machine) -> bool:
    return machine.reason.startswith("Server.")


def resize(aws: Aws, machine: Machine, instance_type: str, tell: Tell) -> None:
    """Another type for a machine that is stopped."""
    tell("machine", f"becomes {instance_type}")
    aws.client("ec2").modify_instance_attribute(InstanceId=machine.id, InstanceType={"Value": instance_type})


def disk_size(aws: Aws, machine: Machine) -> int:
    """GiB of the disk."""
    said = aws.client("ec2").describe_volumes(VolumeIds=[machine.volume])
    return int(said["Volumes"][0]["Size"])


def grow(aws: Aws, machine: Machine, gib: int, tell: Tell) -> None:
    """A larger disk, under the machine as it runs; returns when the machine can see it."""
    tell("disk", f"grows to {gib} GB")
    client = aws.client("ec2")
    client.modify_volume(VolumeId=machine.volume, Size=gib)
    until = time.monotonic() + _PATIENCE
    while True:
        said = client.describe_volumes_modifications(VolumeIds=[machine.volume])["VolumesModifications"]
        newest = max(said, key=lambda one: one["StartTime"], default=None)
        if newest is None or newest["ModificationState"] in ("optimizing", "completed"):
            return
        if newest["ModificationState"] == "failed" or time.monotonic() > until:
            raise OrchError("host", f"the disk did not grow: {newest.get('StatusMessage') or 'no answer'}", "orch up")
        time.sleep(_POLL)


_WHEN = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


def stopped_at(machine: Machine) -> float | None:
    """When it stopped, in epoch seconds, as far as EC2 says."""
    found = _WHEN.search(machine.reason)
    if found is None:
        return None
    from datetime import UTC, datetime

    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
