"""The kinds of resources that a stack of ours is made of: what CloudFormation does for each, on the caller's behalf."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.common_models import CloudFormationModel
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance as Model
from moto.ec2.models.key_pairs import KeyPair
from moto.ssm.models import ssm_backends

# CloudFormation calls these with the caller's permissions, as the kinds' own handlers do it (their registry's schemas).
ACTIONS: dict[str, dict[str, list[str]]] = {
    "AWS::EC2::SecurityGroup": {
        "create": ["ec2:CreateSecurityGroup", "ec2:DescribeSecurityGroups", "ec2:CreateTags"],
        "delete": ["ec2:DescribeSecurityGroups", "ec2:DeleteSecurityGroup"],
        "update": ["ec2:DescribeSecurityGroups", "ec2:CreateTags"],
    },
    "AWS::Logs::LogGroup": {
        "create": ["logs:CreateLogGroup", "logs:DescribeLogGroups", "logs:PutRetentionPolicy", "logs:TagResource"],
        "delete": ["logs:DescribeLogGroups", "logs:DeleteLogGroup"],
        "update": ["logs:DescribeLogGroups", "logs:PutRetentionPolicy"],
    },
    "AWS::SSM::Parameter": {
        "create": ["ssm:PutParameter", "ssm:AddTagsToResource", "ssm:GetParameters"],
        "delete": ["ssm:DeleteParameter"],
        "update": ["ssm:PutParameter", "ssm:GetParameters"],
    },
    "AWS::IAM::Role": {
        "create": ["iam:CreateRole", "iam:PutRolePolicy", "iam:GetRole", "iam:TagRole"],
        "delete": ["iam:GetRole", "iam:ListRolePolicies", "iam:DeleteRolePolicy", "iam:DeleteRole"],
        "update": ["iam:GetRole", "iam:PutRolePolicy"],
    },
    "AWS::IAM::InstanceProfile": {
        "create": [
            *("iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:GetInstanceProfile", "iam:PassRole"),
        ],
        "delete": ["iam:GetInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"],
        "update": ["iam:GetInstanceProfile"],
    },
    "AWS::EC2::KeyPair": {
        "create": ["ec2:CreateKeyPair", "ec2:DescribeKeyPairs", "ec2:CreateTags", "ssm:PutParameter"],
        "delete": ["ec2:DescribeKeyPairs", "ec2:DeleteKeyPair", "ssm:DeleteParameter"],
        "update": ["ec2:CreateTags"],
    },
    "AWS::EC2::Instance": {
        "create": ["ec2:RunInstances", "ec2:DescribeInstances", "iam:PassRole", "ec2:CreateTags"],
        "delete": ["ec2:DescribeInstances", "ec2:TerminateInstances"],
        "update": ["ec2:DescribeInstances", "ec2:ModifyInstanceAttribute", "ec2:StopInstances", "ec2:StartInstances"],
    },
}
# Properties whose change needs another resource (True), or may (Conditional). All others change in place.
_ALWAYS = {
    "AWS::EC2::Instance": {"ImageId", "SubnetId", "KeyName", "NetworkInterfaces", "LaunchTemplate", "AvailabilityZone"},
    "AWS::EC2::SecurityGroup": {"VpcId", "GroupName", "GroupDescription"},
    "AWS::Logs::LogGroup": {"LogGroupName"},
    "AWS::SSM::Parameter": {"Name"},
    "AWS::IAM::Role": {"RoleName", "Path"},
    "AWS::IAM::InstanceProfile": {"InstanceProfileName", "Path"},
    "AWS::EC2::KeyPair": {"KeyName", "KeyType"},
}
_PERHAPS = {"AWS::EC2::Instance": {"InstanceType", "UserData", "BlockDeviceMappings", "EbsOptimized"}}


def recreation(kind: str, properties: str) -> str:
    """Whether a change of a property makes another resource, as a change set says it."""
    if properties in _ALWAYS.get(kind, ()):
        return "Always"
    return "Conditionally" if properties in _PERHAPS.get(kind, ()) else "Never"


def in_order(described: Mapping[str, Any]) -> list[str]:
    """The names of resources, each behind all that it needs."""
    done: list[str] = []

    def add(name: str) -> None:
        if name in described and name not in done:
            for needed in sorted(references(described[name])):
                add(needed)
            done.append(name)

    for name in described:
        add(name)
    return done


def references(node: Any) -> set[str]:
    """The names that a part of a template refers to."""
    found: set[str] = set()
    if isinstance(node, list):
        return found.union(*map(references, node))
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in ("Ref", "Condition") and isinstance(value, str):
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(value[0] if isinstance(value, list) else value.partition(".")[0])
        elif key == "DependsOn":
            found.update([value] if isinstance(value, str) else value)
        elif key == "Fn::Sub":
            text, more = value if isinstance(value, list) else (value, {})
            found.update(one.partition(".")[0] for one in re.findall(r"\$\{([^!}]+)\}", text))
            found |= references(more)
        else:
            if key == "Fn::If":
                found.add(value[0])
            found |= references(value)
    return found


def wanted(stack: Stack, description: Mapping[str, Any]) -> bool:
    """Whether the resource's condition holds."""
    condition = description.get("Condition")
    return condition is None or bool(stack.resource_map.lazy_condition_map[condition])


def add_tags(stack: Stack, name: str, made: Any) -> None:
    """The stack's tags, and CloudFormation's own, on whatever can carry them."""
    own = {"stack-name": stack.name, "stack-id": stack.stack_id, "logical-id": name}
    tags = {**stack.tags, **{f"aws:cloudformation:{key}": value for key, value in own.items()}}
    if hasattr(made, "add_tags"):
        made.add_tags(tags)
    if isinstance(made, Model) and made.propagate_tags:
        for device in made.block_device_mapping.values():
            made.ec2_backend.volumes[device.volume_id].add_tags({tag["key"]: tag["value"] for tag in made.get_tags()})


def delete(stack: Stack, resource: Any, description: dict[str, Any]) -> None:
    """Delete a resource; one that is gone already is no trouble."""
    with suppress(Exception):
        stack.resource_map._delete_resource(resource, description)


def create_instance(
    cls: type, name: str, described: dict[str, Any], account_id: str, region_name: str, **more: Any
) -> Model:
    """An instance with all that our template says of it; moto itself leaves out half."""
    given = described["Properties"]
    backend = ec2_backends[account_id][region_name]
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", ())}
    metadata = given.get("MetadataOptions", {})
    model: Model = backend.run_instances(
        image_id=given["ImageId"],
        count=1,
        user_data=given.get("UserData"),
        security_group_names=[],
        security_group_ids=given.get("SecurityGroupIds", []),
        instance_type=given["InstanceType"],
        is_instance_type_default=False,
        subnet_id=given.get("SubnetId"),
        key_name=given.get("KeyName"),
        block_device_mappings=given.get("BlockDeviceMappings", []),
        instance_initiated_shutdown_behavior=given.get("InstanceInitiatedShutdownBehavior"),
        metadata_options={key: str(value) for key, value in metadata.items()},
        associate_public_ip=None,
        tags={"instance": tags},
    ).instances[0]
    model.propagate_tags = str(given.get("PropagateTagsToVolumeOnCreation", "")).lower() == "true"
    if "IamInstanceProfile" in given:
        backend.associate_iam_instance_profile(model.id, iam_instance_profile_name=given["IamInstanceProfile"])
    return model


def create_parameter(
    original: Callable[..., Any], cls: type, name: str, described: dict[str, Any], *words: Any, **more: Any
) -> Any:
    """A parameter whose tags are a map, as CloudFormation has them; moto wants a list."""
    tags = described["Properties"].get("Tags", {})
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return original(name, {**described, "Properties": {**described["Properties"], "Tags": listed}}, *words, **more)


class _KeyPair(KeyPair, CloudFormationModel):
    """A key pair of a stack, whose private half EC2 keeps in Parameter Store."""

    @staticmethod
    def cloudformation_name_type() -> str:
        return "KeyName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EC2::KeyPair"

    @property
    def physical_resource_id(self) -> str:
        return self.key_name

    @property
    def key_pair_id(self) -> str:
        return self.id

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("KeyPairId", "KeyFingerprint")

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return self.id if attribute_name == "KeyPairId" else self.key_fingerprint

    @classmethod
    def create_from_cloudformation_json(  # type: ignore[override]
        cls, name: str, described: dict[str, Any], account_id: str, region_name: str, **more: Any
    ) -> KeyPair:
        given = described["Properties"]
        pair = ec2_backends[account_id][region_name].create_key_pair(given["KeyName"], given.get("KeyType", "rsa"), {})
        pair.__class__ = cls
        pair.region = region_name
        pair.account = account_id
        pair.add_tags({tag["Key"]: tag["Value"] for tag in given.get("Tags", ())})
        ssm_backends[account_id][region_name].put_parameter(
            f"/ec2/keypair/{pair.id}",
            "",
            pair.key_material,
            "SecureString",
            "",
            None,
            False,
            [],
            "text",
            "Standard",
            "",
        )
        return pair

    def delete(self, account_id: str, region_name: str) -> None:
        ec2_backends[account_id][region_name].delete_key_pair(self.key_name)
        ssm_backends[account_id][region_name].delete_parameter(f"/ec2/keypair/{self.id}")


for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
    cached.cache_clear()  # moto finds kinds of resources by itself, once
