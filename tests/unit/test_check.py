"""What no host could run: the snapshot that a specification names, and its secrets."""

from __future__ import annotations

from typing import Any

import pytest

from orch_agent import wire
from orch_agent.check import check_code, check_spec
from orch_agent.model import JobSpec, Refusal

COMMIT = "0123456789abcdef" * 2 + "01234567"
CODE: dict[str, Any] = {"store": "lros-0123456789ab", "commit": COMMIT, "share": ["data/raw", ".venv"]}


def refused(**terms: Any) -> str:
    with pytest.raises(Refusal) as caught:
        check_spec(JobSpec("job", "true", **terms))
    assert caught.value.kind == "usage"
    return caught.value.message


def test_a_snapshot_and_secrets() -> None:
    spec = JobSpec("job", "true", code={**CODE, "branch": "main", "changed": 3}, secrets={"A": "A", "B": "OTHER"})
    assert check_spec(spec) == spec
    assert wire.spec_from_json(wire.spec_to_json(spec)) == spec
    assert wire.spec_to_json(JobSpec("job", "true")) == '{"command":"true","name":"job"}'


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("store", value) for value in (None, "", "a/b", "..", ".git", "-x", "a b", "x" * 101, 5)),
        *(("commit", value) for value in (None, "HEAD", COMMIT[1:], COMMIT + "0", COMMIT.upper(), "--all" + "0" * 35)),
        *(("share", value) for value in ("data", [5], ["/etc"], ["a/../../b"], ["."], [".git"], ["a/.Git"], ["a\0b"])),
    ],
)
def test_a_snapshot_that_is_none(key: str, value: object) -> None:
    with pytest.raises(Refusal):
        check_code({**CODE, key: value})
    refused(code={**CODE, key: value})


@pytest.mark.parametrize(
    "secrets", [{"1A": "A"}, {"A": "a b"}, {"A": ""}, {"ORCH_JOB": "A"}, {"A B": "A"}, {"A": "../x"}, {"É": "A"}]
)
def test_a_secret_that_is_none(secrets: dict[str, str]) -> None:
    refused(secrets=secrets)


def test_a_variable_is_set_once() -> None:
    assert "by --env and by --secret" in refused(env={"A": "x"}, secrets={"A": "A"})


def test_names_only_as_texts() -> None:
    with pytest.raises(Refusal):
        wire.spec_from({"name": "job", "command": "true", "secrets": {"A": 5}})
    with pytest.raises(Refusal):
        wire.spec_from({"name": "job", "command": "true", "code": []})
