"""What AWS's errors mean, as botocore itself raises them."""

from __future__ import annotations

import sys

import pytest
from botocore import exceptions as botocore
from botocore.stub import Stubber

from orch.errors import ConfigError, OrchError, exit_status
from orch.providers.ec2.aws import Aws, explained
from orch.transport import LinkDown
from tests.support import mockaws


def raised(code: str, message: str = "said so", operation: str = "start_instances") -> OrchError:
    """What comes out where AWS refuses."""
    with mockaws.nobody() as aws, Stubber(aws.client("ec2")) as stub:
        stub.add_client_error(operation, code, message)
        with pytest.raises(OrchError) as refused, explained():
            getattr(aws.client("ec2"), operation)(InstanceIds=["i-1"])
        return refused.value


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired", "AuthFailure", "SignatureDoesNotMatch"])
def test_who_cannot_be_told_apart_is_not_authorised(code: str) -> None:
    error = raised(code)
    assert exit_status(error) == 4
    assert error.hint


def test_a_denied_action_is_named_with_the_line_that_allows_it() -> None:
    error = raised("UnauthorizedOperation", "You are not authorized to perform this operation.")
    assert exit_status(error) == 4
    assert "ec2:StartInstances" in error.message
    assert '"Action": "ec2:StartInstances"' in error.hint
    assert "docs/aws.md" in error.hint


def test_a_clock_that_is_wrong_is_told_of() -> None:
    assert "date -u" in raised("SignatureDoesNotMatch", "Signature expired: 2026...").hint


def test_a_used_up_quota_and_a_full_zone_say_what_to_do() -> None:
    assert "quotas" in raised("VcpuLimitExceeded").hint
    assert "instance_type" in raised("InsufficientInstanceCapacity").hint


def test_what_is_throttled_may_succeed_later() -> None:
    assert isinstance(raised("RequestLimitExceeded"), LinkDown)


def test_anything_else_is_said_in_awss_words() -> None:
    error = raised("IncorrectState", "The instance is not in a state from which it can be started.")
    assert "ec2:StartInstances" in error.message
    assert "not in a state" in error.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (botocore.NoCredentialsError(), "not_authorised"),
        (botocore.TokenRetrievalError(provider="sso", error_msg="expired"), "not_authorised"),
        (botocore.ProfileNotFound(profile="work"), "usage"),
        (botocore.EndpointConnectionError(endpoint_url="https://ec2.nowhere-1.amazonaws.com"), "host"),
        (botocore.ReadTimeoutError(endpoint_url="https://ec2"), "host"),
    ],
)
def test_what_keeps_us_from_aws_at_all(error: Exception, kind: str) -> None:
    with pytest.raises(OrchError) as meant, explained():
        raise error
    assert meant.value.kind == kind
    assert meant.value.hint


def test_a_mistake_of_ours_stays_one() -> None:
    with pytest.raises(botocore.ParamValidationError), explained():
        raise botocore.ParamValidationError(report="no such parameter")


def test_without_a_region_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/config")
    with pytest.raises(ConfigError, match="no AWS region"):
        Aws()


def test_without_boto3_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError) as missing:
        Aws("ap-northeast-1")
    assert "orch-cloud[ec2]" in missing.value.hint
