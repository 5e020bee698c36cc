"""Hosts at EC2, from the command line: the machines are real as far as namespaces go, AWS is imitated at its edge."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.agent import eventually
from tests.support.cli import Done
from tests.support.ec2 import REGION, Cloud, CloudLaptop, Instance
from tests.support.terminal import Terminal

Laptops = Callable[..., CloudLaptop]
QUICK = {"instance_type": "t3.large"}


def up(laptop: CloudLaptop, *words: str) -> Done:
    done = laptop("up", "--yes", *words)
    assert done.status == 0, done.err
    return done


def ran(laptop: CloudLaptop, name: str, command: str) -> str:
    """What a job wrote."""
    for words in (("run", name, command), ("wait", name)):
        done = laptop(*words)
        assert done.status == 0, done.err
    return laptop("logs", name).out


def only(cloud: Cloud) -> Instance:
    [machine] = cloud.fleet.living()
    return machine


def state(machine: Instance, name: str) -> None:
    eventually(lambda: machine.model.state == name, f"the machine is {name}")


def parameters(cloud: Cloud) -> list[str]:
    return [one["Name"] for one in cloud.client("ssm").describe_parameters(MaxResults=50)["Parameters"]]


def left(cloud: Cloud) -> dict[str, Any]:
    """What is still in the account."""
    ec2 = cloud.client("ec2")
    found = {
        "machines": [machine.model.id for machine in cloud.fleet.living()],
        "stacks": cloud.client("cloudformation").describe_stacks()["Stacks"],
        "volumes": ec2.describe_volumes()["Volumes"],
        "groups": [one for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"],
        "keys": ec2.describe_key_pairs()["KeyPairs"],
        "roles": cloud.client("iam").list_roles()["Roles"],
        "profiles": cloud.client("iam").list_instance_profiles()["InstanceProfiles"],
        "logs": cloud.client("logs").describe_log_groups()["logGroups"],
        "parameters": [name for name in parameters(cloud) if not name.startswith("/aws/")],
    }
    return {key: value for key, value in found.items() if value}


def test_the_whole_life_of_a_host(cloud: Cloud, at_cloud: Laptops) -> None:
    near = at_cloud(**QUICK)
    up(near)
    machine = only(cloud)
    for name in ("one", "two", "three"):
        assert near("run", name, f"echo {name} begins; sleep 3; echo {name} >>~/kept; echo {name} ends").status == 0
    machine.run("echo 2 >/etc/orch/idle_stop", user="root")
    near.close()

    state(machine, "stopped")
    far = at_cloud(**QUICK)
    assert "stopped itself" in far("hosts").err
    for name in ("one", "two", "three"):
        said = far("logs", name)
        assert [said.status, said.out] == [0, f"{name} begins\n{name} ends\n"]
        assert f"{name}.1 COMPLETED, exit 0" in said.err

    machine.path("/etc/orch/idle_stop").write_text("1800\n")
    assert sorted(ran(far, "again", "cat ~/kept").split()) == ["one", "three", "two"]
    assert far("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_a_warm_connection_needs_no_aws(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.forget()
    assert ran(laptop, "job", "echo done") == "done\n"
    assert laptop("status").status == 0
    assert cloud.called() == set()


def test_no_private_key_and_no_open_port(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    files = [path for path in laptop.home.rglob("*") if path.is_file()]
    assert not [path for path in files if b"PRIVATE KEY" in path.read_bytes()]
    rules = cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    assert not [rule for rule in rules if not rule["IsEgress"]]


def test_an_open_port_follows_the_laptop(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(access="ssh", ssh_key="ssm", **QUICK)
    laptop.install_plugin(None)
    up(laptop)

    def let_in() -> list[str]:
        rules = cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
        return [rule["CidrIpv4"] for rule in rules if not rule["IsEgress"]]

    assert let_in() == ["203.0.113.7/32"]
    cloud.address = "198.51.100.9"
    laptop.crash()
    assert ran(laptop, "job", "echo done") == "done\n"
    assert let_in() == ["198.51.100.9/32"]
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_it_is_changed_in_place(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    assert "as configured" in up(laptop).out
    machine = only(cloud)
    assert ran(laptop, "job", "echo kept >~/kept") == ""
    laptop.set(instance_type="t3.2xlarge", disk="120GB", idle_stop="10m")
    up(laptop)
    assert only(cloud) is machine
    assert machine.model.instance_type == "t3.2xlarge"
    assert [volume["Size"] for volume in cloud.client("ec2").describe_volumes()["Volumes"]] == [120]
    assert machine.run("cat ~/kept /etc/orch/idle_stop").stdout == "kept\n600\n"


def test_a_move_to_another_architecture(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    ran(laptop, "job", "echo before; echo kept >~/kept")
    before = only(cloud)
    laptop.set(instance_type="m7g.2xlarge")
    refused = laptop("up", "--yes")
    assert refused.status == 1
    assert "orch up cloud --move" in refused.err
    up(laptop, "--move")
    assert laptop("logs", "job").out == "before\n"
    assert ran(laptop, "after", "cat ~/kept") == "kept\n"
    assert before.model.state in ("stopped", "terminated")
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_stop_and_start(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    assert laptop("run", "job", "sleep 60").status == 0
    refused = laptop("stop", "cloud")
    assert [refused.status, only(cloud).model.state] == [1, "running"]
    assert "job" in refused.err
    assert laptop("stop", "cloud", "--force").status == 0
    assert only(cloud).model.state == "stopped"
    assert laptop("start", "cloud").status == 0
    assert "NODE_FAIL" in laptop("status", "--all").out


def test_hosts_that_are_connected_at_once_share_no_key(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    other = laptop.config.read_text().replace("[hosts.cloud]", "[hosts.other]").partition("[hosts.other]")
    laptop.config.write_text(laptop.config.read_text() + "".join(other[1:]))
    up(laptop, "other")
    laptop.crash()
    told = laptop("hosts")
    assert told.out.count("running") == 2, told.out + told.err


def test_no_job_comes_to_a_host_that_is_about_to_stop(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.fleet.slow = 2.0
    with laptop.popen("stop", "cloud") as stop:
        eventually(lambda: "ec2:StopInstances" in cloud.called(), "it is being stopped")
        done = laptop("run", "precious", "echo done", "--wait")
        assert stop.wait(60) == 0
    assert done.status == 0, done.err
    assert laptop("logs", "precious").out == "done\n"


def test_a_person_sees_what_is_made_and_is_asked(cloud: Cloud, at_cloud: Laptops, terminal: Terminal) -> None:
    laptop = at_cloud(**QUICK)
    argv = [str(word) for word in laptop.argv("up")]
    terminal.start(argv, {**laptop.env, "TERM": "screen-256color"}, width=60)
    shown = terminal.shows("Do it? [y/N]:")
    assert "USD an hour while it runs" in shown.replace("\n", " ")
    assert not list(cloud.fleet)
    terminal.types("y\n")
    terminal.shows("cloud is up (")
    lines = terminal.shows("[ended 0]").splitlines()
    done = [line.split() for line in lines if line.startswith("  Instance ")]
    assert [row[1:3] for row in done] == [["create", "complete"]]  # one line, redrawn in its place
    assert done[0][3].endswith("s")


def test_a_run_joins_a_start_that_is_under_way(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    assert laptop("stop", "cloud").status == 0
    cloud.fleet.slow = 3.0
    with laptop.popen("start", "cloud") as start:
        eventually(lambda: "ec2:StartInstances" in cloud.called(), "it is being started")
        assert "starting" in laptop("hosts").out
        assert ran(laptop, "job", "echo done") == "done\n"
        assert start.wait(60) == 0


def test_what_cannot_be_asked_can_be_stopped_by_force(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    laptop.crash()
    only(cloud).stop_sshd()
    failed(laptop("stop", "cloud"), "whether jobs run there is not known", "orch stop cloud --force")
    assert only(cloud).model.state == "running"
    assert laptop("stop", "cloud", "--force").status == 0
    assert only(cloud).model.state == "stopped"


def test_a_change_waits_until_no_job_runs(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    laptop.set(instance_type="t3.2xlarge", idle_stop="never")
    assert laptop("run", "job", "sleep 8; echo whole").status == 0
    failed(laptop("up", "--yes"), "1 job of cloud would end: job", "orch up cloud --when-idle")
    assert "never by itself" in up(laptop, "--when-idle").out
    assert only(cloud).model.instance_type == "t3.2xlarge"
    assert laptop("logs", "job").out == "whole\n"


def test_waiting_for_what_has_ended_needs_no_machine(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    assert laptop("run", "bad", "exit 7").status == 0
    assert laptop("wait", "bad").status == 7
    assert laptop("stop", "cloud").status == 0
    cloud.forget()
    waited = laptop("wait", "bad")
    assert [waited.status, "FAILED" in waited.out] == [7, True]
    assert "FAILED" in laptop("status").out
    assert "ec2:StartInstances" not in cloud.called()
    again = laptop("rerun", "bad", "--wait")
    assert again.status == 7, again.err


def test_a_move_that_was_cut_goes_on_where_it_was(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    laptop.set(instance_type="m7g.2xlarge")
    cloud.deny("ec2:StopInstances")
    failed(laptop("up", "--yes", "--move"), "ec2:StopInstances")
    cloud.allow("ec2:StopInstances")
    assert "is still there: orch down cloud --old" in laptop("up", "--yes").err
    up(laptop, "--move")
    assert len(list(cloud.fleet)) == 2
    assert laptop("down", "cloud", "--old", "--yes").status == 0
    assert only(cloud).model.instance_type == "m7g.2xlarge"
    cloud.client("ec2").terminate_instances(InstanceIds=[only(cloud).model.id])
    failed(laptop("up", "--yes"), "orch down cloud")
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_a_key_pair_is_for_life(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(access="ssh", ssh_key="ssm", **QUICK)
    up(laptop)
    laptop.set(instance_type="t3.2xlarge", disk="120GB", idle_stop="10m")
    said = up(laptop)
    assert "port 22 is closed" in said.out
    rules = cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    assert not [rule for rule in rules if not rule["IsEgress"]]
    assert only(cloud).run("cat /etc/orch/idle_stop").stdout == "600\n"
    assert "as configured" in up(laptop).out


def test_a_machine_that_lives_is_not_swept_away_by_up(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.deny("ec2:TerminateInstances")
    failed(laptop("down", "cloud", "--yes"), "ec2:TerminateInstances")
    cloud.allow("ec2:TerminateInstances")
    machine = only(cloud)
    failed(laptop("up", "--yes"), "DELETE_FAILED", machine.model.id, "orch down cloud")
    assert machine.model.state == "running"
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_directories_with_odd_names(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    laptop.env["XDG_CACHE_HOME"] = str(laptop.home / 'my "cache" 100%h')
    up(laptop)
    assert ran(laptop, "job", "echo done") == "done\n"


def test_what_no_stack_holds_goes_too(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    cloud.client("ssm").put_parameter(Name="/orch/cloud/env/TOKEN", Value="x", Type="SecureString")
    cloud.client("ssm").put_parameter(Name="/orch/cloud-2/env/TOKEN", Value="x", Type="SecureString")
    cloud.client("logs").create_log_group(logGroupName="/orch/cloud-2")
    assert "1 parameters" in laptop("down", "cloud", "--yes").out
    assert left(cloud) == {
        "parameters": ["/orch/cloud-2/env/TOKEN"],
        "logs": cloud.client("logs").describe_log_groups()["logGroups"],
    }


def test_a_copy_of_the_disk_is_kept_where_it_was_asked_for(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    assert laptop("down", "cloud", "--yes", "--snapshot").status == 0
    assert left(cloud) == {}
    ours = [{"Name": "tag:orch:name", "Values": ["cloud"]}]
    assert len(cloud.client("ec2").describe_snapshots(Filters=ours)["Snapshots"]) == 1
    assert "snapshot" in laptop("sweep", "--region", REGION).out


def test_an_aws_that_hangs_hides_no_other_host(at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    laptop.config.write_text(laptop.config.read_text() + '[hosts.local]\nprovider = "local"\n')
    with socket.create_server(("127.0.0.1", 0)) as silent:
        laptop.env["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = laptop("hosts")
    rows = [line.split()[:3] for line in told.out.splitlines()]
    assert ["local", "local", "running"] in rows
    assert told.status == 0


# Bad input and faults


def failed(done: Done, *words: str) -> None:
    """It failed, and said these words."""
    assert done.status not in (0, 3), done.err
    for word in words:
        assert word in done.out + done.err


def test_no_credentials(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud()
    del laptop.env["AWS_ACCESS_KEY_ID"]
    failed(laptop("up", "--yes"), "no AWS credentials", "aws sso login")


@pytest.mark.parametrize("fault, word", [("expire", "expired"), ("skew", "date -u")])
def test_credentials_that_are_not_taken(cloud: Cloud, at_cloud: Laptops, fault: str, word: str) -> None:
    getattr(cloud, fault)()
    failed(at_cloud()("up", "--yes"), word)
    assert left(cloud) == {}


def test_a_region_that_is_not_enabled(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.disabled.add("ap-east-1")
    failed(at_cloud(region="ap-east-1")("up", "--yes"), "is the region enabled for the account?")


@pytest.mark.parametrize("action", ["sts:GetCallerIdentity", "ec2:DescribeSubnets", "cloudformation:CreateStack"])
def test_an_action_that_is_denied_is_named(cloud: Cloud, at_cloud: Laptops, action: str) -> None:
    cloud.deny(action)
    failed(at_cloud()("up", "--yes"), action)
    assert left(cloud) == {}


def test_an_action_that_cloudformation_is_denied(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.deny("iam:CreateRole")
    laptop = at_cloud(**QUICK)
    failed(laptop("up", "--yes"), "iam:CreateRole", '"Action": "iam:CreateRole"')
    cloud.allow("iam:CreateRole")
    up(laptop)


def test_a_quota_that_is_used_up(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.quota = 1
    failed(at_cloud(**QUICK)("up", "--yes"), "processors", "servicequotas")
    assert left(cloud) == {}


def test_a_zone_without_room(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.full.add(f"{REGION}a")
    up(at_cloud(**QUICK))
    assert only(cloud).model.availability_zone != f"{REGION}a"


def test_no_room_anywhere(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.full.update(f"{REGION}{letter}" for letter in "abcd")
    failed(at_cloud(**QUICK)("up", "--yes"), "no room")
    assert left(cloud) == {}


def test_throttling_is_waited_for(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.throttle("ec2:DescribeSubnets", 2)
    up(at_cloud(**QUICK))


@pytest.mark.parametrize("version, word", [(None, "not installed"), ("1.2.463.0", "too old")])
def test_a_plugin_that_is_missing_or_old(cloud: Cloud, at_cloud: Laptops, version: str | None, word: str) -> None:
    laptop = at_cloud()
    laptop.install_plugin(version)
    failed(laptop("up", "--yes"), "session-manager-plugin", word)
    assert left(cloud) == {}


def test_a_bootstrap_that_fails_shows_its_console(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.broken["dnf"] = "echo no mirror answers >&2; exit 1"
    laptop = at_cloud(**QUICK)
    failed(laptop("up", "--yes"), "no mirror answers", "orch up cloud")
    cloud.broken.clear()
    up(laptop)
    assert ran(laptop, "job", "echo done") == "done\n"


def test_a_machine_that_was_terminated_by_hand(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    ran(laptop, "job", "echo in the cloud")
    machine = only(cloud)
    cloud.client("ec2").terminate_instances(InstanceIds=[machine.model.id])
    state(machine, "terminated")
    failed(laptop("run", "again", "true"), "terminated")
    assert laptop("logs", "job").out == "in the cloud\n"
    failed(laptop("up", "--yes"), "orch down cloud")
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_a_stack_that_was_deleted_by_hand(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.client("cloudformation").delete_stack(StackName="orch-cloud")
    eventually(lambda: left(cloud) == {}, "the stack is deleted")
    failed(laptop("run", "job", "true"), "orch down cloud")
    assert "nothing" in laptop("down", "cloud", "--yes").out
    up(laptop)


def test_a_stack_that_cannot_be_deleted_whole(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.deny("logs:DeleteLogGroup")
    failed(laptop("down", "cloud", "--yes"), "logs:DeleteLogGroup", "orch down cloud")
    cloud.allow("logs:DeleteLogGroup")
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_a_changed_host_key_is_refused(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    laptop.crash()
    machine = only(cloud)
    machine.new_host_key()
    machine.restart_sshd()
    failed(laptop("run", "job", "true"), "host key")


def test_an_up_that_was_interrupted_goes_on(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.fleet.slow = 1.0
    laptop = at_cloud(**QUICK)
    with laptop.popen("up", "--yes") as first:
        eventually(lambda: list(cloud.fleet), "the machine is being made")
        first.send_signal(signal.SIGINT)
        assert first.wait(30) == 130
    up(laptop)
    assert len(list(cloud.fleet)) == 1
    assert ran(laptop, "job", "echo done") == "done\n"


def test_a_rollback_that_fails_too(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.deny("iam:CreateInstanceProfile", "logs:DeleteLogGroup")
    laptop = at_cloud(**QUICK)
    failed(laptop("up", "--yes"), "iam:CreateInstanceProfile")
    cloud.allow("iam:CreateInstanceProfile", "logs:DeleteLogGroup")
    up(laptop)


def test_an_update_that_is_stuck(cloud: Cloud, at_cloud: Laptops) -> None:
    laptop = at_cloud(**QUICK)
    up(laptop)
    cloud.stacks.stuck("orch-cloud", "UPDATE_ROLLBACK_FAILED", "The following resource(s) failed to update: [Role].")
    up(laptop)
    assert ran(laptop, "job", "echo done") == "done\n"


def test_a_failure_that_is_kept(cloud: Cloud, at_cloud: Laptops) -> None:
    cloud.broken["dnf"] = "exit 1"
    laptop = at_cloud(**QUICK)
    failed(laptop("up", "--yes", "--keep-failed"), "orch down cloud")
    assert only(cloud).model.state == "running"
    assert laptop("down", "cloud", "--yes").status == 0
    assert left(cloud) == {}


def test_a_laptop_without_a_configuration_finds_everything(cloud: Cloud, at_cloud: Laptops) -> None:
    up(at_cloud(**QUICK))
    stranger = at_cloud()
    stranger.config.write_text("")
    found = stranger("sweep", env={"AWS_REGION": REGION})
    assert [found.status, only(cloud).model.id in found.out] == [0, True]
    assert stranger("sweep", "--delete", "--yes", env={"AWS_REGION": REGION}).status == 0
    assert left(cloud) == {}
