"""Change sets, with the details that moto leaves out: which resource changes by what, and whether that replaces it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Stack
from moto.cloudformation.parsing import parse_and_update_resource
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from tests.support.ec2 import resources
from tests.support.ec2.role import allows
from tests.support.ec2.wire import Refusal

if TYPE_CHECKING:
    from tests.support.ec2.stacks import Stacks

_NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
Document = dict[str, Any]


class Changes:
    """The change sets of all stacks."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._sets: dict[str, Document] = {}

    @contextmanager
    def in_moto(self) -> Iterator[None]:
        """Meanwhile moto's change sets are ours."""
        with ExitStack() as stack:
            for name in ("create", "describe", "execute", "delete"):
                handler: Callable[..., ActionResult] = getattr(self, f"_{name}")
                ours = _method(handler)
                stack.enter_context(mock.patch.object(CloudFormationResponse, f"{name}_change_set", ours))
            ours = _method(self._continue)
            stack.enter_context(
                mock.patch.object(CloudFormationResponse, "continue_update_rollback", ours, create=True)
            )
            yield

    def _create(self, response: CloudFormationResponse) -> ActionResult:
        stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
        if stack.status not in _UPDATABLE:
            raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")
        template = stack.template_dict
        if not response._get_bool_param("UsePreviousTemplate"):
            template = Stack.parse_template(response._get_param("TemplateBody"))
        parameters = {
            one["ParameterKey"]: stack.parameters[one["ParameterKey"]]
            if one.get("UsePreviousValue")
            else one["ParameterValue"]
            for one in response._get_param("Parameters", [])
        }
        tags = {tag["Key"]: tag["Value"] for tag in response._get_param("Tags", [])} or dict(stack.tags)
        changes = list(_changes(stack, template, parameters, tags))
        name = response._get_param("ChangeSetName")
        identity = f"{stack.stack_id.replace(':stack/', ':changeSet/', 1).rpartition('/')[0]}/{name}/{uuid.uuid4()}"
        self._sets[identity] = {
            "ChangeSetName": name,
            "ChangeSetId": identity,
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "CreationTime": utcnow(),
            "Parameters": parameters,
            "Status": "CREATE_COMPLETE" if changes else "FAILED",
            "ExecutionStatus": "AVAILABLE" if changes else "UNAVAILABLE",
            "StatusReason": None if changes else _NOTHING,
            "Changes": changes,
            "new": (stack, template, parameters, tags),
        }
        return ActionResult({"Id": identity, "StackId": stack.stack_id})

    def _find(self, response: CloudFormationResponse) -> Document:
        name, stack = response._get_param("ChangeSetName"), response._get_param("StackName")
        for one in reversed(list(self._sets.values())):
            if name == one["ChangeSetId"] or (
                name == one["ChangeSetName"] and stack in (one["StackName"], one["StackId"])
            ):
                return one
        raise Refusal("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)

    def _describe(self, response: CloudFormationResponse) -> ActionResult:
        said = dict(self._find(response))
        del said["new"]
        return ActionResult(said)

    def _delete(self, response: CloudFormationResponse) -> ActionResult:
        del self._sets[self._find(response)["ChangeSetId"]]
        return ActionResult({})

    def _execute(self, response: CloudFormationResponse) -> ActionResult:
        one = self._find(response)
        if one["ExecutionStatus"] != "AVAILABLE":
            says = f"ChangeSet [{one['ChangeSetId']}] cannot be executed in its current status of [{one['Status']}]"
            raise Refusal("InvalidChangeSetStatus", says)
        stack, template, parameters, tags = one["new"]
        one["ExecutionStatus"] = "EXECUTE_COMPLETE"
        self._stacks.event(stack, stack.name, "UPDATE_IN_PROGRESS", "User Initiated")
        self._stacks.later(stack, lambda: self._carry_out(stack, template, parameters, tags, one["Changes"]))
        return ActionResult({})

    def _carry_out(
        self, stack: Stack, template: Document, parameters: Document, tags: Document, changes: list[Document]
    ) -> None:
        for change in changes:
            name = change["LogicalResourceId"]
            time.sleep(self._stacks.step)
            self._stacks.event(stack, name, "UPDATE_IN_PROGRESS")
            why = _forbidden(stack, change)
            if why:
                self._fail(stack, name, why)
                return
        with self._stacks._lock:
            stack.template_dict = template
            stack.parameters, stack.tags = parameters, tags
            stack.resource_map._template = template
            stack.resource_map._resource_json_map = template["Resources"]
            stack.resource_map.input_parameters = parameters
            stack.resource_map.load_parameters()
            stack.resource_map.load_conditions()
        for change in changes:
            try:
                self._change(stack, change["LogicalResourceId"], change)
            except Refusal as error:
                self._fail(stack, change["LogicalResourceId"], f"{error.message} ({error.code})")
                return
        self._stacks.event(stack, stack.name, "UPDATE_COMPLETE")

    def _continue(self, response: CloudFormationResponse) -> ActionResult:
        stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            says = f"Stack:{stack.stack_id} is in {stack.status} state and can not continue rolling back."
            raise ValidationError(message=says)
        self._stacks.event(stack, stack.name, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self._stacks.later(stack, lambda: self._stacks.event(stack, stack.name, "UPDATE_ROLLBACK_COMPLETE"))
        return ActionResult({})

    def _fail(self, stack: Stack, name: str, why: str) -> None:
        self._stacks.event(stack, name, "UPDATE_FAILED", why)
        self._stacks.event(stack, stack.name, "UPDATE_ROLLBACK_IN_PROGRESS", why)
        self._stacks.event(stack, stack.name, "UPDATE_ROLLBACK_COMPLETE")

    def _change(self, stack: Stack, name: str, change: Document) -> None:
        made = stack.resource_map._parsed_resources[name]
        for action in resources.ACTIONS[change["ResourceType"]]["update"]:
            self._stacks._may(action)
        with self._stacks._lock:
            resources.add_tags(stack, name, made)
            if change["ResourceType"] == "AWS::EC2::Instance":
                self._change_instance(stack, made)
            elif change["Scope"] != ["Tags"]:
                description = stack.template_dict["Resources"][name]
                changed = parse_and_update_resource(
                    name, description, stack.resource_map, stack.account_id, stack.region_name
                )
                stack.resource_map._parsed_resources[name] = changed or made
        self._stacks.event(stack, name, "UPDATE_COMPLETE")

    def _change_instance(self, stack: Stack, made: Any) -> None:
        wanted = stack.resource_map._parsed_resources["InstanceType"]
        if made.instance_type != wanted:
            made.instance_type = wanted
            if made.state == "running":  # CloudFormation stops and starts it
                made.reboot()


def _changes(stack: Stack, template: Document, parameters: Document, tags: Document) -> Iterator[Document]:
    changed = {key for key, value in parameters.items() if str(stack.parameters.get(key)) != str(value)}
    conditions = {name for name, body in template.get("Conditions", {}).items() if resources.references(body) & changed}
    for name, described in template["Resources"].items():
        before = stack.template_dict["Resources"].get(name)
        if before is None:
            yield _resource("Add", name, described["Type"], [])
            continue
        details = list(_details(before, described, changed | conditions))
        if tags != stack.tags:
            details.append(_detail("Tags", None, "Never", None))
        if details:
            one = _resource("Modify", name, described["Type"], details)
            one["PhysicalResourceId"] = getattr(
                stack.resource_map._parsed_resources.get(name), "physical_resource_id", ""
            )
            yield one
    for name in set(stack.template_dict["Resources"]) - set(template["Resources"]):
        yield _resource("Remove", name, stack.template_dict["Resources"][name]["Type"], [])


def _details(before: Document, after: Document, changed: set[str]) -> Iterator[Document]:
    old, new = before.get("Properties", {}), after.get("Properties", {})
    for key in {**old, **new}:
        cause = sorted(resources.references(new.get(key)) & changed)
        if cause or old.get(key) != new.get(key):
            yield _detail("Properties", key, resources.recreation(after["Type"], key), cause[0] if cause else None)


def _detail(attribute: str, name: str | None, recreation: str, cause: str | None) -> Document:
    target = {"Attribute": attribute, "Name": name, "RequiresRecreation": recreation}
    source = "ParameterReference" if cause else "DirectModification"
    return {"Target": target, "Evaluation": "Static", "ChangeSource": source, "CausingEntity": cause}


def _resource(action: str, name: str, kind: str, details: list[Document]) -> Document:
    found = {one["Target"]["RequiresRecreation"] for one in details}
    one: Document = {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Details": details}
    if action == "Modify":
        one["Replacement"] = "True" if "Always" in found else "Conditional" if "Conditionally" in found else "False"
        one["Scope"] = sorted({detail["Target"]["Attribute"] for detail in details})
    return one


def _forbidden(stack: Stack, change: Document) -> str | None:
    """Why an update may not go on. An imitation that replaced a machine would only hide what a test should see."""
    if change["Action"] == "Modify" and change["Replacement"] != "True":
        return None
    action = {"Add": "Update:Add", "Remove": "Update:Delete", "Modify": "Update:Replace"}[change["Action"]]
    resource = f"LogicalResourceId/{change['LogicalResourceId']}"
    if stack.policy and not allows([_policy(stack.policy)], action, resource):
        return f"Action denied by stack policy: Statement [#1] does not allow [{action}] for resource [{resource}]"
    return f"{action} of {resource} is nothing that this imitation does"


def _policy(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text)
    return found


def _method(handler: Callable[..., ActionResult]) -> Callable[..., ActionResult]:
    return lambda response: handler(response)
