from __future__ import annotations

from typing import Any

import pytest

from orch.errors import ConfigError
from orch.model import Host
from orch.providers.ec2.shape import Shape, shape_of


def shape(name: str = "cloud", **options: Any) -> Shape:
    return shape_of(Host(name, "ec2", options, "config.toml"))


def test_what_is_not_said_is_what_the_founders_chose() -> None:
    told = shape(region="ap-northeast-1")
    assert (told.instance_type, told.disk, told.idle_stop) == ("t3.2xlarge", 100, 1800)
    assert (told.access, told.ssh_key) == ("ssm", "connect")
    assert (told.stack, told.log_group, told.host_key) == ("orch-cloud", "/orch/cloud", "/orch/cloud/host-key")


def test_a_later_generation_shares_no_name_with_the_one_before() -> None:
    first = shape()
    second = first._replace(generation=2)
    assert not {first.stack, first.log_group, first.host_key} & {second.stack, second.log_group, second.host_key}


def test_sizes_and_times_are_read() -> None:
    told = shape(disk="1.5T", idle_stop="2h", address="203.0.113.0/24", access="ssh")
    assert (told.disk, told.idle_stop, told.address) == (1536, 7200, "203.0.113.0/24")
    assert shape(idle_stop="never").idle_stop == 0


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("my_box", {}, "cannot name a stack"),
        ("a--2", {}, "cannot name a stack"),
        ("cloud", {"disk": "lots"}, 'disk = "100GB"'),
        ("cloud", {"disk": "1GB"}, "8GB to 16384GB"),
        ("cloud", {"disk": "20T"}, "8GB to 16384GB"),
        ("cloud", {"idle_stop": "soon"}, "idle_stop"),
        ("cloud", {"idle_stop": "5s"}, "at least"),
        ("cloud", {"access": "telnet"}, 'access = "ssm"'),
        ("cloud", {"ssh_key": "mine"}, 'ssh_key = "connect"'),
        ("cloud", {"instance_type": "big"}, "t3.2xlarge"),
        ("cloud", {"address": "anywhere"}, "203.0.113.7/32"),
        ("cloud", {"address": "0.0.0.0/0"}, "at most a /24"),
        ("cloud", {"address": "203.0.0.0/16"}, "at most a /24"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(name: str, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        shape(name, **options)
    assert named in f"{refused.value.message} {refused.value.hint}"
    assert f"config.toml: [hosts.{name}]" in refused.value.message
