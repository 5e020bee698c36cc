"""The calls about deploy keys: what is registered here opens the forge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.github.errors import Refusal, not_found
from tests.support.github.tokens import Who
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.forge import Forge
    from tests.support.github import GitHub


def listed(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Those of a repository, a page of them."""
    name, forge = _place(github, who, found)
    size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    return Answer(200, forge.keys.get(name, [])[(page - 1) * size : page * size])


def add(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """A key opens one repository in all of GitHub."""
    name, forge = _place(github, who, found)
    words = call.body["key"].split()
    if any(one["key"].split() == words[:2] for keys in forge.keys.values() for one in keys):
        raise Refusal(422, "Validation Failed: key is already in use")
    write = call.body.get("read_only") is False
    return Answer(201, forge.add_key(name, call.body["key"], write, call.body.get("title", "")))


def delete(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Away with one."""
    name, forge = _place(github, who, found)
    if not forge.delete_key(name, int(found[1])):
        raise not_found()
    return Answer(204)


def _place(github: GitHub, who: Who, found: Any) -> tuple[str, Forge]:
    if "repo" not in who.scopes or github.forge is None:
        raise not_found()
    return str(github.repository(found[0])["full_name"]), github.forge
