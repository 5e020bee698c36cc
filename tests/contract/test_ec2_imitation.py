"""The imitated EC2 does what AWS does, as far as orch goes by it: what the tests of orch rely on is true of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orch.providers.ec2 import template
from orch.providers.ec2.shape import Shape
from tests.support.agent import eventually
from tests.support.ec2 import REGION, Cloud, Instance
from tests.support.ec2 import plugin as session_manager_plugin
from tests.support.keys import ssh_key
from tests.support.root import Held

SHAPE = Shape("box", instance_type="t3.medium")
KEY = "AKIALAPTOP"


class Account:
    """What tests do in the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2", key=KEY)
        self.stacks = cloud.client("cloudformation", key=KEY)
        self.ssm = cloud.client("ssm", key=KEY)

    def parameters(self, shape: Shape = SHAPE) -> list[dict[str, str]]:
        [subnet] = self.cloud.client("ec2").describe_subnets(
            Filters=[{"Name": "availability-zone", "Values": [f"{REGION}a"]}]
        )["Subnets"]
        values = template.parameters(shape, image="ami-1", subnet=subnet["SubnetId"], vpc=subnet["VpcId"])
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]

    def create(self, shape: Shape = SHAPE, script: str | None = None, **more: Any) -> str:
        """Make a stack, and wait until it is made; its status. ``script`` takes the bootstrap's place."""
        described = template.template(shape)
        if script is not None:
            described["Resources"]["Instance"]["Properties"]["UserData"] = {"Fn::Base64": {"Fn::Sub": script}}
        self.stacks.create_stack(
            StackName=shape.stack,
            TemplateBody=json.dumps(described),
            Parameters=self.parameters(shape),
            Capabilities=["CAPABILITY_IAM"],
            StackPolicyBody=json.dumps(template.stack_policy()),
            **more,
        )
        return self.settled(shape)

    def stack(self, shape: Shape = SHAPE) -> dict[str, Any]:
        found: dict[str, Any] = self.stacks.describe_stacks(StackName=shape.stack)["Stacks"][0]
        return found

    def settled(self, shape: Shape = SHAPE) -> str:
        def status() -> str:
            said = str(self.stack(shape)["StackStatus"])
            return "" if said.endswith("_IN_PROGRESS") else said

        return eventually(status, "the stack is settled")

    def events(self, shape: Shape = SHAPE) -> list[str]:
        """The oldest first."""
        said = self.stacks.describe_stack_events(StackName=shape.stack)["StackEvents"]
        return [f"{one['LogicalResourceId']} {one['ResourceStatus']}" for one in reversed(said)]

    def machine(self) -> Instance:
        [machine] = self.cloud.fleet
        return machine

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_instances()["Reservations"][0]["Instances"][0]
        return found

    def becomes(self, state: str) -> None:
        eventually(lambda: self.described()["State"]["Name"] == state, f"the instance is {state}")


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return Account(cloud)


@pytest.fixture
def machine(account: Account) -> Iterator[Instance]:
    """One that is made, and has said so."""
    assert account.create() == "CREATE_COMPLETE"
    yield account.machine()


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_a_stack_is_complete_when_its_machine_has_signalled(account: Account, machine: Instance) -> None:
    order = [one.partition(" ")[0] for one in account.events() if one.endswith("CREATE_COMPLETE")]
    assert order[-2:] == ["Instance", SHAPE.stack]
    assert {output["OutputKey"] for output in account.stack()["Outputs"]} == {"InstanceId", "Architecture"}
    said = account.described()
    assert [said["State"]["Name"], said["PublicIpAddress"]] == ["running", machine.ip]
    assert {"Key": "orch:name", "Value": "box"} in said["Tags"]
    [group] = said["SecurityGroups"]
    resources = account.stacks.list_stack_resources(StackName=SHAPE.stack)["StackResourceSummaries"]
    assert group["GroupId"] in [one["PhysicalResourceId"] for one in resources]
    published = account.ssm.get_parameter(Name=SHAPE.host_key)["Parameter"]["Value"]
    assert published in machine.known_hosts.read_text()


def test_a_key_lets_in_for_a_while(account: Account, machine: Instance, cloud: Cloud) -> None:
    public = Path(f"{ssh_key()}.pub").read_text()
    login = machine.ssh("whoami", StrictHostKeyChecking="no", UserKnownHostsFile="/dev/null")
    assert subprocess.run(login, capture_output=True).returncode == 255
    machine.knows(public, -1)
    assert subprocess.run(login, capture_output=True).returncode == 255
    connect = cloud.client("ec2-instance-connect", key=KEY)
    connect.send_ssh_public_key(InstanceId=machine.model.id, InstanceOSUser="ec2-user", SSHPublicKey=public)
    assert subprocess.run(login, capture_output=True, check=True).stdout == b"ec2-user\n"


def test_it_stops_and_starts_with_the_same_disk_and_another_address(account: Account, machine: Instance) -> None:
    machine.run("echo here >~/kept; echo there >/etc/orch/kept", user="root")
    before = machine.ip
    said = account.ec2.stop_instances(InstanceIds=[machine.model.id])["StoppingInstances"][0]
    assert [said["PreviousState"]["Name"], said["CurrentState"]["Name"]] == ["running", "stopping"]
    with refused("IncorrectInstanceState"):
        account.ec2.start_instances(InstanceIds=[machine.model.id])
    account.becomes("stopped")
    assert "PublicIpAddress" not in account.described()
    assert account.described()["StateTransitionReason"].startswith("User initiated (")
    said = account.ec2.start_instances(InstanceIds=[machine.model.id])["StartingInstances"][0]
    assert [said["PreviousState"]["Name"], said["CurrentState"]["Name"]] == ["stopped", "pending"]
    account.becomes("running")
    assert account.described()["PublicIpAddress"] == machine.ip != before
    assert machine.run("cat /etc/orch/kept", user="root").stdout == "there\n"
    assert account.cloud.called(machine.model.id) == {"ssm:PutParameter", "cloudformation:SignalResource"}


def test_a_machine_that_powers_off_is_stopped(account: Account, machine: Instance) -> None:
    machine.run("systemctl poweroff", user="root", check=False)
    account.becomes("stopped")
    assert account.described()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert account.described()["StateTransitionReason"] == ""


def test_it_stops_itself_when_it_is_idle(account: Account, machine: Instance, cloud: Cloud) -> None:
    machine.run("echo 2 >/etc/orch/idle_stop", user="root")
    account.becomes("stopped")
    stream = f"{machine.model.id}/machine"
    [event] = cloud.client("logs").get_log_events(logGroupName=SHAPE.log_group, logStreamName=stream)["events"]
    assert json.loads(event["message"])["event"] == "stopped"


def test_nothing_is_left_of_a_machine_that_is_terminated(account: Account, machine: Instance) -> None:
    place, running = machine.home.parent, len(Held.living)
    account.stacks.delete_stack(StackName=SHAPE.stack)
    account.becomes("terminated")
    eventually(lambda: not place.exists(), "its disk is gone")
    assert len(Held.living) == running - 1
    assert place.name not in Path("/proc/mounts").read_text()


def test_a_stack_is_deleted_whole(account: Account, machine: Instance, cloud: Cloud) -> None:
    identity = account.stack()["StackId"]
    account.stacks.delete_stack(StackName=SHAPE.stack)
    assert account.stack()["StackStatus"] == "DELETE_IN_PROGRESS"

    def status() -> str:
        said: str = account.stacks.describe_stacks(StackName=identity)["Stacks"][0]["StackStatus"]
        return said

    eventually(lambda: status() == "DELETE_COMPLETE", "the stack is deleted")
    with refused("ValidationError"):
        account.stack()
    assert not cloud.client("iam").list_roles()["Roles"]
    assert not cloud.client("iam").list_instance_profiles()["InstanceProfiles"]
    assert not cloud.client("logs").describe_log_groups()["logGroups"]
    assert not cloud.client("ssm").describe_parameters()["Parameters"]
    assert not account.ec2.describe_volumes()["Volumes"]
    assert [group["GroupName"] for group in account.ec2.describe_security_groups()["SecurityGroups"]] == ["default"]


def test_a_bootstrap_that_fails_rolls_back_and_shows_on_the_console(account: Account) -> None:
    script = (
        "#!/bin/bash\necho it went wrong\n/opt/aws/bin/cfn-signal -e 1 --stack ${AWS::StackName} --resource Instance\n"
    )
    assert account.create(script=script) == "ROLLBACK_COMPLETE"
    events = account.events()
    assert events.index("Instance CREATE_FAILED") < events.index(f"{SHAPE.stack} ROLLBACK_IN_PROGRESS")
    assert account.described()["State"]["Name"] == "terminated"
    said = account.ec2.get_console_output(InstanceId=account.machine().model.id)["Output"]
    assert "it went wrong\n" in said


def test_a_failure_may_be_kept(account: Account, cloud: Cloud) -> None:
    cloud.stacks.patience = 0.0
    assert account.create(script="#!/bin/sh\n", OnFailure="DO_NOTHING") == "CREATE_FAILED"
    account.becomes("running")


def test_what_cloudformation_may_not_do_fails_the_resource(account: Account, cloud: Cloud) -> None:
    cloud.deny("iam:CreateRole")
    assert account.create() == "ROLLBACK_COMPLETE"
    said = account.stacks.describe_stack_events(StackName=SHAPE.stack)["StackEvents"]
    [why] = [one["ResourceStatusReason"] for one in said if one["ResourceStatus"] == "CREATE_FAILED"]
    assert "is not authorized to perform: iam:CreateRole" in why
    assert not list(cloud.fleet)
    assert not cloud.client("logs").describe_log_groups()["logGroups"]


def test_what_may_not_be_deleted_is_left(account: Account, machine: Instance, cloud: Cloud) -> None:
    cloud.deny("logs:DeleteLogGroup")
    account.stacks.delete_stack(StackName=SHAPE.stack)
    assert account.settled() == "DELETE_FAILED"
    cloud.allow("logs:DeleteLogGroup")
    account.stacks.delete_stack(StackName=SHAPE.stack)
    eventually(lambda: not cloud.client("cloudformation").describe_stacks()["Stacks"], "the stack is deleted")


def change(account: Account, **changed: str) -> dict[str, Any]:
    """The change set that such parameters make."""
    given = [
        {"ParameterKey": one["ParameterKey"], "ParameterValue": changed.get(one["ParameterKey"], one["ParameterValue"])}
        for one in account.parameters()
    ]
    names = {"StackName": SHAPE.stack, "ChangeSetName": "change"}
    account.stacks.create_change_set(**names, UsePreviousTemplate=True, Parameters=given)
    said: dict[str, Any] = account.stacks.describe_change_set(**names)
    return said


def replacements(said: dict[str, Any]) -> dict[str, str]:
    changes = [one["ResourceChange"] for one in said["Changes"]]
    return {one["LogicalResourceId"]: one["Replacement"] for one in changes}


def test_a_change_set_says_what_would_be_replaced(account: Account, machine: Instance) -> None:
    nothing = change(account)
    assert nothing["Status"] == "FAILED"
    assert "didn't contain changes" in nothing["StatusReason"]
    assert replacements(change(account, InstanceType="t3.large")) == {"Instance": "Conditional"}
    assert replacements(change(account, VolumeGiB="200")) == {"Instance": "Conditional"}
    assert replacements(change(account, IdleSeconds="60")) == {"Instance": "False"}
    network = change(account, ImageId="ami-2", VpcId="vpc-2")
    assert replacements(network) == {"SecurityGroup": "True", "Instance": "True"}
    [detail] = change(account, ImageId="ami-2")["Changes"][0]["ResourceChange"]["Details"]
    assert detail["Target"] == {"Attribute": "Properties", "Name": "ImageId", "RequiresRecreation": "Always"}
    assert detail["CausingEntity"] == "ImageId"


def test_an_update_changes_the_machine_and_keeps_it(account: Account, machine: Instance) -> None:
    machine.run("echo here >/etc/orch/kept", user="root")
    change(account, InstanceType="t3.large")
    account.stacks.execute_change_set(StackName=SHAPE.stack, ChangeSetName="change")
    assert account.settled() == "UPDATE_COMPLETE"
    assert account.described()["InstanceType"] == "t3.large"
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in account.stack()["Parameters"]}
    assert parameters["InstanceType"] == "t3.large"
    eventually(lambda: machine.on, "it is on again")
    assert machine.run("cat /etc/orch/kept", user="root").stdout == "here\n"


def test_the_stack_policy_forbids_another_machine(account: Account, machine: Instance) -> None:
    change(account, ImageId="ami-2")
    account.stacks.execute_change_set(StackName=SHAPE.stack, ChangeSetName="change")
    assert account.settled() == "UPDATE_ROLLBACK_COMPLETE"
    said = account.stacks.describe_stack_events(StackName=SHAPE.stack)["StackEvents"]
    assert "does not allow [Update:Replace]" in next(
        one["ResourceStatusReason"] for one in said if one["ResourceStatus"] == "UPDATE_FAILED"
    )
    assert account.described()["State"]["Name"] == "running"


# What a machine may do


def test_a_machine_may_do_what_its_role_allows_and_no_more(machine: Instance, cloud: Cloud) -> None:
    cloud.client("ssm").put_parameter(Name="/orch/box/env/TOKEN", Type="SecureString", Value="secret")
    cloud.client("ssm").put_parameter(Name="/orch/other/env/TOKEN", Type="SecureString", Value="secret")
    get = "aws ssm get-parameter --with-decryption --query Parameter.Value --output text --name"
    assert machine.run(f"{get} /orch/box/env/TOKEN", user="root").stdout == "secret\n"
    denied = machine.run(f"{get} /orch/other/env/TOKEN", user="root", check=False)
    assert denied.returncode == 254
    assert "AccessDeniedException" in denied.stderr
    assert machine.run("aws ec2 describe-instances", user="root", check=False).returncode == 254
    assert {"ssm:GetParameter", "ec2:DescribeInstances"} <= cloud.called(machine.model.id)
    assert "ec2:DescribeInstances" not in {action for who, action in cloud.calls if who == "laptop"} - cloud.called()


def test_its_logs_go_where_its_agent_sends_them(machine: Instance, cloud: Cloud) -> None:
    logs = cloud.client("logs")
    machine.run("mkdir -p ~/logs/train; printf 'one\\ntwo\\nhal' >~/logs/train/1.log; echo {} >>~/.orch/ended.log")

    def events(stream: str) -> list[str]:
        try:
            said = logs.get_log_events(logGroupName=SHAPE.log_group, logStreamName=stream)
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [one["message"] for one in said["events"]]

    stream = f"{machine.model.id}__home_ec2-user_logs_train_1.log"
    eventually(lambda: events(stream) == ["one", "two"], "the log is shipped, as far as its lines are whole")
    eventually(lambda: events(f"{machine.model.id}/ended") == ["{}"], "the end is shipped")
    machine.run("echo f >>~/logs/train/1.log; systemctl poweroff", check=False)
    eventually(lambda: events(stream) == ["one", "two", "half"], "the last lines are shipped before it is off")


# What goes wrong


@pytest.mark.parametrize("service, operation", [("ec2", "describe_instances"), ("ssm", "describe_parameters")])
@pytest.mark.parametrize(
    "fault, code",
    [
        ("deny", "UnauthorizedOperation|AccessDeniedException"),
        ("allow_only", "UnauthorizedOperation|AccessDeniedException"),
        ("throttle", "RequestLimitExceeded|ThrottlingException"),
        ("expire", "RequestExpired|ExpiredTokenException"),
        ("skew", "SignatureDoesNotMatch|InvalidSignatureException"),
    ],
)
def test_faults_are_said_as_each_service_says_them(
    cloud: Cloud, service: str, operation: str, fault: str, code: str
) -> None:
    action = f"{service}:{''.join(map(str.title, operation.split('_')))}"
    words = {"deny": [action], "throttle": [action, 1], "allow_only": [["sts:GetCallerIdentity"]]}.get(fault, [])
    getattr(cloud, fault)(*words)
    with refused(code):
        getattr(cloud.client(service, key=KEY), operation)()
    getattr(cloud.client(service), operation)()
    assert cloud.calls == [("laptop", action)]


def test_a_zone_may_be_full_and_a_quota_used_up(account: Account, cloud: Cloud) -> None:
    cloud.full.add(f"{REGION}a")
    with refused("InsufficientInstanceCapacity"):
        account.ec2.run_instances(ImageId="ami-1", InstanceType="t3.medium", MinCount=1, MaxCount=1)
    cloud.full.clear()
    cloud.quota = 1
    with refused("VcpuLimitExceeded"):
        account.ec2.run_instances(ImageId="ami-1", InstanceType="t3.medium", MinCount=1, MaxCount=1)
    assert not account.ec2.describe_instances()["Reservations"]
    quotas = cloud.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]["Value"] == 1.0


# Sessions and prices


def plugin(cloud: Cloud, session: dict[str, Any], **more: Any) -> subprocess.CompletedProcess[bytes]:
    told = json.dumps({key: session[key] for key in ("SessionId", "TokenValue", "StreamUrl")})
    argv = [sys.executable, session_manager_plugin.__file__, "SESSION", REGION, "StartSession", "", "{}", cloud.url]
    return subprocess.run(argv, env={**os.environ, "SESSION": told}, capture_output=True, timeout=30, **more)


def test_a_session_leads_to_the_machines_sshd(account: Account, machine: Instance, cloud: Cloud) -> None:
    asked = {"DocumentName": "AWS-StartSSHSession", "Parameters": {"portNumber": ["22"]}}
    session = account.ssm.start_session(Target=machine.model.id, **asked)
    far, near = os.pipe()
    with os.fdopen(near, "wb", 0) as ours, os.fdopen(far, "rb") as theirs:
        ours.write(b"nonsense\r\n")
        said = plugin(cloud, session, stdin=theirs)
    assert [said.returncode, said.stdout[:15]] == [0, b"SSH-2.0-OpenSSH"]
    assert plugin(cloud, {**session, "TokenValue": "?"}, stdin=subprocess.DEVNULL).returncode == 255
    account.ssm.terminate_session(SessionId=session["SessionId"])
    assert plugin(cloud, session, stdin=subprocess.DEVNULL).returncode == 255
    cloud.no_session_manager = True
    with refused("TargetNotConnected"):
        account.ssm.start_session(Target=machine.model.id, **asked)


def test_prices_are_those_of_the_region(cloud: Cloud) -> None:
    wanted = {"instanceType": "t3.2xlarge", "operatingSystem": "Linux", "regionCode": REGION}
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()]
    prices = cloud.client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2", Filters=filters)
    [product] = map(json.loads, prices["PriceList"])
    [term] = product["terms"]["OnDemand"].values()
    [price] = term["priceDimensions"].values()
    assert float(price["pricePerUnit"]["USD"]) == 0.4352


def test_it_takes_its_time_where_that_is_wanted(account: Account, cloud: Cloud) -> None:
    cloud.fleet.slow = 0.3
    before = time.monotonic()
    account.ec2.run_instances(ImageId="ami-1", InstanceType="t3.medium", MinCount=1, MaxCount=1)
    account.becomes("running")
    assert time.monotonic() - before >= 0.3
