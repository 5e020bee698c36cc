"""The laptop's policy against what the provider's source asks for, both ways, and against its own rules."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import orch.providers.ec2
from orch.providers.ec2 import policy
from tests.support import mockaws
from tests.support.ec2.resources import ACTIONS

SERVICES = {
    **{
        name: name for name in ("cloudformation", "ec2", "ec2-instance-connect", "iam", "logs", "pricing", "ssm", "sts")
    },
    "service-quotas": "servicequotas",
}
DOCS = Path(__file__).parents[2] / "docs" / "aws.md"
LARGEST = 6144
"""Characters of a managed policy, blanks not counted (IAM's quotas)."""


def allowed() -> set[str]:
    return {action for statement in policy.STATEMENTS for action in statement["Action"]}


@functools.cache
def operations() -> dict[str, set[str]]:
    """What boto3's methods are called, and by which actions IAM knows them."""
    found: dict[str, set[str]] = {}
    with mockaws.nobody() as aws:
        for service, prefix in SERVICES.items():
            for method, operation in aws.client(service).meta.method_to_api_mapping.items():
                found.setdefault(method, set()).add(f"{prefix}:{operation}")
    return found


def asked() -> Iterator[tuple[str, set[str]]]:
    """The operations in the provider's source, called or named; each may be one of several services'."""
    for path in Path(orch.providers.ec2.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr
            named = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
            word = called or named or ""
            if "_" in word and word in operations():
                yield f"{path.name}: {word}", operations()[word]


def by_cloudformation() -> set[str]:
    return {action for kind in ACTIONS.values() for actions in kind.values() for action in actions}


def test_nothing_that_is_asked_for_is_missing() -> None:
    missing = [where for where, actions in asked() if not actions & allowed()]
    assert missing == []
    assert by_cloudformation() - allowed() == set()


def test_nothing_is_too_much() -> None:
    needed = {action for _, actions in asked() for action in actions} | by_cloudformation()
    assert allowed() - needed - set(policy.BY_CLOUDFORMATION) == set()
    assert set(policy.BY_CLOUDFORMATION) <= allowed()


def test_it_fits_into_a_managed_policy() -> None:
    assert len(policy.document().replace(" ", "").replace("\n", "")) < LARGEST


def test_what_changes_anything_is_bound_to_what_is_ours() -> None:
    for statement in policy.STATEMENTS:
        words = " ".join(statement["Resource"])
        bound = "orch" in words or "Condition" in statement
        assert not any("*" in action for action in statement["Action"])
        if statement["Sid"] == "Look":
            verbs = {action.partition(":")[2] for action in statement["Action"]}
            assert all(verb.startswith(("Describe", "List", "Get")) for verb in verbs)
        elif not bound:
            assert statement["Sid"] in _HARMLESS
    passing = [one for one in policy.STATEMENTS if "iam:PassRole" in one["Action"]]
    assert [(one["Resource"], one["Condition"]) for one in passing] == [
        (["arn:aws:iam::*:role/orch/*"], {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})
    ]


_HARMLESS = {
    "MakeMachineFrom": "images, subnets and interfaces that a machine of ours is made from or in",
    "MakeGroupIn": "the network that a group of ours is made in",
    "SessionBySsh": "the document by which a session carries ssh; to whom, another statement says",
    "EndOwnSession": "the caller's own sessions",
    "Image": "Amazon's public parameters",
    "KeyPairs": "where CloudFormation keeps the private halves of key pairs, by their ids",
}
"""What neither tag nor name can bind, and why that does no harm."""


def test_each_statement_has_a_name_of_its_own() -> None:
    sids = [statement["Sid"] for statement in policy.STATEMENTS]
    assert len(set(sids)) == len(sids) and set(_HARMLESS) <= set(sids)
    assert all(sid.isalnum() for sid in sids)


def test_a_denied_action_is_told_with_its_line() -> None:
    assert policy.action("StartInstances") == "ec2:StartInstances"
    hint = policy.statement_for("iam:PassRole")
    line = json.loads(hint.splitlines()[0])
    assert line["Action"] == "iam:PassRole" and "Condition" in line and "statement PassRole" in hint
    assert policy.statement_for("ec2:CreateVpc") == "docs/aws.md has the policy that orch needs"


def test_the_documentation_has_it() -> None:
    """Renew it: tools/policy"""
    text = DOCS.read_text()
    before, _, rest = text.partition("<!-- policy -->\n```json\n")
    shown, _, after = rest.partition("\n```\n<!-- /policy -->")
    assert before and after
    assert shown == policy.document()
