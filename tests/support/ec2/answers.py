"""What moto has no answer for, or a wrong one: sessions, prices, quotas, consoles, keys for a minute.

Each answer takes the call and gives the document that AWS would; it raises a ``Refusal`` where AWS would refuse.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from tests.support.ec2.wire import Call, Refusal

if TYPE_CHECKING:
    from tests.support.ec2.cloud import Cloud

Document = dict[str, Any]
STANDARD = "L-1216C47A"  # vCPUs of running on-demand instances of the standard families
_QUOTAS = {STANDARD: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"}
_HOURLY = {
    "ap-northeast-1": {
        "t3.small": 0.0272,
        "t3.2xlarge": 0.4352,
        "m7g.2xlarge": 0.4216,
        "t3.medium": 0.0544,
        "t3.large": 0.1088,
    },
    "us-east-1": {"t3.2xlarge": 0.3328, "m7g.2xlarge": 0.3264},
}
_GP3 = {"ap-northeast-1": 0.096, "us-east-1": 0.08}


def vcpus(instance_type: str) -> int:
    """How many a type has."""
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


class Answers:
    """Answers by IAM's name of the action."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.sessions: dict[str, Document] = {}
        """Sessions that are open: ``target``, ``token``, ``user``."""

        self.by_action: Mapping[str, Callable[[Call], Document]] = {
            "ssm:StartSession": self._start_session,
            "ssm:TerminateSession": self._terminate_session,
            "ssm:DescribeInstanceInformation": self._describe_instance_information,
            "pricing:GetProducts": self._get_products,
            "servicequotas:GetServiceQuota": self._get_service_quota,
            "ec2-instance-connect:SendSSHPublicKey": self._send_ssh_public_key,
        }

    # Session Manager

    def _reached(self, target: str) -> bool:
        """Whether the machine's agent has signed in at Session Manager."""
        known = {one.model.id: one for one in self._cloud.fleet}
        return target in known and known[target].model.state == "running" and not self._cloud.no_session_manager

    def _start_session(self, call: Call) -> Document:
        target = call.params["Target"]
        if not self._reached(target):
            raise Refusal("TargetNotConnected", f"{target} is not connected.")
        if call.params.get("DocumentName") != "AWS-StartSSHSession":
            raise Refusal("InvalidDocument", "Document with name does not exist.")
        session, token = f"laptop-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
        self.sessions[session] = {"target": target, "token": token, "port": call.params["Parameters"]["portNumber"][0]}
        url = f"wss://ssmmessages.{call.region}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe"
        return {"SessionId": session, "TokenValue": token, "StreamUrl": url}

    def _terminate_session(self, call: Call) -> Document:
        self.sessions.pop(call.params["SessionId"], None)
        return {"SessionId": call.params["SessionId"]}

    def _describe_instance_information(self, call: Call) -> Document:
        online = [one.model.id for one in self._cloud.fleet if self._reached(one.model.id)]
        return {"InstanceInformationList": [{"InstanceId": one, "PingStatus": "Online"} for one in online]}

    def reach(self, session: str, token: str) -> tuple[str, int]:
        """Where the plugin is to connect to for a session: address and port; a ``Refusal`` if there is no such one."""
        found = self.sessions.get(session)
        if found is None or found["token"] != token:
            raise Refusal("InvalidSession", "no such session", 403)
        return self._cloud.fleet[found["target"]].ip, int(found["port"])

    # Access without Session Manager

    def _send_ssh_public_key(self, call: Call) -> Document:
        name = call.params["InstanceId"]
        machine = next((one for one in self._cloud.fleet if one.model.id == name), None)
        if machine is None:
            raise Refusal("EC2InstanceNotFoundException", f"Instance {name} not found", 404)
        if machine.model.state != "running":
            raise Refusal("EC2InstanceStateInvalidException", "Instance is not running")
        if call.params["InstanceOSUser"] == machine.user:
            machine.knows(call.params["SSHPublicKey"], 60)
        return {"RequestId": secrets.token_hex(16), "Success": True}

    # Money and limits

    def _get_products(self, call: Call) -> Document:
        if call.region not in ("us-east-1", "eu-central-1", "ap-south-1"):
            raise Refusal("UnknownEndpoint", "the price list has no endpoint here")
        wanted = {one["Field"]: one["Value"] for one in call.params.get("Filters", [])}
        found = [one for one in _products() if wanted.items() <= one["product"]["attributes"].items()]
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(one) for one in found]}

    def _get_service_quota(self, call: Call) -> Document:
        code = call.params["QuotaCode"]
        if call.params["ServiceCode"] != "ec2" or code not in _QUOTAS:
            raise Refusal("NoSuchResourceException", "The specified resource does not exist.")
        value = float(self._cloud.quota)
        return {"Quota": {"ServiceCode": "ec2", "QuotaCode": code, "QuotaName": _QUOTAS[code], "Value": value}}


def _products() -> list[Document]:
    return [
        *(_machine(region, kind, usd) for region, kinds in _HOURLY.items() for kind, usd in kinds.items()),
        *(_storage(region, usd) for region, usd in _GP3.items()),
    ]


def _machine(region: str, kind: str, usd: float) -> Document:
    attributes = {"instanceType": kind, "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA"}
    more = {"capacitystatus": "Used", "regionCode": region, "vcpu": str(vcpus(kind)), "marketoption": "OnDemand"}
    return _product("Compute Instance", {**attributes, **more, "operation": "RunInstances"}, "Hrs", usd)


def _storage(region: str, usd: float) -> Document:
    attributes = {"volumeApiName": "gp3", "regionCode": region, "volumeType": "General Purpose"}
    return _product("Storage", attributes, "GB-Mo", usd)


def _product(family: str, attributes: Document, unit: str, usd: float) -> Document:
    sku = secrets.token_hex(8).upper()
    price = {"unit": unit, "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    term = {"sku": sku, "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": price}, "termAttributes": {}}
    return {
        "product": {
            "productFamily": family,
            "attributes": {**attributes, "servicecode": "AmazonEC2", "servicename": "Amazon Elastic Compute Cloud"},
            "sku": sku,
        },
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
    }
