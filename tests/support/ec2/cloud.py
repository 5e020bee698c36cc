"""An account at AWS, on a loopback port of this process.

Invariants
- Every request that is signed is recorded under IAM's name of its action, whoever made it and whatever became of it:
  the laptop's, each machine's, and what CloudFormation asks for on the laptop's behalf.
- A machine may do what the policy of its role allows, and nothing else.
- moto's state is the process's: there is one cloud at a time, and it begins empty.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest import mock

import boto3
from botocore.config import Config
from moto.core import base_backend, model_instances
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.support.ec2 import wire
from tests.support.ec2.answers import Answers, vcpus
from tests.support.ec2.fleet import Fleet
from tests.support.ec2.instance import Instance
from tests.support.ec2.machineside import MachineSide
from tests.support.ec2.role import allows, policies_of, resource_of
from tests.support.ec2.stacks import REGION, Stacks
from tests.support.ec2.wire import Call, Refusal

_LAPTOP, _ADMIN, _ROLE = "AKIALAPTOP", "AKIAADMIN", "ASIAROLE"


_MOTO = DomainDispatcherApplication(create_backend_app)
"""Its state is the process's, so there is one, and what it has read of AWS's interfaces is read once."""


_REGIONS = (REGION, "us-east-1", "eu-central-1", "ap-east-1")
"""Few, for a sweep asks each of them."""


class _Quiet(MotoRequestHandler):
    def log(self, *words: Any) -> None:
        pass


class Cloud:
    """The account; ``close`` ends its machines and leaves nothing.

    ``quota``: vCPUs of all machines that run together. ``full``: zones without room.
    ``disabled``: regions that the account has not enabled. ``no_session_manager``: no machine
    reaches it. ``address``: with which the world sees every laptop. ``broken``: programs of machines that are made from
    now on, and the lines of ``sh`` that they are.
    """

    _one: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        assert self._one.acquire(blocking=False), "there is one cloud at a time"
        base_backend.BackendDict.reset()
        model_instances.reset_model_data()
        self.quota, self.no_session_manager = 64, False
        self.full: set[str] = set()
        self.address = "203.0.113.7"
        self.disabled: set[str] = set()
        self.broken: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        """Who did what, in order: (``laptop``, ``ec2:RunInstances``); the machines under their ids."""

        self._allowed: set[str] | None = None
        self._denied: set[str] = set()
        self._faults: list[tuple[str, Refusal]] = []
        self._trouble = ""
        self._lock = threading.RLock()
        self._inside = MachineSide(self)
        self.fleet = Fleet(self._inside.prepare, self._lock)
        self.stacks = Stacks(self.fleet, self._lock, self._on_behalf)
        self.answers = Answers(self)
        self.fleet.refuse = self._refuse
        self._patches = ExitStack()
        self._patches.enter_context(self.fleet.in_moto())
        self._patches.enter_context(self.stacks.in_moto())
        few = [one for one in RegionsAndZonesBackend.regions if one.name in _REGIONS]
        self._patches.enter_context(mock.patch.object(RegionsAndZonesBackend, "regions", few))
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()
        self._connect()

    def _connect(self) -> None:
        """The way out that the default network of a real account has, and moto's lacks."""
        ec2 = self.client("ec2")
        [network] = ec2.describe_vpcs()["Vpcs"]
        [table] = ec2.describe_route_tables()["RouteTables"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network["VpcId"])
        ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)

    def close(self) -> None:
        """End everything in it."""
        self.stacks.close()
        self.fleet.close()
        self._inside.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._patches.close()
        self._one.release()

    # For tests

    def client(self, service: str, region: str = REGION, key: str = _ADMIN) -> Any:
        """boto3's client for the account's owner: may do all, is not recorded, hears no fault."""
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(  # type: ignore[call-overload]
            service, region, endpoint_url=self.url, aws_access_key_id=key, aws_secret_access_key="-", config=config
        )

    def as_machine(self, machine: Instance, service: str) -> Any:
        """boto3's client with the rights of a machine's role."""
        return self.client(service, key=f"{_ROLE}{machine.model.id}")

    def environment(self) -> dict[str, str]:
        """What a laptop's environment has to say."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _LAPTOP,
            "AWS_SECRET_ACCESS_KEY": "-",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ORCH_WHO_AM_I": f"{self.url}/who-am-i",
        }

    def called(self, who: str = "laptop") -> set[str]:
        """Every action that somebody asked for."""
        return {action for one, action in self.calls if one == who}

    def forget(self) -> None:
        """Forget who did what so far."""
        self.calls.clear()

    def allow_only(self, actions: Iterable[str]) -> None:
        """The laptop's policy allows these; until then it allows all."""
        self._allowed = set(actions)

    def deny(self, *actions: str) -> None:
        """The laptop's policy does not allow these."""
        self._denied.update(actions)

    def allow(self, *actions: str) -> None:
        """It allows these again."""
        self._denied.difference_update(actions)

    def fail(self, action: str, code: str, message: str, times: int = 1, status: int = 400) -> None:
        """The next calls of an action are refused; * is every action."""
        self._faults += [(action, Refusal(code, message, status))] * times

    def throttle(self, action: str, times: int) -> None:
        """The next calls of an action are too many."""
        code = "RequestLimitExceeded" if action.startswith("ec2:") else "ThrottlingException"
        self.fail(action, code, "Rate exceeded", times)

    def expire(self) -> None:
        """From now on the laptop's session has expired."""
        self._trouble = "expired"

    def skew(self) -> None:
        """From now on the laptop's clock is wrong."""
        self._trouble = "skewed"

    # The server

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        call = wire.call(environ)
        if call is None:
            return self._unsigned(environ, start)
        try:
            self._look_at(call)
            answer = self.answers.by_action.get(call.action)
            if answer is not None:
                with self._lock:
                    said = answer(call)
                return _say(start, (200, "application/x-amz-json-1.1", wire.document(said)))
            with self._lock:
                return list(_MOTO(environ, start))
        except Refusal as error:
            return _say(start, wire.refusal(call.service, error))

    def _unsigned(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/who-am-i":
            return _say(start, (200, "text/plain", f"{self.address}\n".encode()))
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        try:
            if path == "/session":
                said: Any = self.answers.reach(asked["session"], asked["token"])
            else:
                said = self._inside.asked(path, asked)
        except Refusal as error:
            return _say(start, (error.status, "text/plain", str(error).encode()))
        return _say(start, (200, "application/json", wire.document(said)))

    # Who may do what

    def _look_at(self, call: Call) -> None:
        if call.key.startswith(_ROLE):
            name = call.key.removeprefix(_ROLE)
            self.calls.append((name, call.action))
            resource = resource_of(call.action, call.region, call.params)
            if not allows(self._policies(name), call.action, resource):
                raise wire.denied(f"{call.action} on resource: {resource}", f"assumed-role/{name}")
        elif call.key == _LAPTOP:
            trouble = "unknown" if call.region in self.disabled else self._trouble
            if trouble:
                self.calls.append(("laptop", call.action))
                raise wire.not_let_in(call.service, trouble)
            self._on_behalf(call.action)

    def _policies(self, name: str) -> list[dict[str, Any]]:
        model = self.fleet[name].model
        with self._lock:
            found = model.ec2_backend.iam_instance_profile_associations.get(name)
            return policies_of(found.iam_instance_profile) if found else []

    def _on_behalf(self, action: str) -> None:
        """The laptop, or CloudFormation for it, asks for something."""
        self.calls.append(("laptop", action))
        if action in self._denied or (self._allowed is not None and action not in self._allowed):
            raise wire.denied(action, "user/laptop")
        for one in self._faults:
            if one[0] in ("*", action):
                self._faults.remove(one)
                raise one[1]

    def _refuse(self, action: str, model: Any) -> None:
        """EC2 has no room for a machine, or the account no quota."""
        zone = model.availability_zone
        if zone in self.full:
            says = (
                f"We currently do not have sufficient {model.instance_type} capacity in the Availability Zone you "
                f"requested ({zone}). Our system will be working on provisioning additional capacity."
            )
            raise Refusal("InsufficientInstanceCapacity", says, 500)
        used = sum(vcpus(one.model.instance_type) for one in self.fleet if one.model.state in ("running", "pending"))
        if used + vcpus(model.instance_type) > self.quota:
            says = (
                f"You have requested more vCPU capacity than your current vCPU limit of {self.quota} allows for the "
                "instance bucket that the specified instance type belongs to."
            )
            raise Refusal("VcpuLimitExceeded", says)


def _say(start: Callable[..., Any], answer: wire.Answer) -> Iterable[bytes]:
    status, kind, body = answer
    start(f"{status} -", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
