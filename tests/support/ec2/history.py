"""What CloudFormation tells of a stack: its events, the state of each resource, its outputs once it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Event, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

_WITH_OUTPUTS = ("CREATE_COMPLETE", "UPDATE_", "DELETE_")
Document = dict[str, Any]


@contextmanager
def in_moto() -> Iterator[None]:
    """Meanwhile moto's stacks tell this."""
    handlers: dict[str, Callable[[CloudFormationResponse], ActionResult]] = {
        "describe_stack_resources": _describe_stack_resources,
        "list_stack_resources": _list_stack_resources,
        "describe_stack_resource": _describe_stack_resource,
    }
    with ExitStack() as stack:
        for name, handler in handlers.items():
            stack.enter_context(mock.patch.object(CloudFormationResponse, name, handler))
        stack.enter_context(mock.patch.object(Stack, "outputs", property(_outputs)))
        yield


def add(stack: Stack, name: str, status: str, why: str | None) -> None:
    """Something has happened to a resource, or to the stack itself if that is its name."""
    if name == stack.name:
        stack.status, stack.stack_status_reason = status, why
        stack._add_stack_event(status, why)
        return
    kind = stack.template_dict["Resources"][name]["Type"]
    made = stack.resource_map._parsed_resources.get(name)
    physical = getattr(made, "physical_resource_id", "") or _seen(stack).get(name, {}).get("PhysicalResourceId", "")
    one = Event(stack.stack_id, stack.name, name, physical, kind, status, why, None)
    stack.events.append(one)
    _seen(stack)[name] = {
        "StackId": stack.stack_id,
        "StackName": stack.name,
        "LogicalResourceId": name,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": why,
        "Timestamp": one.timestamp,
        "LastUpdatedTimestamp": one.timestamp,
    }


def _seen(stack: Stack) -> dict[str, Document]:
    seen: dict[str, Document] = stack.__dict__.setdefault("seen", {})
    return seen


def _outputs(stack: Stack) -> list[Document] | None:
    # To look at an output is, in moto, to make what it tells of.
    if not getattr(stack, "was_made", False) or not stack.status.startswith(_WITH_OUTPUTS):
        return None
    found = [one for one in stack.output_map.values() if one]
    return [{"OutputKey": one.key, "OutputValue": one.value, "Description": one.description} for one in found] or None


def _asked(response: CloudFormationResponse) -> dict[str, Document]:
    return _seen(response.cloudformation_backend.get_stack(response._get_param("StackName")))


def _describe_stack_resources(response: CloudFormationResponse) -> ActionResult:
    wanted = response._get_param("LogicalResourceId")
    found = [one for name, one in _asked(response).items() if wanted in (None, name)]
    return ActionResult({"StackResources": found})


def _list_stack_resources(response: CloudFormationResponse) -> ActionResult:
    return ActionResult({"StackResourceSummaries": list(_asked(response).values())})


def _describe_stack_resource(response: CloudFormationResponse) -> ActionResult:
    name, seen = response._get_param("LogicalResourceId"), _asked(response)
    if name not in seen:
        says = f"Resource {name} does not exist for stack {response._get_param('StackName')}"
        raise ValidationError(message=says)
    return ActionResult({"StackResourceDetail": seen[name]})
