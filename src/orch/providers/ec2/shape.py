"""What the configuration says an EC2 host is to be, and the names of everything that belongs to it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from orch import units
from orch.errors import ConfigError, OrchError
from orch.model import Host

OPTIONS = {
    **dict.fromkeys(("region", "profile", "instance_type", "disk", "idle_stop", "access", "ssh_key"), str),
    **dict.fromkeys(("subnet", "address", "image"), str),
    "repos": list,
}
TAG = "orch:name"
"""On everything that orch makes; its value is the host's name."""

USER = "ec2-user"
AUTO = "auto"
GENERATION = "orch:generation"
RETIRED = "orch:retired"
"""On a machine that was the host, and has given way to the next generation."""

_NEXT = "--"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_SMALLEST, _LARGEST = 8, 16384  # GiB that a gp3 volume may have


class Shape(NamedTuple):
    """A host as it is wanted. ``region`` and ``profile`` None are boto3's to find; sizes in GiB, times in seconds."""

    name: str
    region: str | None = None
    profile: str | None = None
    instance_type: str = "t3.2xlarge"
    disk: int = 100
    idle_stop: int = 1800
    access: str = "ssm"
    """``ssm``, which needs no open port, or ``ssh``, to port 22 from this laptop's address alone."""

    ssh_key: str = "connect"
    """``connect``: a key that lives in memory for a minute; ``ssm``: the stack's own, from Parameter Store."""

    subnet: str | None = None
    address: str = AUTO
    """For ``access = "ssh"``: the network that may connect, or ``auto``, the address this laptop is seen with."""

    image: str | None = None
    """An AMI in place of the newest Amazon Linux 2023; it counts for a machine that is made, and no more."""

    generation: int = 1
    """A host that moves to another machine has two for a while, of which the newer one is the next generation."""

    @property
    def unit(self) -> str:
        """The name of this generation."""
        return self.name if self.generation == 1 else f"{self.name}{_NEXT}{self.generation}"

    def generation_of(self, stack: str) -> int:
        """Which one a stack is of, by its name."""
        number = stack.removeprefix(f"orch-{self.name}").removeprefix(_NEXT)
        return int(number) if number.isdigit() else 1

    @property
    def stack(self) -> str:
        """The CloudFormation stack that holds all of it."""
        return f"orch-{self.unit}"

    @property
    def log_group(self) -> str:
        """Where the logs of its jobs are kept."""
        return f"/orch/{self.unit}"

    @property
    def deploy_keys(self) -> str:
        """Below which the machine keeps the deploy keys of its clones."""
        return self.parameter("deploy-key/")

    @property
    def host_key(self) -> str:
        """The parameter in which the machine says by which key it is known."""
        return self.parameter("host-key" if self.generation == 1 else f"host-key{_NEXT}{self.generation}")

    def parameter(self, leaf: str) -> str:
        """A parameter of its own: ``host-key``."""
        return f"/orch/{self.name}/{leaf}"


def shape_of(host: Host) -> Shape:
    """What ``host`` is to be; a ``ConfigError`` names what cannot be understood."""
    if not _NAME.fullmatch(host.name) or _NEXT in host.name:
        raise _wrong(host, "a name that cannot name a stack", "letters, digits and single -, at most 40 of them")
    given = host.options
    if not _REGION.fullmatch(given.get("region", "us-east-1")):
        raise _wrong(host, f"no AWS region: {given['region']!r}", 'region = "ap-northeast-1"')
    return Shape(
        host.name,
        **{key: given[key] for key in ("region", "profile", "subnet", "image") if key in given},
        instance_type=_instance_type(host),
        disk=_disk(host),
        idle_stop=_idle_stop(host),
        access=_one_of(host, "access", "ssm", "ssh"),
        ssh_key=_one_of(host, "ssh_key", "connect", "ssm"),
        address=_address(host),
    )


def _wrong(host: Host, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{host.source}: [hosts.{host.name}] has {what}", f"write {hint}")


def _instance_type(host: Host) -> str:
    given: str = host.options.get("instance_type", Shape._field_defaults["instance_type"])
    if not _TYPE.fullmatch(given):
        raise _wrong(host, f"no instance type: {given!r}", 'instance_type = "t3.2xlarge"')
    return given


def _disk(host: Host) -> int:
    given = host.options.get("disk")
    if given is None:
        return int(Shape._field_defaults["disk"])
    try:
        gib = -(-int(units.size(given)) >> 30)
    except OrchError as error:
        raise _wrong(host, f"no size of a disk: {given!r}", 'disk = "100GB"') from error
    if not _SMALLEST <= gib <= _LARGEST:
        raise _wrong(host, f"a disk of {given}", f"a size from {_SMALLEST}GB to {_LARGEST}GB")
    return gib


def _idle_stop(host: Host) -> int:
    given = host.options.get("idle_stop")
    if given is None:
        return int(Shape._field_defaults["idle_stop"])
    if given in ("never", "off"):
        return 0
    try:
        seconds = int(units.duration(given))
    except OrchError as error:
        raise _wrong(host, f"no time: idle_stop = {given!r}", 'idle_stop = "30m", or "never"') from error
    if seconds < 60:
        raise _wrong(host, f"an idle_stop of {given}", 'at least "1m", or "never"')
    return seconds


def _one_of(host: Host, key: str, *known: str) -> str:
    given: str = host.options.get(key, known[0])
    if given not in known:
        raise _wrong(host, f"{key} = {given!r}", " or ".join(f'{key} = "{one}"' for one in known))
    return given


def _address(host: Host) -> str:
    given: str = host.options.get("address", AUTO)
    if given == AUTO:
        return given
    import ipaddress  # late: it costs milliseconds

    try:
        network = ipaddress.IPv4Network(given)
    except ValueError:
        raise _wrong(
            host, f"no network: address = {given!r}", 'address = "auto", or one as in "203.0.113.7/32"'
        ) from None
    if network.prefixlen < 24:
        raise _wrong(host, f"an address that lets in {network.num_addresses} machines", "at most a /24")
    return str(network)
