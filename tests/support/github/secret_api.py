"""The calls about secrets: of the user, or of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.github.errors import Refusal, not_found
from tests.support.github.secrets import Secret, document
from tests.support.github.tokens import Who
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.github import GitHub


def listed(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Their names."""
    place = _place(github, who, found)
    all_of_it = [document(name, one, place) for name, one in sorted(github.secrets.at(place).items())]
    return Answer(200, {"total_count": len(all_of_it), "secrets": all_of_it})


def public_key(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """What they are sealed with."""
    _place(github, who, found)
    return Answer(200, github.secrets.public_key())


def one(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """All of one but its value."""
    return Answer(200, document(found[1], _known(github, who, found), _place(github, who, found)))


def put(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Set one. Running codespaces do not see it before their next start."""
    place = _place(github, who, found)
    repositories = map(int, call.body.get("selected_repository_ids") or [])
    is_new = github.secrets.put(place, found[1], github.secrets.unseal(call.body["encrypted_value"]), *repositories)
    return Answer(201, {}) if is_new else Answer(204)


def delete(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Away with one."""
    _known(github, who, found)
    del github.secrets.at(_place(github, who, found))[found[1]]
    return Answer(204)


def repositories(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Whose codespaces see one of the user's."""
    seen_by = [github.repository(str(number)) for number in sorted(_known(github, who, found).repositories)]
    return Answer(200, {"total_count": len(seen_by), "repositories": seen_by})


def _known(github: GitHub, who: Who, found: Any) -> Secret:
    try:
        return github.secrets.at(_place(github, who, found))[found[1]]
    except KeyError:
        raise not_found() from None


def _place(github: GitHub, who: Who, found: Any) -> str:
    if found[0] == "user":
        return "user"
    if "repo" not in who.scopes:
        raise Refusal(403, "Must have admin rights to Repository.", "repo")
    return str(github.repository(found[0])["full_name"])
