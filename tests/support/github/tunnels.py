"""Dev tunnels: where a codespace's relay is, and which of its ports somebody wants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.support.github.errors import Refusal
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.github import GitHub


def answer(github: GitHub, call: Call) -> Answer:
    """One call of the management API, with a token that came with the codespace."""
    found = re.fullmatch(r"/(?:api/v1/)?tunnels/([^/]+)(/ports(?:/(\d+))?)?", call.path)
    if not found:
        raise Refusal(404, "Not Found")
    name, ports, number = found.groups()
    if github.relay.known(call.token) != name:
        raise Refusal(403, "the token is not for this tunnel")
    if not ports:
        return Answer(200, _tunnel(github, name))
    return _ports(github.relay.ports(name), call, int(number) if number else call.body.get("portNumber"))


def _tunnel(github: GitHub, name: str) -> dict[str, Any]:
    endpoint = {
        "id": "endpoint",
        "connectionMode": "TunnelRelay",
        "hostId": "host",
        "clientRelayUri": f"ws://127.0.0.1:{github.relay.port}/{name}",
    }
    return {"tunnelId": name, "clusterId": "127", "domain": "", "ports": [], "endpoints": [endpoint]}


def _ports(known: set[int], call: Call, number: int | None) -> Answer:
    if call.method in ("PUT", "POST") and number:
        known.add(number)
    elif call.method == "DELETE" and number:
        known.discard(number)
        return Answer(200, {})
    if number is None:
        return Answer(200, {"value": [_port(one) for one in sorted(known)]})
    if number not in known:
        raise Refusal(404, "Tunnel port not found")
    return Answer(200, _port(number))


def _port(number: int) -> dict[str, Any]:
    return {"portNumber": number, "protocol": "http", "tags": ["InternalPort"], "accessControl": {"entries": []}}
