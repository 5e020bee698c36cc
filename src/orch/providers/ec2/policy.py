"""What the laptop may do at AWS: the least that orch needs, as an IAM policy. Pure.

Invariants
- Whatever makes, changes or deletes is bound to what carries the tag ``orch:name``, or to names that begin with orch's
  own, wherever AWS can do that (the service authorization reference says for each action whether it can).
- The tests record every call that is made and compare both ways: no action is missing here, and none is too many.
"""

from __future__ import annotations

import json
from typing import Any

from .shape import USER

Statement = dict[str, Any]

_OURS: Statement = {"Null": {"aws:ResourceTag/orch:name": "false"}}
_MADE_OURS: Statement = {"Null": {"aws:RequestTag/orch:name": "false"}}


def _ec2(*kinds: str) -> list[str]:
    return [f"arn:aws:ec2:*:{'' if kind in ('image', 'snapshot') else '*'}:{kind}/*" for kind in kinds]


def _allow(sid: str, actions: list[str], resources: list[str], condition: Statement | None = None) -> Statement:
    said = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return said if condition is None else {**said, "Condition": condition}


_LOOK = [
    *("cloudformation:DescribeStacks", "iam:ListInstanceProfiles", "iam:ListRoles", "logs:DescribeLogGroups"),
    *("pricing:GetProducts", "servicequotas:GetServiceQuota", "ssm:DescribeParameters", "sts:GetCallerIdentity"),
    *("ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings"),
    *("ec2:DescribeKeyPairs", "ec2:DescribeRegions", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroupRules"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSnapshots", "ec2:DescribeSubnets", "ec2:DescribeVolumes"),
    "ec2:DescribeVolumesModifications",
]
"""What reads, and knows no resource that it could be bound to."""

BY_CLOUDFORMATION = [
    *("ec2:DescribeInstanceAttribute", "ec2:DescribeInstanceCreditSpecifications", "ec2:DescribeTags"),
    *("ec2:DescribeVpcs", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "ssm:ListTagsForResource"),
    *("logs:ListTagsForResource", "cloudformation:SetStackPolicy"),
]
"""What CloudFormation asks for in our name, by its documentation, and what no call of orch's own and no test shows."""

_STACK = [
    f"cloudformation:{verb}"
    for verb in (
        *("CreateStack", "DeleteStack", "DescribeStackEvents", "GetTemplate", "ListStackResources", "SetStackPolicy"),
        *("CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "ContinueUpdateRollback"),
    )
]
_CREATE = ["RunInstances", "CreateSecurityGroup", "CreateKeyPair", "CreateSnapshot"]
_CHANGE = [
    f"ec2:{verb}"
    for verb in (
        *("StartInstances", "StopInstances", "TerminateInstances", "ModifyInstanceAttribute", "GetConsoleOutput"),
        *("ModifyVolume", "DeleteVolume", "DeleteSnapshot", "DeleteKeyPair", "DeleteSecurityGroup"),
        *("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"),
    )
]
_PARAMETERS = [
    f"ssm:{verb}"
    for verb in (
        *("GetParameter", "GetParameters", "GetParametersByPath", "PutParameter", "DeleteParameter"),
        *("DeleteParameters", "AddTagsToResource", "ListTagsForResource"),
    )
]
_ROLE = [
    f"iam:{verb}"
    for verb in (
        *("CreateRole", "GetRole", "DeleteRole", "TagRole", "PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy"),
        *("ListRolePolicies", "ListAttachedRolePolicies"),
    )
]
_PROFILE = [
    f"iam:{verb}"
    for verb in (
        *("CreateInstanceProfile", "GetInstanceProfile", "DeleteInstanceProfile"),
        *("AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"),
    )
]
_LOGS = [
    f"logs:{verb}"
    for verb in (
        *("CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy", "TagResource", "ListTagsForResource"),
        *("DescribeLogStreams", "GetLogEvents"),
    )
]

STATEMENTS: list[Statement] = [
    _allow("Look", [*_LOOK, *(one for one in BY_CLOUDFORMATION if one.startswith("ec2:"))], ["*"]),
    _allow("Stacks", _STACK, ["arn:aws:cloudformation:*:*:stack/orch-*/*"]),
    _allow("MakeMachine", ["ec2:RunInstances"], _ec2("instance", "volume"), _MADE_OURS),
    _allow("MakeMachineFrom", ["ec2:RunInstances"], _ec2("image", "subnet", "network-interface")),
    _allow("MakeMachineFromOurs", ["ec2:RunInstances"], _ec2("security-group", "key-pair"), _OURS),
    _allow(
        "MakeWhatGoesWithIt",
        ["ec2:CreateSecurityGroup", "ec2:CreateKeyPair", "ec2:CreateSnapshot"],
        _ec2("security-group", "key-pair", "snapshot"),
        _MADE_OURS,
    ),
    _allow("MakeGroupIn", ["ec2:CreateSecurityGroup"], _ec2("vpc")),
    _allow("MakeSnapshotOf", ["ec2:CreateSnapshot"], _ec2("volume"), _OURS),
    _allow("TagWhatIsMade", ["ec2:CreateTags"], ["*"], {"StringEquals": {"ec2:CreateAction": _CREATE}}),
    _allow("ChangeOurs", ["ec2:CreateTags", *_CHANGE], ["*"], _OURS),
    _allow(
        "Connect",
        ["ec2-instance-connect:SendSSHPublicKey"],
        _ec2("instance"),
        {**_OURS, "StringEquals": {"ec2:osuser": USER}},
    ),
    _allow("Session", ["ssm:StartSession"], _ec2("instance"), _OURS),
    _allow("SessionBySsh", ["ssm:StartSession"], ["arn:aws:ssm:*::document/AWS-StartSSHSession"]),
    _allow(
        "EndOwnSession",
        ["ssm:TerminateSession"],
        [f"arn:aws:ssm:*:*:session/${{aws:{who}}}-*" for who in ("userid", "username")],
    ),
    _allow("Image", ["ssm:GetParameter"], ["arn:aws:ssm:*::parameter/aws/service/ami-amazon-linux-latest/*"]),
    _allow("Parameters", _PARAMETERS, ["arn:aws:ssm:*:*:parameter/orch/*"]),
    _allow(
        "KeyPairs",
        ["ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"],
        ["arn:aws:ssm:*:*:parameter/ec2/keypair/*"],
    ),
    _allow("Logs", _LOGS, ["arn:aws:logs:*:*:log-group:/orch/*"]),
    _allow("Roles", _ROLE, ["arn:aws:iam::*:role/orch/*"]),
    _allow("Profiles", _PROFILE, ["arn:aws:iam::*:instance-profile/orch/*"]),
    _allow(
        "PassRole",
        ["iam:PassRole"],
        ["arn:aws:iam::*:role/orch/*"],
        {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
]
"""In the order of the documentation."""


def document() -> str:
    """The policy as IAM takes it."""
    return json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS}, indent=2)


def action(operation: str) -> str:
    """An API's operation as IAM writes it, ``ec2:RunInstances``; its own name where the policy has none like it."""
    return next((one for one in _actions() if one.partition(":")[2] == operation), operation)


def _actions() -> list[str]:
    return [one for statement in STATEMENTS for one in statement["Action"]]


def statement_for(name: str) -> str:
    """The line of the policy that allows an action, as a hint."""
    found = next((one for one in STATEMENTS if name in one["Action"]), None)
    if found is None:
        return "docs/aws.md has the policy that orch needs"
    line = {**{key: found[key] for key in ("Effect", "Resource", "Condition") if key in found}, "Action": name}
    return f"{json.dumps(line)}\nis what the policy lacks: statement {found['Sid']} in docs/aws.md"
