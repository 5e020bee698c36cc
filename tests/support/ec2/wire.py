"""What goes over the wire to AWS: who asks for what in a request, and refusals as each protocol writes them."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl
from xml.sax.saxutils import escape

import botocore.session

Environ = dict[str, Any]
_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
# What IAM and boto3 call a service that signs with another name.
_IAM = {"tagging": "tag"}
_BOTO3 = {"tagging": "resourcegroupstaggingapi", "servicequotas": "service-quotas"}


class Refusal(Exception):
    """An answer that is none: AWS's code, its sentence, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


def denied(action: str, who: str) -> Refusal:
    """What one hears who may not do a thing."""
    says = f"User: arn:aws:iam::123456789012:{who} is not authorized to perform: {action}"
    if action.startswith("ec2:"):
        return Refusal("UnauthorizedOperation", f"You are not authorized to perform this operation. {says}", 403)
    return Refusal("AccessDenied" if action.partition(":")[0] in _QUERY else "AccessDeniedException", says, 400)


_QUERY = {"cloudformation", "iam", "sts"}
_NOT_LET_IN = {  # as ec2, the other query services, and those that speak JSON say it
    "expired": ("RequestExpired", "ExpiredToken", "ExpiredTokenException"),
    "skewed": ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException"),
    "unknown": ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"),
}
_WHY = {
    "expired": "The security token included in the request is expired",
    "skewed": "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)",
    "unknown": "The security token included in the request is invalid",
}


def not_let_in(service: str, trouble: str) -> Refusal:
    """What one hears whose credentials are not taken: ``expired``, ``skewed``, ``unknown``."""
    codes = _NOT_LET_IN[trouble]
    return Refusal(codes[0 if service == "ec2" else 1 if service in _QUERY else 2], _WHY[trouble], 403)


class Call(NamedTuple):
    """A request. ``action`` is IAM's name for it; ``key`` the id of the access key it was signed with."""

    action: str
    service: str
    region: str
    key: str
    params: dict[str, Any]

    @property
    def operation(self) -> str:
        return self.action.partition(":")[2]


def call(environ: Environ) -> Call | None:
    """The call that a request is; None where it is not signed."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return None
    key, region, service = scope.groups()
    body = _body(environ)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        operation, params = target.rpartition(".")[2], json.loads(body or b"{}")
    else:
        params = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = params.get("Action") or environ["PATH_INFO"].rpartition("/operation/")[2]
    return Call(f"{_IAM.get(service, service)}:{operation}", _BOTO3.get(service, service), region, key, params)


def _body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def query(environ: Environ) -> Mapping[str, list[str]]:
    """What stands behind the question mark."""
    return parse_qs(environ.get("QUERY_STRING", ""))


@functools.cache
def _protocol(service: str) -> str:
    return botocore.session.get_session().get_service_model(service).protocol


Answer = tuple[int, str, bytes]
"""Status, content type, body."""


def refusal(service: str, error: Refusal) -> Answer:
    """A refusal as the service writes it."""
    protocol = _protocol(service)
    code, message = escape(error.code), escape(error.message)
    said = f"<Code>{code}</Code><Message>{message}</Message>"
    if protocol == "ec2":
        text = f"<Response><Errors><Error>{said}</Error></Errors><RequestID>r</RequestID></Response>"
    elif protocol == "query":
        text = f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error><RequestId>r</RequestId></ErrorResponse>"
    else:
        return error.status, "application/x-amz-json-1.1", document({"__type": error.code, "message": error.message})
    return error.status, "text/xml", text.encode()


def document(said: Any) -> bytes:
    """JSON."""
    return json.dumps(said).encode()
