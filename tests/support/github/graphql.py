"""The few questions that gh asks in GraphQL, known by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.support.github.documents import OWNER
from tests.support.github.errors import Refusal
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.github import GitHub


def answer(github: GitHub, call: Call, who: Any, found: Any) -> Answer:
    """Who asks; or the numbers of repositories."""
    query = call.body.get("query", "")
    said: dict[str, Any] = {}
    if "viewer" in query:
        said["viewer"] = {"login": OWNER["login"], "id": OWNER["node_id"], "databaseId": OWNER["id"]}
    for alias, owner, name in re.findall(r'(\w+): repository\(owner:\s*"(.+?)",\s*name:\s*"(.+?)"\)', query):
        said[alias] = _repository(github, f"{owner}/{name}")
    variables = call.body.get("variables") or {}
    if "repository(owner: $owner" in query:
        said["repository"] = _repository(github, f"{variables['owner']}/{variables['name']}")
    return Answer(200, {"data": said}) if said else Answer(200, {"errors": [{"message": "not imitated"}]})


def _repository(github: GitHub, name: str) -> dict[str, Any] | None:
    try:
        one = github.repository(name)
    except Refusal:
        return None
    owner = {"id": one["owner"]["node_id"], "login": one["owner"]["login"]}
    return {"id": one["node_id"], "databaseId": one["id"], "name": one["name"], "owner": owner}
