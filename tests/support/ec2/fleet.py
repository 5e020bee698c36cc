"""The machines behind moto's instances: what the API says of an instance, its machine does, and the other way round.

Invariants
- An instance that moto makes, starts, stops or terminates passes through ``pending``, ``stopping`` or
  ``shutting-down`` while its machine boots, stops or goes; only then it is what moto said at once.
- An instance that stops keeps its disk and loses its public address; one that is terminated loses both.
- The disk of a machine is there as long as its instance is not terminated; ``close`` leaves nothing.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from moto.core.responses import ActionResult
from moto.ec2.models import elastic_network_interfaces, instances
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance as Model
from moto.ec2.models.instances import InstanceBackend, InstanceState, StateReason
from moto.ec2.responses.general import General

from tests.support.ec2.instance import Instance
from tests.support.ec2.loopback import address
from tests.support.ec2.wire import Refusal

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_BY_ITSELF = "Client.InstanceInitiatedShutdown"
_BY_USER = "Client.UserInitiatedShutdown"


class Fleet:
    """Every instance of the account; ``inside`` is asked to put its programs on a machine that is new."""

    def __init__(self, inside: Callable[[Instance], None], lock: Any) -> None:
        self._inside = inside
        self._lock = lock
        self._instances: dict[str, Instance] = {}
        self._threads: list[threading.Thread] = []
        self.refuse: Callable[[str, Any], None] = lambda action, model: None
        self.slow = 0.0
        """Seconds that each change of state takes at least."""

    def __getitem__(self, name: str) -> Instance:
        return self._instances[name]

    def __iter__(self) -> Iterator[Instance]:
        return iter(list(self._instances.values()))

    def living(self) -> list[Instance]:
        """Those that are not terminated."""
        return [one for one in self if one.model.state != "terminated"]

    def close(self) -> None:
        """Away with all of them."""
        for one in self:
            one.cut = True
        for thread in self._threads:
            thread.join()
        for one in self:
            one.close()

    @contextmanager
    def in_moto(self) -> Iterator[None]:
        """Meanwhile moto's instances are ours."""
        with ExitStack() as stack:
            for name in ("start", "stop", "terminate"):
                original = getattr(Model, name)
                ours = getattr(self, f"_{name}")
                stack.enter_context(mock.patch.object(Model, name, _method(original, ours)))
            run = InstanceBackend.run_instances
            stack.enter_context(mock.patch.object(InstanceBackend, "run_instances", _method(run, self._run)))
            stack.enter_context(mock.patch.object(elastic_network_interfaces, "random_public_ip", address))
            inner = property(lambda model: model.public_ip_address or model.nics[0].private_ip_address)
            for name in ("private_ip", "private_ip_address"):
                stack.enter_context(mock.patch.object(Model, name, inner))
            options = property(lambda model: _processors(model))
            stack.enter_context(mock.patch.object(Model, "cpu_options", options, create=True))
            stack.enter_context(mock.patch.object(General, "get_console_output", _method(None, self._console)))
            reboot = _method(Model.reboot, self._reboot)
            stack.enter_context(mock.patch.object(Model, "reboot", reboot))
            yield

    # What the API asks for

    def _run(self, original: Callable[..., Any], backend: Any, *words: Any, **options: Any) -> Any:
        reservation = original(backend, *words, **options)
        for model in reservation.instances:
            try:
                self.refuse("ec2:RunInstances", model)
            except Refusal:
                model.teardown_defaults()
                del backend.reservations[reservation.id]
                raise
        for model in reservation.instances:
            one = self._instances[model.id] = Instance(model)
            _become(model, "pending")
            self._later(one, lambda one=one: self._boot(one))
        return reservation

    def _start(self, original: Callable[..., InstanceState], model: Model) -> InstanceState:
        if model.state in ("running", "pending"):
            return InstanceState(model.state, model.state_code)
        if model.state != "stopped":
            raise _wrong_state(model, "started")
        self.refuse("ec2:StartInstances", model)
        before = original(model)
        model.launch_time = instances.utcnow()
        _become(model, "pending")
        self._later(self[model.id], lambda: self._boot(self[model.id]))
        return before

    def _stop(self, original: Callable[..., InstanceState], model: Model) -> InstanceState:
        if model.state in ("stopped", "stopping"):
            return InstanceState(model.state, model.state_code)
        if model.state not in ("running", "pending"):
            raise _wrong_state(model, "stopped")
        return self._end(original, model, "stopping", "stopped")

    def _terminate(self, original: Callable[..., InstanceState], model: Model) -> InstanceState:
        if model.state in ("terminated", "shutting-down"):
            return InstanceState(model.state, model.state_code)
        return self._end(original, model, "shutting-down", "terminated")

    def _end(self, original: Callable[..., InstanceState], model: Model, meanwhile: str, state: str) -> InstanceState:
        before = InstanceState(model.state, model.state_code)
        original(model)
        model._reason = f"User initiated ({time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} GMT)"
        model.state_reason = StateReason(f"{_BY_USER}: User initiated shutdown", _BY_USER)
        _become(model, meanwhile)
        one = self[model.id]
        one.cut = True
        self._later(one, lambda: self._off(one, state))
        return before

    def _reboot(self, original: Callable[..., None], model: Model) -> None:
        one = self[model.id]
        one.cut = True

        def again() -> None:
            one.shut_down()
            one.boot()

        self._later(one, again)

    def _console(self, original: None, response: General) -> ActionResult:
        model = response.ec2_backend.get_instance(response._get_param("InstanceId"))
        text = self[model.id].on_console()[-65536:]
        said = {"InstanceId": model.id, "Timestamp": instances.utcnow(), "Output": base64.b64encode(text).decode()}
        return ActionResult(said)

    # What a machine does by itself

    def powered_off(self, one: Instance) -> None:
        """``systemctl poweroff`` was called in a machine: InstanceInitiatedShutdownBehavior says what that is."""
        with self._lock:
            if one.model.state != "running":
                return
            ends = one.model.instance_initiated_shutdown_behavior == "terminate"
            if ends:
                one.model.terminate()
            else:
                one.model.stop()
            one.model._reason = ""
            one.model.state_reason = StateReason(f"{_BY_ITSELF}: Instance initiated shutdown", _BY_ITSELF)

    # What takes its time

    def _later(self, one: Instance, change: Callable[[], None]) -> None:
        def run() -> None:
            with one.changing:
                time.sleep(self.slow)
                change()

        thread = threading.Thread(target=run, name=f"{one.model.id} changes", daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _boot(self, one: Instance) -> None:
        if one.model.state != "pending":
            return
        if not one.prepared:
            self._inside(one)
        one.boot()
        with self._lock:
            if one.model.state == "pending":
                _become(one.model, "running")

    def _off(self, one: Instance, state: str) -> None:
        if state == "terminated":
            one.close()
        else:
            one.shut_down()
        with self._lock:
            _become(one.model, state)


def _processors(model: Model) -> dict[str, int]:
    """What EC2 tells of an instance, and moto does not."""
    known = INSTANCE_TYPES[model.instance_type]["VCpuInfo"]
    return {"CoreCount": known["DefaultCores"], "ThreadsPerCore": known["DefaultThreadsPerCore"]}


def _method(original: Callable[..., Any] | None, ours: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *words, **options: ours(original, self, *words, **options)


def _become(model: Model, state: str) -> None:
    model._state.name, model._state.code = state, _CODES[state]


def _wrong_state(model: Model, what: str) -> Refusal:
    return Refusal(
        "IncorrectInstanceState", f"The instance '{model.id}' is not in a state from which it can be {what}."
    )
