"""What the role of a machine allows: the policies that moto holds for it, evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any


def allows(policies: Iterable[Mapping[str, Any]], action: str, resource: str) -> bool:
    """Whether policy documents allow an action on a resource's ARN; a denial counts more than anything."""
    effects = [
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy["Statement"])
        if _matches(statement["Action"], action, re.I) and _matches(statement["Resource"], resource)
    ]
    return "Allow" in effects and "Deny" not in effects


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(patterns: Any, text: str, flags: int = 0) -> bool:
    return any(re.fullmatch(_pattern(one), text, flags) for one in _listed(patterns))


def _pattern(one: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in one)


def policies_of(profile: Any) -> list[dict[str, Any]]:
    """The inline policies of the role in an instance profile of moto's."""
    texts = [text for role in profile.roles for text in role.policies.values()]
    return [json.loads(text) if isinstance(text, str) else text for text in texts]


_SSM = re.compile(r"ssm:(Get|Put|Delete)Parameter")


def resource_of(action: str, region: str, params: Mapping[str, Any]) -> str:
    """The ARN of what a machine's call is about; * where the action knows none."""
    account = f"{region}:123456789012"
    if _SSM.match(action):
        name = params.get("Name") or params.get("Path") or params.get("Names", ["?"])[0]
        return f"arn:aws:ssm:{account}:parameter/{str(name).lstrip('/')}"
    if action.startswith("logs:") and "logGroupName" in params:
        group = f"arn:aws:logs:{account}:log-group:{params['logGroupName']}"
        return f"{group}:log-stream:{params.get('logStreamName', '')}"
    return "*"
