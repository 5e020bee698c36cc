"""The CloudFormation stack that a host is made of: created, changed, deleted, and watched while that goes on.

Invariants
- A change that would replace anything is refused before it is begun; AWS refuses it too, by the stack's policy.
- Whoever stops watching changes nothing: AWS goes on, and the next to look finds out how far it has come.
- A stack is looked for by its name. A deleted one answers to its id alone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from orch.errors import OrchError

from ..base import Tell
from .aws import Aws, code_of, said_by
from .policy import statement_for
from .shape import TAG, Shape

INSTANCE = "Instance"
_DENIED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_CANCELLED = "Resource creation cancelled"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_FIRST_POLL, _LAST_POLL, _PATIENCE = 0.5, 3.0, 2400.0  # seconds


class Stack(NamedTuple):
    """``status`` is CloudFormation's word."""

    id: str
    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]

    @property
    def is_busy(self) -> bool:
        """Whether AWS is at work on it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def is_failed(self) -> bool:
        """Whether it never came to be, or is half deleted: all that can be done with it is to delete it."""
        return self.status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", _REVIEW)


_REVIEW = "REVIEW_IN_PROGRESS"


class Failed(OrchError):
    """A stack that did not become what it was to be. ``machine`` is the instance that failed, if there was one."""

    def __init__(self, message: str, hint: str, machine: str | None, reason: str) -> None:
        denied = _DENIED.search(reason)
        kind = "not_authorised" if denied else "host"
        super().__init__(kind, message, statement_for(denied[1]) if denied else hint)
        self.machine = machine


def look(aws: Aws, name: str) -> Stack | None:
    """The stack of that name, if there is one."""
    try:
        said = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except Exception as error:
        if code_of(error) == "ValidationError" and "does not exist" in said_by(error):
            return None
        raise
    return next(iter(_living(said)), None)


def of_host(aws: Aws, shape: Shape) -> list[Stack]:
    """The stacks of all generations of a host."""
    pages = aws.client("cloudformation").get_paginator("describe_stacks").paginate()
    tag = {"Key": TAG, "Value": shape.name}
    return [stack for page in pages for stack in _living(one for one in page["Stacks"] if tag in one.get("Tags", ()))]


def _living(said: Iterable[Mapping[str, Any]]) -> list[Stack]:
    return [_stack(one) for one in said if one["StackStatus"] != "DELETE_COMPLETE"]


def _stack(one: Mapping[str, Any]) -> Stack:
    return Stack(
        one.get("StackId", one["StackName"]),
        one["StackName"],
        one["StackStatus"],
        one.get("StackStatusReason", ""),
        {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in one.get("Parameters", ())},
        {entry["OutputKey"]: entry["OutputValue"] for entry in one.get("Outputs", ())},
    )


def template_of(aws: Aws, name: str) -> dict[str, Any]:
    """The template that the stack was last given."""
    body = aws.client("cloudformation").get_template(StackName=name)["TemplateBody"]
    told: dict[str, Any] = json.loads(body) if isinstance(body, str) else json.loads(json.dumps(body))
    return told


def create(
    aws: Aws,
    shape: Shape,
    template: Mapping[str, Any],
    policy: Mapping[str, Any],
    parameters: Mapping[str, str],
    keep_failed: bool = False,
) -> None:
    """Begin to make it, unless somebody just has; ``keep_failed``: what failed stays, to be looked at."""
    try:
        aws.client("cloudformation").create_stack(
            StackName=shape.stack,
            TemplateBody=json.dumps(template),
            StackPolicyBody=json.dumps(policy),
            Parameters=_parameters(parameters),
            Capabilities=_CAPABILITIES,
            OnFailure="DO_NOTHING" if keep_failed else "ROLLBACK",
            Tags=[{"Key": TAG, "Value": shape.name}],
        )
    except Exception as error:
        if code_of(error) != "AlreadyExistsException":
            raise


def _parameters(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


# Change


def prepare(aws: Aws, shape: Shape, template: Mapping[str, Any], parameters: Mapping[str, str]) -> str | None:
    """A change to this template and these parameters, where nothing is replaced; None where nothing is to change."""
    client = aws.client("cloudformation")
    name = f"orch-{time.time_ns() // 1_000_000}"
    client.create_change_set(
        StackName=shape.stack,
        ChangeSetName=name,
        TemplateBody=json.dumps(template),
        Parameters=_parameters(parameters),
        Capabilities=_CAPABILITIES,
        Tags=[{"Key": TAG, "Value": shape.name}],
    )
    changes = _changes(client, shape, name)
    replaced = sorted(filter(None, map(_replaced, changes)))
    if changes and not replaced:
        return name
    client.delete_change_set(StackName=shape.stack, ChangeSetName=name)
    if replaced:
        says = f"{shape.name} stays as it is: this change would replace {', '.join(replaced)}, and what is on it"
        hint = f"orch up {shape.name} --move    # a second machine, then the data, then the switch"
        raise OrchError("refused", says, hint)
    return None


def execute(aws: Aws, shape: Shape, name: str, tell: Tell) -> None:
    """Carry out a change that was prepared."""
    aws.client("cloudformation").execute_change_set(StackName=shape.stack, ChangeSetName=name)
    now = watch(aws, shape, tell)
    if now is not None and now.status != "UPDATE_COMPLETE":
        raise failure(aws, shape, now, "be changed")


def _changes(client: Any, shape: Shape, name: str) -> list[dict[str, Any]]:
    for _ in _polls():
        said = client.describe_change_set(StackName=shape.stack, ChangeSetName=name)
        if said["Status"] == "CREATE_COMPLETE":
            changes = list(said["Changes"])
            while token := said.get("NextToken"):
                said = client.describe_change_set(StackName=shape.stack, ChangeSetName=name, NextToken=token)
                changes += said["Changes"]
            return changes
        if said["Status"] == "FAILED":
            reason = said.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates" in reason:
                return []
            raise OrchError("host", f"AWS cannot change {shape.stack}: {reason}", f"orch up {shape.name}")
    raise _too_long(shape)


def _replaced(entry: Mapping[str, Any]) -> str:
    """What this change would replace or remove; a resize is by AWS's word conditional, and replaces nothing of ours."""
    one = entry.get("ResourceChange", {})
    name: str = one.get("LogicalResourceId", "?")
    if one.get("Action") == "Remove" and name == INSTANCE:
        return name
    if one.get("Replacement") == "True":
        return name
    targets = {detail.get("Target", {}).get("Name") for detail in one.get("Details", ())}
    is_resize = name == INSTANCE and targets <= {"InstanceType", "CreditSpecification", "Tags", None}
    return name if one.get("Replacement") == "Conditional" and not is_resize else ""


def unstick(aws: Aws, shape: Shape, tell: Tell) -> Stack:
    """End the rollback of a change that failed, and that AWS has left half way."""
    aws.client("cloudformation").continue_update_rollback(StackName=shape.stack)
    now = watch(aws, shape, tell)
    if now is None or now.status != "UPDATE_ROLLBACK_COMPLETE":
        why = failure(aws, shape, now).message if now else "it was deleted"
        raise OrchError("host", f"{shape.stack} is stuck: {why}", f"orch up {shape.name}    # tries again")
    return now


# Watching


def watch(aws: Aws, shape: Shape, tell: Tell) -> Stack | None:
    """Tell what becomes of each resource until AWS is done; the stack as it is then, None where it is no more."""
    seen: set[str] = set()
    known = look(aws, shape.stack)
    name = known.id if known else shape.stack  # by its id it tells of its end, too
    before = _last_start(aws, shape, name)
    for _ in _polls():
        now = look(aws, shape.stack)
        for event in _events(aws, name, before):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                tell(event["LogicalResourceId"], event.get("ResourceStatus", "").lower().replace("_", " "))
        if now is None or not now.is_busy:
            return now
    raise _too_long(shape)


def _polls() -> Iterator[None]:
    pause, until = _FIRST_POLL, time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        yield
        time.sleep(pause)
        pause = min(_LAST_POLL, pause * 1.3)


def _too_long(shape: Shape) -> OrchError:
    says = f"AWS is at work on {shape.stack} for more than {_PATIENCE / 60:.0f} minutes"
    return OrchError("host", says, f"orch up {shape.name}    # goes on watching")


def _events(aws: Aws, name: str, since: Any = None) -> list[dict[str, Any]]:
    """What happened, the oldest first."""
    try:
        pages = aws.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=name)
        events = [event for page in pages for event in page["StackEvents"]]
    except Exception as error:
        if code_of(error) == "ValidationError":  # it is gone
            return []
        raise
    events.reverse()
    return [event for event in events if since is None or event["Timestamp"] >= since]


def _last_start(aws: Aws, shape: Shape, name: str) -> Any:
    """When the work that is under way, or was last done, began."""
    began = [
        event["Timestamp"]
        for event in _events(aws, name)
        if event["LogicalResourceId"] == shape.stack and event.get("ResourceStatus") in _STARTS
    ]
    return began[-1] if began else None


_STARTS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", _REVIEW}


def failure(aws: Aws, shape: Shape, stack: Stack, what_for: str = "be made") -> Failed:
    """Why it is not what it was to be: what failed first."""
    failed = [event for event in _events(aws, stack.id) if event.get("ResourceStatus", "").endswith("_FAILED")]
    first = next((one for one in failed if _CANCELLED not in one.get("ResourceStatusReason", "")), None)
    reason = first.get("ResourceStatusReason", "") if first else stack.reason
    what = first["LogicalResourceId"] if first else shape.stack
    machine = next((one.get("PhysicalResourceId") for one in failed if one["LogicalResourceId"] == INSTANCE), None)
    return Failed(
        f"{shape.name} could not {what_for}: {what}: {reason}", f"orch up {shape.name}", machine or None, reason
    )


def delete(aws: Aws, shape: Shape, tell: Tell) -> None:
    """Delete it with all that it made, and wait until it is gone."""
    now = look(aws, shape.stack)
    if now is None:
        return
    if now.status != "DELETE_IN_PROGRESS":
        if now.is_busy:
            watch(aws, shape, tell)
        aws.client("cloudformation").delete_stack(StackName=shape.stack)
    left = watch(aws, shape, tell)
    if left is not None:
        says = failure(aws, shape, left, "be deleted whole").message
        raise OrchError("host", says, f"orch down {shape.name}    # tries again; orch sweep shows what is left")
    tell(shape.stack, "deleted")
