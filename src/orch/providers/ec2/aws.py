"""The way to AWS: boto3's own, with its profiles, environment and endpoints; and what its errors mean.

boto3 costs a fifth of a second to import, so nothing imports it before there is something to ask. What is throttled or
fails on the way is tried again by botocore, with jitter; what comes out in the end is one of our errors, told once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orch.errors import ConfigError, OrchError
from orch.transport import LinkDown

_TRIES, _CONNECT, _ANSWER = 6, 5.0, 30.0
_HASTY = 2, 3.0, 6.0  # where somebody waits who has other hosts to show
_INSTALL = "pip install 'orch-cloud[ec2]'    # with uv: uv tool install 'orch-cloud[ec2]'"


class Aws:
    """One account in one region. Clients are made when they are first asked for, and may be used by several threads."""

    def __init__(self, region: str | None = None, profile: str | None = None, hasty: bool = False) -> None:
        # What AWS's other tools read, and boto3 does not.
        self._session = _session(region or os.environ.get("AWS_REGION"), profile)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._limits = _HASTY if hasty else (_TRIES, _CONNECT, _ANSWER)
        found: str | None = self._session.region_name
        if found is None:
            raise ConfigError("no AWS region is set", 'write region = "ap-northeast-1" for the host, or set AWS_REGION')
        self.region = found
        self.profile = "" if self._session.profile_name == "default" else str(self._session.profile_name)

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3's client of a service, of this region unless another is said."""
        from botocore.config import Config

        with self._lock:
            key = f"{service} {region or self.region}"
            if key not in self._clients:
                tries, connect, answer = self._limits
                retries = {"mode": "standard", "total_max_attempts": tries}
                settings = Config(connect_timeout=connect, read_timeout=answer, retries=retries)  # type: ignore[arg-type,unused-ignore]
                self._clients[key] = self._session.client(service, region or self.region, config=settings)
            return self._clients[key]


def _session(region: str | None, profile: str | None) -> Any:
    try:
        import boto3
    except ImportError:
        raise ConfigError("EC2 hosts need boto3, which is not installed", _INSTALL) from None
    with explained():
        return boto3.session.Session(region_name=region, profile_name=profile)


@contextmanager
def explained() -> Iterator[None]:
    """Inside, what botocore raises becomes an ``OrchError``."""
    try:
        yield
    except OrchError:
        raise
    except Exception as error:
        meant = meaning(error)
        if meant is None:
            raise
        raise meant from error


def code_of(error: Exception) -> str:
    """AWS's own word for what went wrong; nothing where it is not AWS that says so."""
    said = getattr(error, "response", None)
    return str(said.get("Error", {}).get("Code", "")) if isinstance(said, dict) else ""


def said_by(error: Exception) -> str:
    """AWS's own sentence."""
    said = getattr(error, "response", None)
    return str(said.get("Error", {}).get("Message", "") if isinstance(said, dict) else "") or str(error)


def meaning(error: Exception) -> OrchError | None:
    """What an exception means for the person; None where it is not botocore's."""
    if not type(error).__module__.startswith(("botocore", "boto3")):
        return None
    name = type(error).__name__
    if isinstance(getattr(error, "response", None), dict):
        return _refusal(error)
    if name in _SIGN_IN:
        return OrchError("not_authorised", f"no AWS credentials that can be used: {error}", _SIGN_IN[name])
    if name in ("ProfileNotFound", "ConfigParseError", "ConfigNotFound", "InvalidConfigError", "InvalidRegionError"):
        return ConfigError(f"AWS's configuration cannot be used: {error}", "aws configure list-profiles; aws configure")
    if name in ("ParamValidationError", "DataNotFoundError", "UnknownServiceError", "OperationNotPageableError"):
        return None  # a mistake of ours
    if name == "EndpointConnectionError":
        return LinkDown(f"{error}", "is the region right, and is there a network? AWS_REGION, AWS_ENDPOINT_URL")
    return LinkDown(f"AWS does not answer as it should: {str(error)[:200]}", "try again; AWS_ENDPOINT_URL, AWS_REGION")


_LOGIN = "aws sso login    # or: aws configure; AWS_PROFILE=NAME chooses a profile"
_SIGN_IN = {
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError"), _LOGIN),
    **dict.fromkeys(("CredentialRetrievalError", "SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"), _LOGIN),
    **dict.fromkeys(
        ("TokenRetrievalError", "RefreshWithMFAUnsupportedError", "PendingAuthorizationExpiredError"), _LOGIN
    ),
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId"}
_SKEWED = {"SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidSignatureException"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AccessDeniedFault"}
_THROTTLED = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"}
_FULL = {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported"}
_QUOTA = {"VcpuLimitExceeded", "InstanceLimitExceeded", "LimitExceededException", "VolumeLimitExceeded"}


def _refusal(error: Any) -> OrchError:
    """What AWS answers in place of what was asked for."""
    code, action = code_of(error), action_of(error)
    if code in _EXPIRED:
        return OrchError("not_authorised", f"the AWS session has expired ({code})", _LOGIN)
    if code in _SKEWED:
        hint = "date -u    # compare with the real time: AWS takes no request that is more than 5 minutes off"
        return OrchError("not_authorised", f"AWS does not take our signature: {said_by(error)}", hint)
    if code in _UNKNOWN:
        hint = "aws sts get-caller-identity; is the region enabled for the account?"
        return OrchError("not_authorised", f"AWS does not know these credentials ({code})", hint)
    if code in _DENIED:
        from .policy import statement_for

        return OrchError("not_authorised", f"not allowed: {action}: {said_by(error)}", statement_for(action))
    if code in _THROTTLED:
        return LinkDown(f"AWS throttles {action}, however often it is tried", "try again in a minute")
    if code in _QUOTA:
        hint = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas    # ask for more, or choose less"
        return OrchError("refused", f"a quota of the account is used up: {said_by(error)}", hint)
    if code in _FULL:
        hint = "try again later, or choose another instance_type: orch up"
        return OrchError("host", f"AWS has no room for it now: {said_by(error)}", hint)
    hint = "a disk can be changed once in six hours" if code == "VolumeModificationRateExceeded" else ""
    return OrchError("host", f"AWS refuses {action}: {said_by(error)} ({code})", hint)


def action_of(error: Any) -> str:
    """The action as IAM writes it: ``ec2:RunInstances``."""
    from .policy import action

    return action(str(getattr(error, "operation_name", "") or "?"))
