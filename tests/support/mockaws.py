"""AWS imitated inside this process, where no program that we start has to see it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from botocore.stub import Stubber

from orch.providers.ec2.aws import Aws

REGION = "ap-northeast-1"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextmanager
def account(region: str = REGION) -> Iterator[Aws]:
    """An account with nothing in it but what moto puts into every one."""
    from moto import mock_aws

    with patch.dict(os.environ, _ENVIRONMENT), mock_aws():
        yield Aws(region)


def empty() -> None:
    """Forget all that is in the account; who made it keeps the clients, which are slow to make."""
    from moto import mock_aws

    mock_aws().reset()  # type: ignore[no-untyped-call,unused-ignore]


@contextmanager
def stubbed(aws: Aws, service: str, region: str | None = None) -> Iterator[Stubber]:
    """botocore's Stubber for a service, which must have been asked all that it had answers for."""
    with Stubber(aws.client(service, region)) as stub:
        yield stub
        stub.assert_no_pending_responses()


@contextmanager
def nobody(region: str | None = REGION) -> Iterator[Aws]:
    """Credentials, and no AWS behind them: for botocore's Stubber."""
    with patch.dict(os.environ, _ENVIRONMENT):
        yield Aws(region)
