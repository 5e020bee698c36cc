"""CloudFormation, in which a stack takes its time: moto makes, changes and deletes resources; when, is said here.

Invariants
- Resources come one after the other, in the order of their dependencies, each with its events, and go the other way.
- An instance with a CreationPolicy is complete when its machine has signalled; a signal of failure, or a refusal of
  what CloudFormation asks for on the caller's behalf, fails the resource, and rolls the stack back unless told not to.
- A stack that is deleted is found by its id, and no more by its name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any
from unittest import mock

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack, cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance as Model
from moto.ssm.models import Parameter

from tests.support.ec2 import history, resources
from tests.support.ec2.changes import Changes
from tests.support.ec2.fleet import Fleet
from tests.support.ec2.wire import Refusal

REGION, ACCOUNT = "ap-northeast-1", DEFAULT_ACCOUNT_ID
INSTANCE = "AWS::EC2::Instance"
_FAILED = "Received 1 FAILURE signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement"
_LATE = "Failed to receive 1 resource signal(s) within the specified duration"


class Failed(Exception):
    """A resource cannot be made or deleted: which, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name, self.why = name, why


class Stacks:
    """Every stack. ``may`` raises a ``Refusal`` for an action that the caller is not allowed; ``step`` is how long a
    resource takes, and ``patience`` how long a signal may, in seconds."""

    def __init__(self, fleet: Fleet, lock: Any, may: Callable[[str], None]) -> None:
        self._fleet, self._lock, self._may = fleet, lock, may
        self._threads: list[threading.Thread] = []
        self._signals: dict[tuple[str, str], bool] = {}
        self._changed = threading.Condition()
        self._changes = Changes(self)
        self._closed = False
        self.step = 0.02
        self.patience = 60.0

    @contextmanager
    def in_moto(self) -> Iterator[None]:
        """Meanwhile moto's stacks are ours."""
        with ExitStack() as stack:

            def replace(where: Any, name: str, what: Any) -> None:
                stack.enter_context(mock.patch.object(where, name, what))

            original = CloudFormationResponse.create_stack
            replace(CloudFormationResponse, "create_stack", lambda response: self._create(original, response))
            replace(Stack, "create_resources", lambda one: None)
            replace(CloudFormationBackend, "delete_stack", lambda backend, name: self._delete(backend, name))
            replace(Model, "create_from_cloudformation_json", classmethod(resources.create_instance))
            made = partial(resources.create_parameter, Parameter.create_from_cloudformation_json)
            replace(Parameter, "create_from_cloudformation_json", classmethod(made))
            stack.enter_context(history.in_moto())
            stack.enter_context(self._changes.in_moto())
            yield

    def close(self) -> None:
        """End whatever is still in progress."""
        self._closed = True
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def event(self, stack: Stack, name: str, status: str, why: str | None = None) -> None:
        """Something has happened to a resource, or to the stack itself if that is its name."""
        with self._lock:
            history.add(stack, name, status, why)

    def stuck(self, name: str, status: str, why: str) -> None:
        """A stack has come to a state from which AWS does not help it on."""
        [stack] = [one for one in cloudformation_backends[ACCOUNT][REGION].stacks.values() if one.name == name]
        self.event(stack, name, status, why)

    def signal(self, stack: str, resource: str, success: bool) -> None:
        """``cfn-signal`` was called on a machine."""
        with self._changed:
            self._signals[stack, resource] = success
            self._changed.notify_all()

    # Creation

    def _create(self, original: Callable[..., ActionResult], response: CloudFormationResponse) -> ActionResult:
        answer = original(response)
        stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
        stack.status = "CREATE_IN_PROGRESS"
        given = response._get_param("OnFailure")
        stack.on_failure = given or ("DO_NOTHING" if response._get_bool_param("DisableRollback") else "ROLLBACK")
        stack.cancelled = threading.Event()
        self.later(stack, lambda: self._make(stack, response.cloudformation_backend))
        return answer

    def later(self, stack: Stack, work: Callable[[], None]) -> None:
        """Do something to a stack in the background."""
        before = getattr(stack, "worker", None)

        def run() -> None:
            if before is not None:
                before.join()
            work()

        stack.worker = threading.Thread(target=run, name=f"{stack.name} changes", daemon=True)
        self._threads.append(stack.worker)
        stack.worker.start()

    def _make(self, stack: Stack, backend: CloudFormationBackend) -> None:
        order = resources.in_order(stack.template_dict["Resources"])
        try:
            for name in order:
                self._make_one(stack, name)
        except Failed as error:
            if self._closed or stack.cancelled.is_set():
                return
            self.event(stack, error.name, "CREATE_FAILED", error.why)
            self._give_up(stack, backend, error.name)
            return
        stack.output_map, stack.was_made = stack._create_output_map(), True
        self.event(stack, stack.name, "CREATE_COMPLETE")

    def _make_one(self, stack: Stack, name: str) -> None:
        description = stack.template_dict["Resources"][name]
        if not resources.wanted(stack, description):
            return
        self._pause(stack, name)
        self.event(stack, name, "CREATE_IN_PROGRESS")
        try:
            for action in resources.ACTIONS[description["Type"]]["create"]:
                self._may(action)
            with self._lock:
                made = stack.resource_map[name]
                resources.add_tags(stack, name, made)
        except Refusal as error:
            raise Failed(name, f"{error.message} (Service: Ec2, Status Code: {error.status}, {error.code})") from None
        except Exception as error:
            raise Failed(name, f"{getattr(error, 'message', '') or error}") from error
        self.event(stack, name, "CREATE_IN_PROGRESS", "Resource creation Initiated")
        if description["Type"] == INSTANCE:
            self._await(stack, name, lambda: made.state == "running", _LATE)
            if "CreationPolicy" in description:
                self._await(stack, name, lambda: (stack.name, name) in self._signals, _LATE)
                if not self._signals.pop((stack.name, name)):
                    raise Failed(name, _FAILED)
        self.event(stack, name, "CREATE_COMPLETE")

    def _pause(self, stack: Stack, name: str) -> None:
        time.sleep(self.step)
        if self._closed or stack.cancelled.is_set():
            raise Failed(name, "Resource creation cancelled")

    def _await(self, stack: Stack, name: str, met: Callable[[], bool], late: str) -> None:
        until = time.monotonic() + self.patience
        with self._changed:
            while not met():
                if self._closed or stack.cancelled.is_set():
                    raise Failed(name, "Resource creation cancelled")
                if time.monotonic() > until:
                    raise Failed(name, late)
                self._changed.wait(0.02)

    def _give_up(self, stack: Stack, backend: CloudFormationBackend, name: str) -> None:
        why = f"The following resource(s) failed to create: [{name}]. "
        if stack.on_failure == "DO_NOTHING":
            self.event(stack, stack.name, "CREATE_FAILED", why)
        elif stack.on_failure == "DELETE":
            self._remove(stack, backend)
        else:
            self.event(stack, stack.name, "ROLLBACK_IN_PROGRESS", f"{why}Rollback requested by user.")
            done = self._unmake(stack)
            self.event(stack, stack.name, "ROLLBACK_COMPLETE" if done else "ROLLBACK_FAILED")

    # Deletion

    def _delete(self, backend: CloudFormationBackend, name: str) -> None:
        with suppress(ValidationError):
            stack = backend.get_stack(name)
            if stack.enable_termination_protection:
                says = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                raise Refusal("ValidationError", says)
            if stack.status not in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
                stack.cancelled.set()
                self.event(stack, stack.name, "DELETE_IN_PROGRESS", "User Initiated")
                self.later(stack, lambda: self._remove(stack, backend))

    def _remove(self, stack: Stack, backend: CloudFormationBackend) -> None:
        self.event(stack, stack.name, "DELETE_IN_PROGRESS", "User Initiated")
        if not self._unmake(stack):
            self.event(stack, stack.name, "DELETE_FAILED", "The following resource(s) failed to delete")
            return
        with self._lock:
            backend.stacks.pop(stack.stack_id)
            backend.deleted_stacks[stack.stack_id] = stack
        self.event(stack, stack.name, "DELETE_COMPLETE")

    def _unmake(self, stack: Stack) -> bool:
        """Delete what there is of a stack; whether all of it went."""
        done = True
        for name in reversed(resources.in_order(stack.template_dict["Resources"])):
            resource = stack.resource_map._parsed_resources.get(name)
            if resource is not None and not self._closed:
                try:
                    self._unmake_one(stack, name, resource)
                except Refusal as error:
                    self.event(stack, name, "DELETE_FAILED", f"{error.message} ({error.code})")
                    done = False
        return done

    def _unmake_one(self, stack: Stack, name: str, resource: Any) -> None:
        description = stack.template_dict["Resources"][name]
        time.sleep(self.step)
        if description.get("DeletionPolicy") == "Retain":
            self.event(stack, name, "DELETE_SKIPPED")
            return
        self.event(stack, name, "DELETE_IN_PROGRESS")
        for action in resources.ACTIONS[description["Type"]]["delete"]:
            self._may(action)
        with self._lock:
            resources.delete(stack, resource, description)
        while description["Type"] == INSTANCE and resource.state != "terminated":
            time.sleep(0.01)
        self.event(stack, name, "DELETE_COMPLETE")
        with self._lock:
            stack.resource_map._parsed_resources.pop(name)
