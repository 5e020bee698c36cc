"""The stack, in the words in which CloudFormation answers; Stubber refuses a word that it would not know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from orch.errors import OrchError
from orch.providers.ec2 import stack
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.shape import Shape
from tests.support import mockaws

SHAPE = Shape("cloud", "ap-northeast-1")
NOW = datetime(2026, 2, 16, 14, 30, tzinfo=UTC)
NAMED = {"StackName": "orch-cloud"}
ID = "arn:aws:cloudformation:ap-northeast-1:1:stack/orch-cloud/1"
BY_ID = {"StackName": ID}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setattr(stack, "_FIRST_POLL", 0.001)
    monkeypatch.setattr(stack, "_LAST_POLL", 0.001)
    with mockaws.nobody() as aws:
        yield aws


@pytest.fixture
def stub(aws: Aws) -> Iterator[Stubber]:
    with mockaws.stubbed(aws, "cloudformation") as stub:
        yield stub


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"Stacks": [{"StackId": ID, "StackName": "orch-cloud", "CreationTime": NOW, "StackStatus": status, **more}]}


def event(number: int, what: str, status: str, reason: str = "", thing: str = "") -> dict[str, Any]:
    one = {
        "EventId": f"e{number}",
        "StackId": "arn:aws:cloudformation:x:1:stack/orch-cloud/1",
        **NAMED,
        "LogicalResourceId": what,
        "ResourceStatus": status,
        "Timestamp": NOW + timedelta(seconds=number),
    }
    return {**one, **({"ResourceStatusReason": reason} if reason else {}), "PhysicalResourceId": thing}


def newest_first(*events: dict[str, Any]) -> dict[str, Any]:
    return {"StackEvents": list(reversed(events))}


def test_a_stack_that_is_not_there_is_none(aws: Aws, stub: Stubber) -> None:
    says = "Stack with id orch-cloud does not exist"
    stub.add_client_error("describe_stacks", "ValidationError", says, expected_params=NAMED)
    assert stack.look(aws, "orch-cloud") is None


def test_one_that_was_deleted_is_none_either(aws: Aws, stub: Stubber) -> None:
    stub.add_response("describe_stacks", described("DELETE_COMPLETE"), NAMED)
    assert stack.look(aws, "orch-cloud") is None


def test_each_step_of_this_work_is_told_once_and_none_of_what_was_before(aws: Aws, stub: Stubber) -> None:
    before = [event(1, "orch-cloud", "CREATE_IN_PROGRESS"), event(2, "Instance", "CREATE_COMPLETE")]
    began = [*before, event(5, "orch-cloud", "UPDATE_IN_PROGRESS"), event(6, "Role", "UPDATE_IN_PROGRESS")]
    done = [*began, event(7, "Role", "UPDATE_COMPLETE")]
    stub.add_response("describe_stacks", described("UPDATE_IN_PROGRESS"), NAMED)
    stub.add_response("describe_stack_events", newest_first(*began), BY_ID)
    for status, events in (("UPDATE_IN_PROGRESS", began), ("UPDATE_COMPLETE", done)):
        stub.add_response("describe_stacks", described(status), NAMED)
        stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    told: list[tuple[str, str]] = []
    now = stack.watch(aws, SHAPE, lambda thing, status: told.append((thing, status)))
    assert now is not None
    assert now.status == "UPDATE_COMPLETE"
    assert told == [
        ("orch-cloud", "update in progress"),
        ("Role", "update in progress"),
        ("Role", "update complete"),
    ]


def test_the_failure_is_the_first_and_not_what_was_cancelled_for_it(aws: Aws, stub: Stubber) -> None:
    events = [
        event(1, "orch-cloud", "CREATE_IN_PROGRESS"),
        event(2, "Role", "CREATE_FAILED", "Resource creation cancelled"),
        event(3, "Instance", "CREATE_FAILED", "Received 1 FAILURE signal(s) out of 1", "i-0abc"),
    ]
    stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    now = stack.Stack(ID, "orch-cloud", "ROLLBACK_COMPLETE", "", {}, {})
    failure = stack.failure(aws, SHAPE, now)
    assert failure.message == "cloud could not be made: Instance: Received 1 FAILURE signal(s) out of 1"
    assert failure.machine == "i-0abc"


def change(stub: Stubber, *changes: dict[str, Any], status: str = "CREATE_COMPLETE", reason: str = "") -> None:
    """A change set of these changes."""
    stub.add_response("create_change_set", {"Id": "arn:change"}, None)
    told = {"Status": status, "Changes": [{"Type": "Resource", "ResourceChange": one} for one in changes]}
    stub.add_response("describe_change_set", {**told, **({"StatusReason": reason} if reason else {})}, None)


def resource(name: str, replacement: str, *details: str, action: str = "Modify") -> dict[str, Any]:
    targets = [{"Target": {"Attribute": "Properties", "Name": one}} for one in details]
    return {"Action": action, "LogicalResourceId": name, "Replacement": replacement, "Details": targets}


@pytest.mark.parametrize(
    "one",
    [
        resource("Instance", "True", "ImageId"),
        resource("Instance", "Conditional", "BlockDeviceMappings"),
        resource("Instance", "Conditional", "InstanceType", "UserData"),
        resource("LogGroup", "True", "LogGroupName"),
        {"Action": "Remove", "LogicalResourceId": "Instance"},
    ],
)
def test_what_would_be_replaced_is_refused_and_nothing_executed(aws: Aws, stub: Stubber, one: dict[str, Any]) -> None:
    change(stub, one, resource("Role", "False", "Policies"))
    stub.add_response("delete_change_set", {}, {**NAMED, "ChangeSetName": ANY})
    with pytest.raises(OrchError, match="would replace") as refused:
        stack.prepare(aws, SHAPE, {}, {})
    assert one["LogicalResourceId"] in refused.value.message
    assert "--move" in refused.value.hint


def test_a_resize_replaces_nothing(aws: Aws, stub: Stubber) -> None:
    change(stub, resource("Instance", "Conditional", "InstanceType"))
    assert stack.prepare(aws, SHAPE, {}, {})


def test_a_change_that_was_taken_back_says_why(aws: Aws, stub: Stubber) -> None:
    events = [
        event(1, "orch-cloud", "UPDATE_IN_PROGRESS"),
        event(2, "Role", "UPDATE_FAILED", "User: me is not authorized to perform: iam:PutRolePolicy on resource: x"),
    ]
    stub.add_response("execute_change_set", {}, {**NAMED, "ChangeSetName": "c"})
    stub.add_response("describe_stacks", described("UPDATE_ROLLBACK_COMPLETE"), NAMED)
    stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    stub.add_response("describe_stacks", described("UPDATE_ROLLBACK_COMPLETE"), NAMED)
    for _ in range(2):
        stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    with pytest.raises(OrchError, match="cloud could not be changed: Role: ") as failed:
        stack.execute(aws, SHAPE, "c", lambda *_: None)
    assert failed.value.kind == "not_authorised"
    assert '"Action": "iam:PutRolePolicy"' in failed.value.hint


def test_no_change_is_no_error(aws: Aws, stub: Stubber) -> None:
    reason = "The submitted information didn't contain changes. Submit different information to create a change set."
    change(stub, status="FAILED", reason=reason)
    stub.add_response("delete_change_set", {}, {**NAMED, "ChangeSetName": ANY})
    assert stack.prepare(aws, SHAPE, {}, {}) is None


def test_a_stack_that_cannot_be_deleted_whole_says_what_hinders_it(aws: Aws, stub: Stubber) -> None:
    stub.add_response("describe_stacks", described("CREATE_COMPLETE"), NAMED)
    stub.add_response("delete_stack", {}, NAMED)
    events = [
        event(1, "orch-cloud", "DELETE_IN_PROGRESS"),
        event(2, "SecurityGroup", "DELETE_FAILED", "resource sg-1 has a dependent object"),
    ]
    stub.add_response("describe_stacks", described("DELETE_IN_PROGRESS"), NAMED)
    stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    stub.add_response("describe_stacks", described("DELETE_FAILED"), NAMED)
    for _ in range(2):
        stub.add_response("describe_stack_events", newest_first(*events), BY_ID)
    with pytest.raises(OrchError, match="SecurityGroup: resource sg-1 has a dependent object") as failed:
        stack.delete(aws, SHAPE, lambda *_: None)
    assert "orch sweep" in failed.value.hint


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"])
def test_what_never_came_to_be_is_failed_and_at_rest(status: str) -> None:
    one = stack.Stack(ID, "orch-cloud", status, "", {}, {})
    assert one.is_failed
    assert not one.is_busy
