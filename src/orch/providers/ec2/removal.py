"""The deletion of what ``sweep`` has found, one thing at a time.

What is gone already counts as deleted, so all of it may be repeated. A call returns when the thing is gone, where
others wait for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from orch.errors import OrchError

from .aws import Aws, code_of, explained
from .sweep import EVERYWHERE, STACK, Thing

_GONE = ("NotFound", "NoSuchEntity", "does not exist")
_PATIENCE, _POLL = 1800.0, 3.0  # seconds


def delete(aws: Aws, thing: Thing) -> None:
    """Delete it, and wait until it is gone where others depend on that."""
    try:
        with explained():
            _delete(aws, thing)
    except OrchError as error:
        if not (isinstance(error.__cause__, Exception) and _is_gone(error.__cause__)):
            raise


def order(thing: Thing) -> int:
    """What goes first: stacks, then what others depend on last."""
    return _ORDER.index(thing.kind)


_ORDER = (
    *(STACK, "instance", "volume", "snapshot", "security group", "key pair", "log group", "parameter"),
    *("instance profile", "role"),
)


def _is_gone(error: Exception) -> bool:
    said = f"{code_of(error)} {error}"
    return any(word in said for word in _GONE)


def _delete(aws: Aws, thing: Thing) -> None:
    region = None if thing.region == EVERYWHERE else thing.region
    ec2 = aws.client("ec2", region)
    if thing.kind == STACK:
        _delete_stack(aws.client("cloudformation", region), thing)
    elif thing.kind == "instance":
        ec2.terminate_instances(InstanceIds=[thing.id])
        _until(lambda: _state(ec2, thing.id) == "terminated", thing)
    elif thing.kind == "volume":
        ec2.delete_volume(VolumeId=thing.id)
    elif thing.kind == "snapshot":
        ec2.delete_snapshot(SnapshotId=thing.id)
    elif thing.kind == "security group":
        ec2.delete_security_group(GroupId=thing.id)
    elif thing.kind == "key pair":
        ec2.delete_key_pair(KeyName=thing.name)
        aws.client("ssm", region).delete_parameter(
            Name=f"/ec2/keypair/{thing.id}"
        )  # CloudFormation's, of its key pairs
    elif thing.kind == "log group":
        aws.client("logs", region).delete_log_group(logGroupName=thing.id)
    elif thing.kind == "parameter":
        aws.client("ssm", region).delete_parameter(Name=thing.id)
    else:
        _delete_identity(aws.client("iam"), thing)


def _state(ec2: Any, instance: str) -> str:
    said = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return str(said[0]["Instances"][0]["State"]["Name"]) if said else "terminated"


def _delete_stack(client: Any, thing: Thing) -> None:
    client.delete_stack(StackName=thing.id)

    def is_gone() -> bool:
        try:
            status = client.describe_stacks(StackName=thing.id)["Stacks"][0]["StackStatus"]
        except Exception as error:
            if _is_gone(error):
                return True
            raise
        if status == "DELETE_FAILED":
            hint = f"aws cloudformation describe-stack-events --region {thing.region} --stack-name {thing.id}"
            raise OrchError("host", f"{thing.id} in {thing.region} could not be deleted whole", hint)
        return bool(status == "DELETE_COMPLETE")

    _until(is_gone, thing)


def _delete_identity(iam: Any, thing: Thing) -> None:
    if thing.kind == "instance profile":
        said = iam.get_instance_profile(InstanceProfileName=thing.id)["InstanceProfile"]
        for role in said["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=thing.id, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=thing.id)
        return
    for name in iam.list_role_policies(RoleName=thing.id)["PolicyNames"]:
        iam.delete_role_policy(RoleName=thing.id, PolicyName=name)
    iam.delete_role(RoleName=thing.id)


def _until(is_so: Callable[[], bool], thing: Thing) -> None:
    until = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise OrchError("host", f"{thing.id} in {thing.region} is not gone after {_PATIENCE / 60:.0f} minutes")
        time.sleep(_POLL)
