"""Whether a machine can be made: in an account that lacks one thing each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from botocore.stub import Stubber

from orch.errors import OrchError
from orch.providers.ec2 import preflight
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.preflight import Kind
from orch.providers.ec2.shape import Shape
from tests.support import mockaws

SHAPE = Shape("cloud", "ap-northeast-1")


@pytest.fixture(scope="module")
def account() -> Iterator[Aws]:
    with mockaws.account() as aws:
        yield aws


@pytest.fixture
def aws(account: Aws) -> Aws:
    """An account as AWS opens one, with a way out of its network; no plugin is asked for."""
    mockaws.empty()
    ec2 = account.client("ec2")
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc["VpcId"])
    [table] = ec2.describe_route_tables()["RouteTables"]
    route(account, table["RouteTableId"], GatewayId=gateway)
    return account


def route(aws: Aws, table: str, **to: str) -> None:
    aws.client("ec2").create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **to)


def misses(aws: Aws, shape: Shape = SHAPE) -> dict[str, tuple[str, str]]:
    with patch.object(preflight, "check_plugin"), patch.object(preflight, "_check_quota"):
        site, found = preflight.examine(aws, shape)
    assert (site is None) == bool(found)
    return {one.name: (one.says, one.mend) for one in found}


def test_an_account_as_it_is_opened_will_do(aws: Aws) -> None:
    with patch.object(preflight, "check_plugin"), patch.object(preflight, "_check_quota"):
        site, found = preflight.examine(aws, SHAPE)
    assert not found
    assert site is not None
    assert (site.kind.cpus, site.kind.memory >> 30, site.kind.architecture) == (8, 32, "x86_64")
    assert site.image.startswith("ami-")
    assert len(site.subnets) > 1
    assert sorted(one.zone for one in site.subnets) == [one.zone for one in site.subnets]


def test_an_arm_machine_gets_an_image_of_its_own(aws: Aws) -> None:
    assert preflight.kind_of(aws, "m7g.2xlarge").architecture == "arm64"
    assert preflight.image_for(aws, "arm64") != preflight.image_for(aws, "x86_64")


def test_an_unknown_type_is_told_of(aws: Aws) -> None:
    says, mend = misses(aws, SHAPE._replace(instance_type="t3.huge"))["instance type"]
    assert "no instance type t3.huge in ap-northeast-1" in says
    assert mend


def test_a_network_without_a_way_out_is_told_of(aws: Aws) -> None:
    [table] = aws.client("ec2").describe_route_tables()["RouteTables"]
    aws.client("ec2").delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    says, mend = misses(aws)["subnet"]
    assert "a way out" in says
    assert "subnet-..." in mend


def test_no_network_is_told_of(aws: Aws) -> None:
    with Stubber(aws.client("ec2")) as stub:
        stub.add_response("describe_subnets", {"Subnets": []})
        with pytest.raises(OrchError, match="no default network") as missing:
            preflight._subnets(aws, SHAPE)
    assert "create-default-vpc" in missing.value.hint


def table(**route: str) -> dict[str, Any]:
    return {
        "Routes": [{"DestinationCidrBlock": "10.0.0.0/8", "GatewayId": "local"}, route],
        "Associations": [{"Main": True}],
    }


OUT = {"DestinationCidrBlock": "0.0.0.0/0"}


@pytest.mark.parametrize(
    ("public", "way", "access", "reaches"),
    [
        (True, {"GatewayId": "igw-1"}, "ssm", True),
        (False, {"GatewayId": "igw-1"}, "ssm", False),
        (False, {"NatGatewayId": "nat-1"}, "ssm", True),
        (False, {"NatGatewayId": "nat-1"}, "ssh", False),
        (True, {"GatewayId": "igw-1"}, "ssh", True),
        (True, {"NatGatewayId": "nat-1", "State": "blackhole"}, "ssm", False),
    ],
)
def test_what_reaches_out(public: bool, way: dict[str, str], access: str, reaches: bool) -> None:
    subnet = {"SubnetId": "subnet-1", "MapPublicIpOnLaunch": public}
    assert preflight._reaches_out(subnet, [table(**OUT, **way)], SHAPE._replace(access=access)) is reaches


def test_a_subnets_own_table_counts_before_the_main_one() -> None:
    own = {"Routes": [], "Associations": [{"SubnetId": "subnet-1"}]}
    subnet = {"SubnetId": "subnet-1", "MapPublicIpOnLaunch": True}
    assert not preflight._reaches_out(subnet, [table(**OUT, GatewayId="igw-1"), own], SHAPE)


def test_a_zone_without_the_type_is_left_out(aws: Aws) -> None:
    with Stubber(aws.client("ec2")) as stub:
        offered = [{"InstanceType": "t3.2xlarge", "LocationType": "availability-zone", "Location": "b"}]
        stub.add_response("describe_instance_type_offerings", {"InstanceTypeOfferings": offered})
        subnets = [{"SubnetId": f"subnet-{zone}", "VpcId": "v", "AvailabilityZone": zone} for zone in "ab"]
        assert [one.id for one in preflight._having(aws.client("ec2"), SHAPE, subnets)] == ["subnet-b"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("t3.2xlarge", "L-1216C47A"),
        ("m7g.2xlarge", "L-1216C47A"),
        ("g5.xlarge", "L-DB2E81BA"),
        ("p4d.24xlarge", "L-417A185B"),
        ("inf2.xlarge", "L-1945791B"),
        ("x2idn.16xlarge", "L-7295265B"),
        ("trn1.2xlarge", "L-2C3B7624"),
        ("u-6tb1.metal", "L-43DA4232"),
    ],
)
def test_the_quota_of_a_family(name: str, code: str) -> None:
    assert preflight._quota(name) == code


def quota(aws: Aws, most: float, running: int) -> None:
    reservation = {
        "Instances": [{"InstanceType": "t3.2xlarge", "CpuOptions": {"CoreCount": 4, "ThreadsPerCore": 2}}] * running
    }
    with Stubber(aws.client("service-quotas")) as quotas, Stubber(aws.client("ec2")) as ec2:
        quotas.add_response("get_service_quota", {"Quota": {"Value": most}})
        ec2.add_response("describe_instances", {"Reservations": [reservation]})
        preflight._check_quota(aws, Kind("t3.2xlarge", "x86_64", 8, 32 << 30))


def test_a_quota_that_would_be_exceeded_is_told_with_its_page(aws: Aws) -> None:
    quota(aws, 32, 3)
    with pytest.raises(OrchError, match=r"32 processors.*32 run, and t3.2xlarge has 8") as full:
        quota(aws, 32, 4)
    assert "quotas/L-1216C47A" in full.value.hint


def test_who_may_not_ask_for_the_quota_is_not_held_up(aws: Aws) -> None:
    with Stubber(aws.client("service-quotas")) as quotas:
        quotas.add_client_error("get_service_quota", "AccessDeniedException")
        preflight._check_quota(aws, Kind("t3.2xlarge", "x86_64", 8, 32 << 30))
