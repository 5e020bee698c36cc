"""What orch made in an account, and nobody else: against moto, which holds the account."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orch.cli import sweep as command
from orch.cli.args import parse
from orch.errors import OrchError
from orch.ops import sweep
from orch.providers.ec2 import prices, removal
from orch.providers.ec2 import sweep as finding
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.sweep import Thing
from tests.support import mockaws

pytestmark = pytest.mark.usefixtures("home")
TOKYO, LONDON = "ap-northeast-1", "eu-west-2"
TAG = {"Key": "orch:name", "Value": "cloud"}
OURS = [{"Key": "Name", "Value": "orch-cloud"}, TAG]
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
TEMPLATE = {
    "Resources": {
        "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "x", "Tags": [TAG]}},
        "LogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/orch/cloud"}},
        "HostKey": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/orch/cloud/host-key", "Type": "String", "Value": "pending"},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Path": "/orch/",
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                "Policies": [{"PolicyName": "p", "PolicyDocument": POLICY}],
            },
        },
        "Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Path": "/orch/", "Roles": [{"Ref": "Role"}]},
        },
        "Instance": {
            "Type": "AWS::EC2::Instance",
            "Properties": {"ImageId": "ami-12345678", "InstanceType": "t3.2xlarge", "Tags": OURS},
        },
    }
}


class Account:
    """An account; ``orphan`` and ``foreign`` put things into it."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def stack(self, name: str = "orch-cloud", region: str = TOKYO) -> None:
        client = self.aws.client("cloudformation", region)
        client.create_stack(
            StackName=name, TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"], Tags=[TAG]
        )

    def things(self, name: str, tags: list[dict[str, str]], path: str, region: str = TOKYO) -> list[str]:
        """One of each kind; their ids."""
        ec2, iam = self.aws.client("ec2", region), self.aws.client("iam")

        def tagged(kind: str) -> list[dict[str, Any]]:
            return [{"ResourceType": kind, "Tags": tags}] if tags else []

        zone = f"{region}a"
        group = ec2.create_security_group(GroupName=name, Description="x", TagSpecifications=tagged("security-group"))[
            "GroupId"
        ]
        instance = ec2.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            SecurityGroupIds=[group],
            TagSpecifications=tagged("instance"),
        )["Instances"][0]["InstanceId"]
        volume = ec2.create_volume(
            Size=100, VolumeType="gp3", AvailabilityZone=zone, TagSpecifications=tagged("volume")
        )["VolumeId"]
        snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged("snapshot"))["SnapshotId"]
        key = ec2.create_key_pair(KeyName=name, TagSpecifications=tagged("key-pair"))["KeyPairId"]
        self.aws.client("logs", region).create_log_group(logGroupName=f"{path}{name}")
        self.aws.client("ssm", region).put_parameter(Name=f"{path}{name}/host-key", Value="x", Type="String")
        iam.create_role(RoleName=f"{name}-Role-1", AssumeRolePolicyDocument="{}", Path=path)
        iam.put_role_policy(RoleName=f"{name}-Role-1", PolicyName="p", PolicyDocument=json.dumps(POLICY))
        iam.create_instance_profile(InstanceProfileName=f"{name}-Profile-1", Path=path)
        iam.add_role_to_instance_profile(InstanceProfileName=f"{name}-Profile-1", RoleName=f"{name}-Role-1")
        named = [f"{path}{name}", f"{path}{name}/host-key", f"{name}-Role-1", f"{name}-Profile-1"]
        return [group, instance, volume, snapshot, key, *named]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with mockaws.account("us-east-1") as aws:
        yield aws


@pytest.fixture
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Two regions are enabled, and prices are those of the table: moto has none."""
    mockaws.empty()
    monkeypatch.setattr(sweep, "_aws", lambda _: aws)
    monkeypatch.setattr(finding, "regions", lambda _: [TOKYO, LONDON])
    monkeypatch.setattr(removal, "_POLL", 0.01)
    monkeypatch.setattr("orch.providers.ec2.prices.Prices._ask", lambda *_: None)
    return Account(aws)


def found(region: str | None = None) -> dict[str, Thing]:
    swept = sweep.find(region)
    assert swept.errors == [] and len({thing.id for thing in swept.things}) == len(swept.things)
    return {thing.id: thing for thing in swept.things}


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = command.main(parse(command.COMMAND, argv))
    out, err = capsys.readouterr()
    return status, out, err


def test_what_a_stack_holds_is_no_orphan(account: Account) -> None:
    account.stack()
    things = found()
    held = ["instance", "instance profile", "log group", "parameter", "role", "security group"]
    assert sorted(thing.kind for thing in things.values()) == sorted([*held, "stack"])
    assert {thing.holder for thing in things.values()} == {"orch-cloud"}
    assert {thing.host for thing in things.values()} == {"cloud"}


def test_what_a_machine_has_written_is_its_hosts_and_goes_too(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.stack()
    for host in ("cloud", "gone"):
        name = f"/orch/{host}/deploy-key/github.com--me--lros"
        account.aws.client("ssm", TOKYO).put_parameter(Name=name, Value="x", Type="SecureString")
    keys = {thing.host: thing.holder for thing in found().values() if "deploy-key" in thing.id}
    assert keys == {"cloud": "orch-cloud", "gone": ""}
    assert run(capsys, "--delete", "--yes")[0] == 0
    assert found() == {}


def test_orphans_of_every_kind_are_found_and_nothing_of_others(account: Account) -> None:
    ours = account.things("orch-cloud", [TAG], "/orch/", LONDON)
    account.things("theirs", [{"Key": "orch", "Value": "orch:name"}], "/orchard/")
    account.things("plain", [], "/")
    things = found()
    assert set(things) == set(ours)
    assert all(thing.is_orphan for thing in things.values())
    assert {thing.region for thing in things.values()} == {LONDON, "global"}


def test_deleting_takes_what_is_ours_and_nothing_else(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.stack()
    ours = account.things("orch-old", [TAG], "/orch/", LONDON)
    account.things("theirs", [{"Key": "orch:names", "Value": "cloud"}], "/orchard/")
    account.aws.client("cloudformation", TOKYO).create_stack(
        StackName="orch-impostor", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    theirs = everything(account)
    status, out, err = run(capsys, "--delete", "--yes")
    assert status == 0, err
    assert out.splitlines()[-1] == f"deleted {len(ours) + 1} of {len(ours) + 1}; left: 0"
    assert found() == {}
    assert everything(account) == [one for one in theirs if one not in ours and "cloud" not in one]


def everything(account: Account) -> list[str]:
    """The names of all that others may have, in both regions."""
    names: list[str] = []
    for region in (TOKYO, LONDON):
        ec2, cloudformation = account.aws.client("ec2", region), account.aws.client("cloudformation", region)
        names += [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"] if not one["Attachments"]]
        names += [one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
        names += [one["KeyPairId"] for one in ec2.describe_key_pairs()["KeyPairs"]]
        names += [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"] if not is_stacks(one)]
        living = [{"Name": "instance-state-name", "Values": ["running"]}]
        for group in ec2.describe_instances(Filters=living)["Reservations"]:
            names += [one["InstanceId"] for one in group["Instances"] if not is_stacks(one)]
        names += [one["logGroupName"] for one in account.aws.client("logs", region).describe_log_groups()["logGroups"]]
        names += [one["Name"] for one in account.aws.client("ssm", region).describe_parameters()["Parameters"]]
        names += [one["StackName"] for one in cloudformation.describe_stacks()["Stacks"]]
    iam = account.aws.client("iam")
    names += [one["RoleName"] for one in iam.list_roles()["Roles"]]
    return names + [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]]


def is_stacks(said: dict[str, Any]) -> bool:
    return any(tag["Key"] == "aws:cloudformation:stack-name" for tag in said.get("Tags", ()))


def test_what_it_costs(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    ec2 = account.aws.client("ec2", TOKYO)
    tags = [{"ResourceType": "volume", "Tags": [TAG]}]
    ec2.create_volume(Size=100, VolumeType="gp3", AvailabilityZone=f"{TOKYO}a", TagSpecifications=tags)
    status, out, _ = run(capsys)
    assert status == 0
    header, row, total = out.splitlines()
    assert header.split() == ["HOST", "REGION", "KIND", "NAME", "STATE", "AGE", "COST/MONTH", "BELONGS", "TO"]
    assert row.split()[0:3] == ["cloud", TOKYO, "volume"] and row.split()[-2:] == ["9.60", "orphan"]
    assert total.endswith(f"2 regions: 9.60 USD a month (prices of {prices._TABLE_OF})")
    ec2.create_volume(Size=100, VolumeType="io1", Iops=100, AvailabilityZone=f"{TOKYO}a", TagSpecifications=tags)
    _, out, _ = run(capsys)
    assert out.splitlines()[-1].partition(" (")[0].endswith("9.60 USD a month, and what is unknown")


def test_a_running_machine_costs_its_hours_and_a_stopped_one_its_disk(account: Account) -> None:
    account.stack()
    (machine,) = [thing for thing in found().values() if thing.kind == "instance"]
    assert machine.month == pytest.approx(730 * (0.4352 + 0.005))
    account.aws.client("ec2", TOKYO).stop_instances(InstanceIds=[machine.id])
    assert found()[machine.id].month == 0
    account.aws.client("ec2", TOKYO).terminate_instances(InstanceIds=[machine.id])
    assert machine.id not in found()


def test_a_region_that_cannot_be_asked_is_told_and_hides_no_other(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stack()
    account.things("orch-old", [TAG], "/orch/", TOKYO)
    denied(monkeypatch, LONDON, "cloudformation", "ec2", "logs", "ssm")
    status, out, err = run(capsys)
    assert status == 0 and "orch-cloud" in out
    assert "orch: eu-west-2 could not be asked for everything: not allowed: " in err
    # Its roles may be those of a stack that nobody could ask for.
    doomed = {thing.kind for thing in sweep.find().doomed}
    assert "volume" in doomed and not doomed & {"role", "instance profile"}
    with pytest.raises(OrchError) as caught:
        run(capsys, "--region", LONDON, "--json")
    assert caught.value.kind == "not_authorised"


def denied(patch: pytest.MonkeyPatch, region: str, *services: str) -> None:
    real = Aws.client

    def client(self: Aws, service: str, where: str | None = None) -> Any:
        if where == region and service in services:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks")
        return real(self, service, where)

    patch.setattr(Aws, "client", client)


def test_without_its_stacks_a_region_has_no_orphans(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.stack()
    denied(monkeypatch, TOKYO, "cloudformation")
    swept = sweep.find()
    assert swept.things and swept.doomed == []


def test_one_region_knows_nothing_of_anothers_roles(account: Account) -> None:
    account.stack(region=LONDON)
    roles = [thing for thing in found(TOKYO).values() if thing.kind == "role"]
    assert [role.holder for role in roles] == [None]
    assert [role.holder for role in found(LONDON).values() if role.kind == "role"] == ["orch-cloud"]


def test_what_is_being_made_is_no_orphan(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.things("cloud", [TAG], "/orch/")
    making = Thing("stack", "orch-cloud", "cloud", TOKYO, "CREATE_IN_PROGRESS", holder="orch-cloud")
    monkeypatch.setattr(finding, "_stacks", lambda _, region: iter([making] if region == TOKYO else []))
    monkeypatch.setattr(finding, "_held", lambda *_: {})
    assert [thing.kind for thing in sweep.find().doomed if thing.region == TOKYO] == ["stack"]


def test_as_json(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.stack()
    status, out, err = run(capsys, "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    keys = ["account", "regions", "things", "cost_usd_per_month", "prices_of", "errors", "failed"]
    assert (list(told), told["failed"], told["errors"]) == (keys, None, [])
    (stack,) = [one for one in told["things"] if one["kind"] == "stack"]
    assert (stack["id"], stack["host"], stack["orphan"]) == ("orch-cloud", "cloud", False)
    assert told["cost_usd_per_month"] == pytest.approx(730 * 0.4402)
    status, out, err = run(capsys, "--json", "--delete", "--yes")
    assert (status, json.loads(out)["failed"]) == (0, []) and "deleting stack orch-cloud" in err
    assert found() == {}


def test_nothing_is_deleted_unasked(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stack()
    for more in ([], ["--json"]):
        with pytest.raises(OrchError, match="nobody to ask"):
            run(capsys, "--delete", *more)
    monkeypatch.setattr(command, "is_terminal", lambda _: True)
    for answer in ("", "y", "no"):
        monkeypatch.setattr("builtins.input", says(answer))
        assert run(capsys, "--delete")[0] == 1
    assert "orch-cloud" in found()
    monkeypatch.setattr("builtins.input", says("123456789012"))
    assert run(capsys, "--delete")[0] == 0
    assert found() == {}


def says(answer: str) -> Callable[[str], str]:
    def said(question: str) -> str:
        assert "Delete 1 stack, with all data on them? 1 of the machines runs now." in question
        return answer

    return said


def test_what_cannot_be_deleted_is_told_and_holds_up_nothing(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.things("orch-old", [TAG], "/orch/")
    real = removal._delete

    def stubborn(aws: Aws, thing: Thing) -> None:
        if thing.kind == "volume":
            raise ClientError({"Error": {"Code": "VolumeInUse", "Message": "still attached"}}, "DeleteVolume")
        real(aws, thing)

    monkeypatch.setattr(removal, "_delete", stubborn)
    status, _, err = run(capsys, "--delete", "--yes")
    assert status == 1 and "is still there: AWS refuses" in err
    assert [thing.kind for thing in found().values()] == ["volume"]


def test_what_is_gone_already_is_deleted(account: Account) -> None:
    account.things("orch-old", [TAG], "/orch/")
    swept = sweep.find()
    for _ in range(2):
        assert sweep.delete(swept, lambda _: None) == []


def test_an_empty_account(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys)[1] == "nothing that orch made is in account 123456789012, 2 regions\n"


def test_no_configuration_and_no_region_are_needed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION"} & set(os.environ)
    assert (sweep._aws(None).region, sweep._aws(LONDON).region) == ("us-east-1", LONDON)
    monkeypatch.setenv("AWS_DEFAULT_REGION", TOKYO)
    assert sweep._aws(None).region == TOKYO


def test_the_regions_are_those_that_are_enabled(aws: Aws) -> None:
    known = finding.regions(aws)
    assert {TOKYO, LONDON} <= set(known) and known == sorted(known)
