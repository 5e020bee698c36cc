"""Port 22 for this laptop's present address, and for nobody else: with ``access = "ssh"`` alone.

Each laptop has a rule of its own, known by its description; laptops that share a host leave one another's alone.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
from collections.abc import Sequence
from typing import Any

from orch.errors import OrchError
from orch.transport import LinkDown

from .aws import Aws, code_of
from .machine import Machine
from .shape import AUTO, TAG, Shape

_WHO_AM_I = "https://checkip.amazonaws.com"
_PATIENCE = 10.0


def let_in(aws: Aws, shape: Shape, machine: Machine) -> None:
    """See to it that this laptop may connect; the rule for an address that it had before goes."""
    network = present_address(shape)
    client = aws.client("ec2")
    ours = [rule for rule in rules(aws, machine.groups[:1]) if rule.get("Description") == _ours()]
    if not any(rule.get("CidrIpv4") == network for rule in ours):
        _open(client, machine.groups[0], network)
    for rule in ours:
        if rule.get("CidrIpv4") != network:
            client.revoke_security_group_ingress(
                GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
            )


def shut(aws: Aws, groups: Sequence[str]) -> None:
    """Take out every rule of these security groups."""
    client = aws.client("ec2")
    for rule in rules(aws, groups):
        client.revoke_security_group_ingress(
            GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
        )


def groups_of(aws: Aws, shape: Shape) -> list[str]:
    """The security groups of every generation."""
    asked = [{"Name": f"tag:{TAG}", "Values": [shape.name]}]
    return [one["GroupId"] for one in aws.client("ec2").describe_security_groups(Filters=asked)["SecurityGroups"]]


def rules(aws: Aws, groups: Sequence[str]) -> list[dict[str, Any]]:
    """Who may come in."""
    if not groups:
        return []
    asked = [{"Name": "group-id", "Values": list(groups)}]
    said = aws.client("ec2").describe_security_group_rules(Filters=asked)
    return [rule for rule in said["SecurityGroupRules"] if not rule["IsEgress"]]


def _open(client: Any, group: str, network: str) -> None:
    one = {"CidrIp": network, "Description": _ours()}
    try:
        client.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [one]}]
        )
    except Exception as error:
        if code_of(error) != "InvalidPermission.Duplicate":  # another laptop behind the same address
            raise


def _ours() -> str:
    """What this laptop's rule is called."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", platform.node())[:60]
    return f"orch - {name}"


def present_address(shape: Shape) -> str:
    """The network that may connect: as configured, or the one address that the world sees this laptop with."""
    if shape.address != AUTO:
        return shape.address
    import urllib.request

    place = os.environ.get("ORCH_WHO_AM_I", _WHO_AM_I)
    try:
        with urllib.request.urlopen(place, timeout=_PATIENCE) as answer:  # noqa: S310  # ours, or the person's own
            said = answer.read(100).decode("ascii", "replace").strip()
        return f"{ipaddress.IPv4Address(said)}/32"
    except ValueError:
        raise OrchError("host", f"{place} does not say which IPv4 address this laptop has", _NAMED) from None
    except OSError as error:
        raise LinkDown(f"{place} does not say which address this laptop has: {error}", _NAMED) from None


_NAMED = 'write address = "YOUR.ADDRESS/32" for the host, or access = "ssm", which needs none'
