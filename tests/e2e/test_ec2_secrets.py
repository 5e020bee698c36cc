"""Secrets of a host at EC2: kept in Parameter Store, read by the host's own role, and on nobody's disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import eventually
from tests.support.ec2 import Cloud, CloudLaptop

VALUE, OTHER = "canary-61c7ee", "canary-other-02"


@pytest.fixture
def mine(at_cloud: Callable[..., CloudLaptop]) -> CloudLaptop:
    one = at_cloud(instance_type="t3.large")
    assert one("up", "--yes").status == 0
    return one


def test_the_host_reads_them_by_itself(cloud: Cloud, mine: CloudLaptop) -> None:
    [machine] = cloud.fleet.living()
    told = mine("secret", "set", "A", input=f"{VALUE}\n".encode())
    assert (told.status, told.out) == (0, "A is set for cloud, in Parameter Store at AWS\n")
    [kept] = cloud.client("ssm").get_parameters(Names=["/orch/cloud/env/A"], WithDecryption=False)["Parameters"]
    assert kept["Type"] == "SecureString"
    assert mine("secret", "list").out == "A\n"

    command = 'printf %s "$B" | sha256sum >~/sum; echo "b=$B"; [ -e go ]'
    words = ("--secret", "B=A", "--retries", "3", "--retry-delay", "0", "--no-tty")
    assert "kept for cloud" in mine("run", "job", "--secret", "NONE", command).err
    assert "in single quotes" in mine("run", "job", *words, f"echo {VALUE}").err
    assert mine("run", "gate", "until [ -e go ]; do sleep 0.1; done").status == 0
    assert mine("run", "job", *words, "--after", "gate", command).status == 0
    assert "by itself" in mine("secret", "send", "job").err
    cloud.client("ssm").delete_parameter(Name="/orch/cloud/env/A")
    machine.write("go", "")
    said = "waits for the secret A, which is not kept any more: orch secret set A"
    eventually(lambda: mine("show", "job", "--json").json["job"]["reason"] == said, "it says what it waits for")
    assert mine("secret", "set", "A", input=OTHER.encode()).status == 0
    assert mine("wait", "job", timeout=90).status == 0
    assert mine("logs", "job").out.splitlines()[-1] == "b=***"

    for path in [path for home in (mine.home, machine.home) for path in home.rglob("*") if path.is_file()]:
        assert b"canary" not in path.read_bytes(), path
    assert not list(machine.seen("/dev/shm").glob("orch-*/*"))
    assert b"canary" not in Path(machine.console).read_bytes()
    assert mine("secret", "rm", "A").status == 0 and mine("secret", "rm", "A").status == 1
    assert "8193 bytes, and Parameter Store at AWS keeps 8192" in mine("secret", "set", "A", input=b"x" * 8193).err
    assert "charges" in mine("secret", "set", "A", input=b"x" * 5000).err
    assert mine("down", "cloud", "--yes").status == 0
    assert not [one for one in cloud.client("ssm").describe_parameters()["Parameters"] if "/env/" in one["Name"]]
