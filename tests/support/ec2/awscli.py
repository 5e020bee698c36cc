"""AWS's command line, as far as scripts on a machine need it: any operation, with values as words or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import Shape

from tests.support.ec2.wire import Refusal

_GLOBAL = ("region", "output", "query", "profile", "endpoint-url", "cli-connect-timeout", "cli-read-timeout")
_FLAGS = ("no-cli-pager", "no-paginate", "only-show-errors", "debug")


def aws(client: Callable[[str], Any], words: list[str]) -> str:
    """Run ``aws WORDS``; what it prints. A ``ValueError`` tells what cannot be understood."""
    plain, given = _parsed(words)
    if len(plain) != 2:
        raise ValueError(f"SERVICE OPERATION, not {plain}")
    service = client(plain[0])
    method = plain[1].replace("-", "_")
    operation = service.meta.service_model.operation_model(service.meta.method_to_api_mapping[method])
    members = {xform_name(name, "-"): (name, shape) for name, shape in operation.input_shape.members.items()}
    asked = {}
    for option, values in given.items():
        if option in _GLOBAL or option in _FLAGS:
            continue
        positive = option.removeprefix("no-") if option not in members else option
        if positive not in members:
            raise ValueError(f"Unknown options: --{option}")
        name, shape = members[positive]
        asked[name] = _value(shape, values) if positive == option else False
    try:
        said = getattr(service, method)(**asked)
    except ClientError as error:
        raise Refusal(error.response["Error"]["Code"], error.response["Error"]["Message"]) from None
    del said["ResponseMetadata"]
    return _printed(said, given)


def _parsed(words: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    plain: list[str] = []
    given: dict[str, list[str]] = {}
    values = plain
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            values = given.setdefault(name, [])
            if equals:
                values.append(value)
        elif values is plain or word:
            if values is not plain and len(plain) < 2 and len(values) == 1:
                values = plain
            values.append(word)
    return plain, given


def _value(shape: Shape, values: list[str]) -> Any:
    kind = shape.type_name
    if kind == "boolean":
        return values in ([], ["true"])
    if kind in ("structure", "map") or (kind == "list" and values and values[0][:1] in "[{"):
        found = json.loads(" ".join(values))
        return found if kind != "list" or isinstance(found, list) else [found]
    if kind == "list":
        return list(_shorthand(values))
    [value] = values
    return int(value) if kind in ("integer", "long") else value


def _shorthand(values: list[str]) -> Iterator[Any]:
    for value in values:
        if "=" not in value:
            yield value
            continue
        found: dict[str, Any] = {}
        for part in value.split(","):
            key, _, text = part.partition("=")
            found[key] = int(text) if text.isdigit() else text
        yield found


def _printed(said: dict[str, Any], given: dict[str, list[str]]) -> str:
    found = jmespath.search(given["query"][0], said) if "query" in given else said
    if not found and found != 0:
        return "None\n" if "query" in given and given.get("output") == ["text"] else ""
    if given.get("output") == ["text"]:
        return "\t".join(map(str, found)) + "\n" if isinstance(found, list) else f"{found}\n"
    return json.dumps(found, indent=4, default=str) + "\n"
