"""Clones of a host at EC2: their keys survive the machine, and nobody but the machine has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.ec2 import REGION, Cloud, CloudLaptop, Instance
from tests.support.forge import Forge
from tests.support.github import LAPTOP, GitHub
from tests.support.github.binaries import newest

URL = "git@github.com:octo/lros.git"
KEY = "/orch/cloud/deploy-key/github.com--octo--lros"


@pytest.fixture
def forge(github: GitHub, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """github.com, for all machines of the cloud."""
    one = Forge()
    boot = Instance.boot

    def found(machine: Instance) -> None:
        one.is_found_by(machine, "github.com")
        boot(machine)

    monkeypatch.setattr(Instance, "boot", found)
    try:
        one.boot()
        one.repository("octo/lros")
        github.add_repository("octo/lros")
        github.forge = one
        yield one
    finally:
        one.close()


@pytest.fixture
def laptop(at_cloud: Callable[..., CloudLaptop], github: GitHub, forge: Forge) -> CloudLaptop:
    """One that is logged in to both."""
    mine = at_cloud()
    set_repos(mine, URL)
    config = mine.home / ".config/gh"
    config.mkdir(parents=True)
    (config / "config.yml").write_text(f"version: 1\nhttp_unix_socket: {github.socket}\n")
    mine.env.update(GH_CONFIG_DIR=str(config), GH_TOKEN=LAPTOP, GH_TELEMETRY="0", GH_NO_UPDATE_NOTIFIER="1")
    (mine.bin / "gh").symlink_to(newest())
    forge.stands_in_for("github.com", mine)
    return mine


def set_repos(laptop: CloudLaptop, *urls: str, instance_type: str = "t3.large") -> None:
    laptop.set(instance_type=instance_type)
    laptop.config.write_text(laptop.config.read_text() + f"repos = {json.dumps(urls)}\n")


def pulls(laptop: CloudLaptop) -> None:
    assert laptop("run", "pull", "--cwd", "~/work/lros", "git pull -q", "--wait").status == 0, laptop(
        "logs", "pull"
    ).out


def test_a_key_survives_its_machine_and_goes_with_the_host(cloud: Cloud, laptop: CloudLaptop, forge: Forge) -> None:
    done = laptop("up", "--yes")
    assert done.status == 0 and "lros is cloned to ~/work/lros on cloud" in done.out, done.err
    pulls(laptop)
    ssm = cloud.client("ssm")
    kept = ssm.get_parameter(Name=KEY, WithDecryption=True)["Parameter"]
    assert kept["Type"] == "SecureString" and "OPENSSH PRIVATE KEY" in kept["Value"]
    secret = kept["Value"].splitlines()[3].encode()
    files = [path for path in laptop.home.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_bytes()]
    [before] = forge.keys["octo/lros"]

    swept = laptop("sweep", "--region", REGION, "--json").json["things"]
    assert [(one["host"], one["orphan"]) for one in swept if one["id"] == KEY] == [("cloud", False)]

    # Whatever was on the disk is gone, and the key is the same.
    [machine] = cloud.fleet.living()
    machine.run("rm -rf ~/.orch/keys ~/.orch/repos.json ~/.orch/ssh_config ~/.ssh/config ~/work/lros")
    assert laptop("up", "--yes").status == 0
    assert forge.keys["octo/lros"] == [before]
    pulls(laptop)

    set_repos(laptop, URL, instance_type="m7g.large")
    assert laptop("up", "--yes", "--move").status == 0
    pulls(laptop)
    assert forge.keys["octo/lros"] == [before]

    gone = laptop("down", "cloud", "--yes")
    assert gone.status == 0 and "of them 1 deploy keys" in gone.out, gone.err
    assert forge.keys["octo/lros"] == []
    assert [one for one in ssm.describe_parameters(MaxResults=50)["Parameters"] if "/orch/" in one["Name"]] == []


def test_what_cannot_be_cloned_fails_neither_the_host_nor_the_rest(
    cloud: Cloud, laptop: CloudLaptop, forge: Forge
) -> None:
    set_repos(laptop, "git@github.com:octo/absent.git", URL)
    done = laptop("up", "--yes")
    assert done.status == 1 and "cloud is up" in done.out
    assert "lros is cloned" in done.out and "orch repo add git@github.com:octo/absent.git -H cloud" in done.err
    assert laptop("repo", "rm", "lros").status == 0
    left = [one["Name"] for one in cloud.client("ssm").describe_parameters(MaxResults=50)["Parameters"]]
    assert KEY not in left and forge.keys["octo/lros"] == []
    set_repos(laptop, "git@github.com:octo/../absent")
    calls = len(cloud.calls)
    assert laptop("up", "--yes").status == 2 and len(cloud.calls) == calls
