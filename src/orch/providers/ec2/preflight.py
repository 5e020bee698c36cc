"""Whether a machine can be made: each miss told, with what to do about it, before anything costs money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from orch.errors import OrchError
from orch.model import Check

from .aws import Aws, code_of, explained
from .session import check_plugin
from .shape import Shape

T = TypeVar("T")
_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
_ROOT = "/dev/xvda"
_IMAGES = "leave out image, for the newest Amazon Linux 2023; one of your own is to be made of that"
_STANDARD = "L-1216C47A"
_QUOTAS = {
    "g": "L-DB2E81BA",
    "vt": "L-DB2E81BA",
    "p": "L-417A185B",
    "dl": "L-6E869C2A",
    "trn": "L-2C3B7624",
    "inf": "L-1945791B",
    "x": "L-7295265B",
    "f": "L-74FC7D96",
    "u": "L-43DA4232",
    "hpc": "L-F7808C92",
}
"""Service Quotas' codes for processors of running on-demand machines, by family; other families are ``standard``."""


class Kind(NamedTuple):
    """An instance type: processors, memory in bytes."""

    name: str
    architecture: str
    cpus: int
    memory: int


class Subnet(NamedTuple):
    """A place for a machine; ``public``: machines there have an address of their own."""

    id: str
    vpc: str
    zone: str
    public: bool


class Site(NamedTuple):
    """All that is known before a machine is made; the first of ``subnets`` is tried first."""

    account: str
    kind: Kind
    image: str
    subnets: Sequence[Subnet]


def examine(aws: Aws, shape: Shape) -> tuple[Site | None, list[Check]]:
    """Where and of what the machine would be; what is missing for it."""
    misses: list[Check] = []

    def attempt(name: str, look: Callable[[], T]) -> T | None:
        try:
            with explained():
                return look()
        except OrchError as error:
            hint = error.hint or "correct it in the configuration"
            misses.append(Check(name, "failed", error.message, hint, here=True))
            return None

    account = attempt("credentials", lambda: _account(aws))
    if account is None:
        return None, misses
    kind = attempt("instance type", lambda: kind_of(aws, shape.instance_type))
    image = kind and attempt("image", lambda: _image(aws, shape, kind))
    subnets = attempt("subnet", lambda: _subnets(aws, shape))
    if kind:
        attempt("quota", lambda: _check_quota(aws, kind))
    if shape.access == "ssm":
        attempt("plugin", check_plugin)
    if misses or kind is None or image is None or subnets is None:
        return None, misses
    return Site(account, kind, image, subnets), []


def _account(aws: Aws) -> str:
    account: str = aws.client("sts").get_caller_identity()["Account"]
    return account


def kind_of(aws: Aws, name: str) -> Kind:
    """What an instance type is."""
    try:
        said = aws.client("ec2").describe_instance_types(InstanceTypes=[name])["InstanceTypes"][0]
    except Exception as error:
        if code_of(error) != "InvalidInstanceType":
            raise
        says = f"there is no instance type {name} in {aws.region}"
        raise OrchError("refused", says, 'instance_type = "t3.2xlarge", or another one of the region') from None
    architectures = said["ProcessorInfo"]["SupportedArchitectures"]
    architecture = "arm64" if "arm64" in architectures else "x86_64"
    return Kind(name, architecture, said["VCpuInfo"]["DefaultVCpus"], said["MemoryInfo"]["SizeInMiB"] << 20)


def _image(aws: Aws, shape: Shape, kind: Kind) -> str:
    """The image that was named, which must be one that can be set up here; else the newest."""
    if shape.image is None:
        return image_for(aws, kind.architecture)
    try:
        [said] = aws.client("ec2").describe_images(ImageIds=[shape.image])["Images"]
    except ValueError:
        raise OrchError("refused", f"there is no image {shape.image} in {aws.region}", _IMAGES) from None
    if said["Architecture"] != kind.architecture or said.get("RootDeviceName") != _ROOT:
        says = f"{shape.image} is for {said['Architecture']} with {said.get('RootDeviceName')}"
        raise OrchError("refused", f"{says}, and {kind.name} needs {kind.architecture} with {_ROOT}", _IMAGES)
    return shape.image


def image_for(aws: Aws, architecture: str) -> str:
    """The newest Amazon Linux 2023 there is now."""
    image: str = aws.client("ssm").get_parameter(Name=_IMAGE.format(architecture))["Parameter"]["Value"]
    return image


# Where


def _subnets(aws: Aws, shape: Shape) -> list[Subnet]:
    """The subnets that will do: that reach out, in a zone that has the type."""
    client = aws.client("ec2")
    if shape.subnet:
        asked: dict[str, Any] = {"SubnetIds": [shape.subnet]}
    else:
        asked = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    said = client.describe_subnets(**asked)["Subnets"]
    if not said:
        says = f"{aws.region} has no default network in this account"
        raise OrchError("refused", says, 'aws ec2 create-default-vpc, or name one: subnet = "subnet-..."')
    tables = client.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [said[0]["VpcId"]]}])["RouteTables"]
    reaching = [one for one in said if _reaches_out(one, tables, shape)]
    if not reaching:
        needs = "a public address" if shape.access == "ssh" else "a way out, by an internet gateway or NAT"
        names = ", ".join(one["SubnetId"] for one in said)
        says = f"a machine in {names} would not have {needs}"
        raise OrchError("refused", says, 'name another one: subnet = "subnet-..."')
    return _having(client, shape, reaching)


def _reaches_out(subnet: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], shape: Shape) -> bool:
    routes = _table_of(subnet, tables).get("Routes", ())
    out = next((route for route in routes if route.get("DestinationCidrBlock") == "0.0.0.0/0"), None)
    if out is None or out.get("State") == "blackhole":
        return False
    by_gateway = str(out.get("GatewayId", "")).startswith("igw-")
    return bool(subnet.get("MapPublicIpOnLaunch")) if by_gateway else shape.access == "ssm"


def _table_of(subnet: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The subnet's own route table, else the network's main one."""
    links = [(link, table) for table in tables for link in table.get("Associations", ())]
    own = [table for link, table in links if link.get("SubnetId") == subnet["SubnetId"]]
    return next(iter([*own, *(table for link, table in links if link.get("Main"))]), {})


def _having(client: Any, shape: Shape, subnets: Sequence[Mapping[str, Any]]) -> list[Subnet]:
    said = client.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [shape.instance_type]}]
    )
    zones = {one["Location"] for one in said["InstanceTypeOfferings"]}
    fitting = [one for one in subnets if one["AvailabilityZone"] in zones]
    if not fitting:
        says = f"no zone of {', '.join(sorted(one['AvailabilityZone'] for one in subnets))} has {shape.instance_type}"
        where = f"zones that have it: {', '.join(sorted(zones))}" if zones else "no zone of the region has it"
        raise OrchError("refused", says, f"another instance_type or subnet; {where}")
    fitting.sort(key=lambda one: one["AvailabilityZone"])
    return [
        Subnet(one["SubnetId"], one["VpcId"], one["AvailabilityZone"], bool(one.get("MapPublicIpOnLaunch")))
        for one in fitting
    ]


# How much


def _check_quota(aws: Aws, kind: Kind) -> None:
    """That the account may run so many processors more. Who may not ask is not held up: AWS itself will say so."""
    code = _quota(kind.name)
    try:
        most = aws.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
    except Exception as error:
        if code_of(error) in ("AccessDeniedException", "AccessDenied", "NoSuchResourceException"):
            return
        raise
    used = _used(aws, code)
    if used + kind.cpus > most:
        says = (
            f"the account may run {most:g} processors of this family at a time in {aws.region}; {used} run, and "
            f"{kind.name} has {kind.cpus}"
        )
        where = f"https://{aws.region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{code}"
        raise OrchError("refused", says, f"ask for more: {where}\nor choose a smaller instance_type")


def _quota(instance_type: str) -> str:
    letters = "".join(one for one in instance_type.partition(".")[0] if one.isalpha() or one.isdigit())
    family = next((name for name in sorted(_QUOTAS, key=len, reverse=True) if _is_family(letters, name)), None)
    return _QUOTAS[family] if family else _STANDARD


def _is_family(letters: str, name: str) -> bool:
    return letters.startswith(name) and letters[len(name) : len(name) + 1].isdigit()


def _used(aws: Aws, code: str) -> int:
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = aws.client("ec2").get_paginator("describe_instances").paginate(Filters=states)
    running = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
    options = [one.get("CpuOptions", {}) for one in running if _quota(one["InstanceType"]) == code]
    return sum(int(one.get("CoreCount", 1)) * int(one.get("ThreadsPerCore", 1)) for one in options)
