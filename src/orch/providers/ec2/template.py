"""The CloudFormation stack of an EC2 host: all that it is made of, as one document. Pure.

Invariants
- Nothing may reach the machine: the template has no ingress. The machine may do nothing at AWS but what its role says,
  all of it bound to the host's own names; only Session Manager's actions know no narrower resource.
- What changes while the machine lives is a parameter, so an update is the template before with other parameters. To
  change VolumeGiB, ImageId, SubnetId or VpcId would replace the machine, which the stack policy denies.
- User data holds nothing that changes: CloudFormation would stop and start the machine for it, and nothing reads it
  again. So IdleSeconds is told to the machine once, and later by a file on it; its tag is for those who look from afar.
"""

from __future__ import annotations

import functools
import json
import shlex
from pathlib import Path
from typing import Any

from .shape import GENERATION, TAG, Shape

Json = dict[str, Any]

LIMIT = 16384
"""Bytes that user data may have (EC2's documentation)."""

PATIENCE = "PT10M"
"""For how long CloudFormation waits for the machine to say that it is ready."""

IDLE_TAG = "orch:idle-seconds"
_BURSTABLE = ("t2", "t3", "t3a", "t4g")
_RETENTION = 30  # days
_ROOT = "/dev/xvda"


def template(shape: Shape, arch: str = "x86_64") -> Json:
    """The stack of ``shape``. ``arch``, as EC2 calls it, is only told: it follows from image and type."""
    key_pair = shape.ssh_key == "ssm"
    resources = {
        "SecurityGroup": _security_group(shape),
        "LogGroup": _log_group(shape),
        "HostKey": _host_key(shape),
        "Role": _role(shape),
        "InstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Path": "/orch/", "Roles": [{"Ref": "Role"}]},
        },
        "Instance": _instance(shape, key_pair),
    }
    outputs = {"InstanceId": {"Value": {"Ref": "Instance"}}, "Architecture": {"Value": arch}}
    if key_pair:
        resources["KeyPair"] = _key_pair(shape)
        outputs["KeyPairId"] = {"Value": {"Fn::GetAtt": ["KeyPair", "KeyPairId"]}}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"orch: the machine {shape.name}, made by `orch up`, deleted whole by `orch down {shape.name}`",
        "Parameters": _PARAMETERS,
        "Conditions": {"Burstable": {"Fn::Or": [{"Fn::Equals": [_FAMILY, one]} for one in _BURSTABLE]}},
        "Resources": resources,
        "Outputs": outputs,
    }


def parameters(shape: Shape, *, image: str, subnet: str, vpc: str) -> dict[str, str]:
    """The values of the template's parameters."""
    return {
        "ImageId": image,
        "InstanceType": shape.instance_type,
        "VolumeGiB": str(shape.disk),
        "SubnetId": subnet,
        "VpcId": vpc,
        "IdleSeconds": str(shape.idle_stop),
    }


def stack_policy() -> Json:
    """What an update of the stack may do: anything, but replace or delete the machine."""
    everything = {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}
    actions = ["Update:Replace", "Update:Delete"]
    machine = {"Effect": "Deny", "Action": actions, "Principal": "*", "Resource": "LogicalResourceId/Instance"}
    return {"Statement": [everything, machine]}


def bootstrap(shape: Shape, region: str) -> str:
    """What the machine runs at its first boot, and carries: the text of user data."""
    return "".join(region if isinstance(part, dict) else part for part in _bootstrap(shape))


_FAMILY = {"Fn::Select": [0, {"Fn::Split": [".", {"Ref": "InstanceType"}]}]}
_PARAMETERS: Json = {
    "ImageId": {"Type": "AWS::EC2::Image::Id"},
    "InstanceType": {"Type": "String"},
    "VolumeGiB": {"Type": "Number", "MinValue": 8, "MaxValue": 16384},
    "SubnetId": {"Type": "AWS::EC2::Subnet::Id"},
    "VpcId": {"Type": "AWS::EC2::VPC::Id"},
    "IdleSeconds": {"Type": "Number", "MinValue": 0},
}


def _tags(shape: Shape) -> list[Json]:
    later = [{"Key": GENERATION, "Value": str(shape.generation)}] if shape.generation > 1 else []
    return [{"Key": TAG, "Value": shape.name}, *later]


def _security_group(shape: Shape) -> Json:
    properties = {
        "GroupDescription": f"orch: {shape.name}",
        "VpcId": {"Ref": "VpcId"},
        "Tags": [*_tags(shape), {"Key": "Name", "Value": shape.stack}],
    }
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}


def _log_group(shape: Shape) -> Json:
    properties = {"LogGroupName": shape.log_group, "RetentionInDays": _RETENTION, "Tags": _tags(shape)}
    # Said aloud, for CloudFormation's linters ask it of what holds data.
    kept = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
    return {"Type": "AWS::Logs::LogGroup", **kept, "Properties": properties}


def _host_key(shape: Shape) -> Json:
    """The machine writes its own into it."""
    properties = {
        "Name": shape.host_key,
        "Type": "String",
        "Value": "pending",
        "Tags": {tag["Key"]: tag["Value"] for tag in _tags(shape)},
    }
    return {"Type": "AWS::SSM::Parameter", "Properties": properties}


def _key_pair(shape: Shape) -> Json:
    """EC2 keeps its private half in Parameter Store."""
    properties = {"KeyName": shape.stack, "KeyType": "ed25519", "Tags": _tags(shape)}
    return {"Type": "AWS::EC2::KeyPair", "Properties": properties}


def _role(shape: Shape) -> Json:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"PolicyName": "orch", "PolicyDocument": {"Version": "2012-10-17", "Statement": _statements(shape)}}
    properties = {
        "Path": "/orch/",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [policy],
        "Tags": _tags(shape),
    }
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _statements(shape: Shape) -> list[Json]:
    """What the machine may do: be reached through Session Manager, read what is its own, write its logs and keys."""
    own = [_arn("ssm", f"parameter{shape.parameter(leaf)}") for leaf in ("env", "env/*", "deploy-key/*")]
    keys = [_arn("ssm", f"parameter{name}") for name in (shape.host_key, shape.parameter("deploy-key/*"))]
    group = f"log-group:{shape.log_group}"
    session = [f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")]
    return [
        _allow("SessionManager", ["ssm:UpdateInstanceInformation", *session], ["*"]),
        _allow("OwnParameters", ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"], own),
        _allow(
            "OwnSecrets", ["secretsmanager:GetSecretValue"], [_arn("secretsmanager", f"secret:orch/{shape.name}/*")]
        ),
        _allow("OwnKeys", ["ssm:PutParameter"], keys),
        _allow(
            "OwnLogs",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [_arn("logs", group), _arn("logs", f"{group}:*")],
        ),
    ]


def _allow(sid: str, actions: list[str], resources: list[Any]) -> Json:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _arn(service: str, resource: str) -> Json:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"}


def _instance(shape: Shape, key_pair: bool) -> Json:
    disk = {
        "VolumeType": "gp3",
        "VolumeSize": {"Ref": "VolumeGiB"},
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    properties = {
        "ImageId": {"Ref": "ImageId"},
        "InstanceType": {"Ref": "InstanceType"},
        "SubnetId": {"Ref": "SubnetId"},
        "SecurityGroupIds": [{"Fn::GetAtt": ["SecurityGroup", "GroupId"]}],
        "IamInstanceProfile": {"Ref": "InstanceProfile"},
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "CreditSpecification": {"Fn::If": ["Burstable", {"CPUCredits": "unlimited"}, {"Ref": "AWS::NoValue"}]},
        "BlockDeviceMappings": [{"DeviceName": _ROOT, "Ebs": disk}],
        "PropagateTagsToVolumeOnCreation": True,
        "Tags": [
            *_tags(shape),
            {"Key": "Name", "Value": shape.stack},
            {"Key": IDLE_TAG, "Value": {"Ref": "IdleSeconds"}},
        ],
        "UserData": {"Fn::Base64": {"Fn::Join": ["", _bootstrap(shape)]}},
    }
    if key_pair:
        properties["KeyName"] = {"Ref": "KeyPair"}
    return {
        "Type": "AWS::EC2::Instance",
        # What it writes to as soon as it boots.
        "DependsOn": ["HostKey", "LogGroup"],
        "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": PATIENCE}},
        "Properties": properties,
    }


def _bootstrap(shape: Shape) -> list[Any]:
    """User data in parts, of which one is the region, which CloudFormation knows."""
    settings = {
        "name": shape.name,
        "stack": shape.stack,
        "log_group": shape.log_group,
        "host_key": shape.host_key,
        "idle_seconds": str(shape.idle_stop),
    }
    lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items())
    return [f"#!/bin/bash\n{lines}region=", {"Ref": "AWS::Region"}, f"\n{_program()}"]


@functools.cache
def _program() -> str:
    here = Path(__file__)
    return here.with_name("bootstrap.sh").read_text().replace("@idle.py@\n", here.with_name("idle.py").read_text())


def as_text(document: Json) -> str:
    """A document as CloudFormation takes it, and a person can read it."""
    return json.dumps(document, indent=1)
