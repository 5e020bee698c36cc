"""The stack of an EC2 host: what cfn-lint says of it, and what cfn-lint does not see."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orch.providers.ec2 import template as module
from orch.providers.ec2.shape import Shape
from orch.providers.ec2.template import LIMIT, bootstrap, parameters, stack_policy, template

HERE = Path(module.__file__).parent
LONGEST = "a" * 40
REGIONS = ("ap-northeast-1", "us-east-1", "eu-central-1")
SHAPES = {
    "x86": (Shape("box"), "x86_64"),
    "arm": (Shape("box", instance_type="m7g.2xlarge", idle_stop=0), "arm64"),
    "key": (Shape("box", ssh_key="ssm"), "x86_64"),
    "next": (Shape(LONGEST, ssh_key="ssm", generation=12), "arm64"),
}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param][0]


@pytest.fixture
def document(shape: Shape) -> dict[str, Any]:
    return template(shape, next(arch for one, arch in SHAPES.values() if one is shape))


def nodes(document: Any) -> Iterator[Any]:
    """Everything in a document, from outside to inside."""
    yield document
    for one in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from nodes(one)


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    [policy] = document["Resources"]["Role"]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def test_cfn_lint_has_nothing_to_say(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(document))
    program = Path(sys.executable).with_name("cfn-lint")
    words = [program, "--regions", *REGIONS, "--", tmp_path / "stack.json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_nothing_may_reach_it(document: dict[str, Any]) -> None:
    kinds = [one.get("Type") for one in document["Resources"].values()]
    assert kinds.count("AWS::EC2::SecurityGroup") == 1
    assert not any("Ingress" in str(key) for one in nodes(document) if isinstance(one, dict) for key in one)
    assert not any("Ingress" in kind for kind in kinds)


def test_its_role_may_do_what_is_its_own_and_no_more(shape: Shape, document: dict[str, Any]) -> None:
    allowed = {one["Sid"]: one for one in statements(document)}
    session = allowed.pop("SessionManager")
    assert session["Resource"] == ["*"]
    channels = {f"ssmmessages:{verb}{what}Channel" for verb in ("Create", "Open") for what in ("Control", "Data")}
    assert set(session["Action"]) == {"ssm:UpdateInstanceInformation"} | channels
    own = (f"parameter/orch/{shape.name}/", f"secret:orch/{shape.name}/", f"log-group:{shape.log_group}")
    for one in allowed.values():
        assert one["Effect"] == "Allow" and not any("*" in action for action in one["Action"])
        for resource in one["Resource"]:
            assert set(resource) == {"Fn::Sub"}  # so it is an ARN of this account and this region
            service, name = re.fullmatch(
                r"arn:\$\{AWS::Partition\}:(\w+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:(.+)", resource["Fn::Sub"]
            ).groups()  # type: ignore[union-attr]
            assert name.startswith(own)
            assert "*" not in name[:-1]
            assert all(action.startswith(f"{service}:") for action in one["Action"])
    writes = [one for one in allowed.values() if "ssm:PutParameter" in one["Action"]]
    [arns] = [[arn["Fn::Sub"].rpartition("parameter")[2] for arn in one["Resource"]] for one in writes]
    assert arns == [shape.host_key, f"/orch/{shape.name}/deploy-key/*"]
    assert "Managed" not in json.dumps(document["Resources"]["Role"])
    assert document["Resources"]["Role"]["Properties"]["Path"] == "/orch/"


def test_another_hosts_names_are_no_part_of_its_own() -> None:
    """``box`` reads nothing of ``box2``, and its second generation writes no key of the first."""
    said = json.dumps(statements(template(Shape("box"))))
    for name in re.findall(r"(?:parameter|secret:|log-group:)/?orch/[^\"]*", said):
        assert re.match(r"(parameter/|secret:|log-group:/)orch/box(/|$|:\*$)", name), name
    later = json.dumps(statements(template(Shape("box", generation=2))))
    assert "/host-key--2" in later and "/host-key" + '"' not in later


def test_the_machine(document: dict[str, Any], shape: Shape) -> None:
    machine = document["Resources"]["Instance"]
    properties = machine["Properties"]
    assert properties["InstanceInitiatedShutdownBehavior"] == "stop"
    assert properties["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    [disk] = properties["BlockDeviceMappings"]
    assert disk["DeviceName"] == "/dev/xvda"
    assert disk["Ebs"]["Encrypted"] and disk["Ebs"]["VolumeType"] == "gp3"
    assert properties["PropagateTagsToVolumeOnCreation"]
    tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
    assert (tags["orch:name"], tags["Name"]) == (shape.name, shape.stack)
    assert set(machine["DependsOn"]) == {"HostKey", "LogGroup"}  # which it writes to as it boots
    assert ("KeyName" in properties) == (shape.ssh_key == "ssm") == ("KeyPairId" in document["Outputs"])
    # Whatever is in these can only be set when a machine is made, or by another machine in its place.
    assert not {"LaunchTemplate", "NetworkInterfaces", "AvailabilityZone"} & set(properties)


def test_all_of_it_carries_the_hosts_name(document: dict[str, Any], shape: Shape) -> None:
    for name, one in document["Resources"].items():
        if name != "InstanceProfile":  # which has no tags
            tags = one["Properties"]["Tags"]
            found = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            assert found["orch:name"] == shape.name
            assert found.get("orch:generation") == (str(shape.generation) if shape.generation > 1 else None)


def test_nothing_that_may_change_is_in_user_data(document: dict[str, Any]) -> None:
    """For every change of it CloudFormation would stop the machine and start it again."""
    data = document["Resources"]["Instance"]["Properties"]["UserData"]
    assert [one["Ref"] for one in nodes(data) if isinstance(one, dict) and "Ref" in one] == ["AWS::Region"]


def test_parameters_are_those_of_the_template(document: dict[str, Any], shape: Shape) -> None:
    given = parameters(shape, image="ami-1", subnet="subnet-1", vpc="vpc-1")
    assert set(given) == set(document["Parameters"])
    assert (given["VolumeGiB"], given["IdleSeconds"]) == ("100", str(shape.idle_stop))


@pytest.mark.parametrize("family", ["t2", "t3", "t3a", "t4g", "m7g", "c7i", "t"])
def test_only_what_is_burstable_is_unlimited(family: str) -> None:
    document = template(Shape("box"))
    given = document["Resources"]["Instance"]["Properties"]["CreditSpecification"]["Fn::If"]
    assert given == ["Burstable", {"CPUCredits": "unlimited"}, {"Ref": "AWS::NoValue"}]
    known = [one["Fn::Equals"][1] for one in document["Conditions"]["Burstable"]["Fn::Or"]]
    assert (family in known) == (family in ("t2", "t3", "t3a", "t4g"))


def test_an_update_may_not_replace_or_delete_the_machine() -> None:
    allowed, denied = stack_policy()["Statement"]
    assert (allowed["Effect"], allowed["Action"], allowed["Resource"]) == ("Allow", "Update:*", "*")
    assert (denied["Effect"], denied["Action"]) == ("Deny", ["Update:Replace", "Update:Delete"])
    [name] = re.findall(r"^LogicalResourceId/(.+)$", denied["Resource"])
    assert template(Shape("box"))["Resources"][name]["Type"] == "AWS::EC2::Instance"


# User data


def test_it_is_small_enough() -> None:
    text = bootstrap(Shape(LONGEST, idle_stop=10**9, generation=100), "ap-southeast-99")
    assert len(text.encode()) < LIMIT * 0.9


def test_the_template_carries_it(shape: Shape, document: dict[str, Any]) -> None:
    parts = document["Resources"]["Instance"]["Properties"]["UserData"]["Fn::Base64"]["Fn::Join"][1]
    text = "".join("eu-west-1" if isinstance(part, dict) else part for part in parts)
    assert text == bootstrap(shape, "eu-west-1")
    assert text.startswith("#!/bin/bash\n") and "\nregion=eu-west-1\n" in text
    assert (HERE / "idle.py").read_text() in text and "@idle.py@" not in text


@pytest.mark.parametrize("words", [["bash", "-n"], [str(Path(sys.executable).with_name("shellcheck"))]])
def test_bash_and_shellcheck_have_nothing_to_say(words: list[str], shape: Shape, tmp_path: Path) -> None:
    script = tmp_path / "user-data"
    script.write_text(bootstrap(shape, "eu-west-1"))
    done = subprocess.run([*words, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_idle_program_is_for_the_machines_python() -> None:
    """Amazon Linux 2023 has 3.9, and nothing is installed there."""
    source = (HERE / "idle.py").read_text()
    assert source.startswith("#!/usr/bin/python3 -I\n")
    tree = ast.parse(source)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names and names <= sys.stdlib_module_names
    old = os.environ.get("ORCH_TEST_PYTHON39", sys.executable)
    script = "import sys, runpy; runpy.run_path(sys.argv[1])"
    subprocess.run([old, "-I", "-W", "error", "-c", script, HERE / "idle.py"], check=True)
