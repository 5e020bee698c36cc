"""The calls about codespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.github import documents
from tests.support.github.errors import Refusal, not_found
from tests.support.github.space import Codespace
from tests.support.github.tokens import Who
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.github import GitHub


def listed(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """All, or those of one repository; page by page."""
    wanted = call.query.get("repository_id")
    return _page(call, [one for one in github.fleet if wanted in (None, str(one.repository["id"]))])


def listed_of_repository(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Those of one repository."""
    repository = github.repository(found[0])
    return _page(call, [one for one in github.fleet if one.repository is repository])


def _page(call: Call, spaces: list[Codespace]) -> Answer:
    size, page = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    if not 1 <= size <= 100:
        size = min(max(size, 1), 100)
    some = [documents.codespace(one) for one in spaces[(page - 1) * size : page * size]]
    headers = {}
    if page * size < len(spaces):
        rest = "&".join(f"{key}={value}" for key, value in call.query.items() if key not in ("page", "per_page"))
        url = f"https://api.github.com{call.path}?{rest + '&' if rest else ''}per_page={size}&page={page + 1}"
        headers["Link"] = f'<{url}>; rel="next"'
    return Answer(200, {"total_count": len(spaces), "codespaces": some}, headers)


def one(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """One; to gh also the way to it."""
    space = _known(github, found)
    said = documents.codespace(space)
    if call.query.get("internal") == "true" and space.state == "Available":
        token = github.relay.new_token(space.name, call)
        said["connection"] = documents.connection(space.name, token, github.relay.port)
    return Answer(200, said)


def create(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """A new one; it is made while nobody waits."""
    return _create(github, call, github.repository(str(call.body.get("repository_id"))))


def create_in_repository(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """The same, asked at the repository."""
    return _create(github, call, github.repository(found[0]))


def _create(github: GitHub, call: Call, repository: dict[str, Any]) -> Answer:
    asked = {key: value for key, value in call.body.items() if value not in (None, "")}
    offered = github.machines(repository)
    asked.setdefault("machine", offered[0]["name"])
    if asked["machine"] not in [machine["name"] for machine in offered]:
        raise Refusal(422, f"Machine type '{asked['machine']}' is not available for this repository")
    if not 5 <= asked.get("idle_timeout_minutes", 30) <= 240:
        raise Refusal(422, "Idle timeout must be between 5 and 240 minutes")
    if not 0 <= asked.get("retention_period_minutes", 0) <= 30 * 24 * 60:
        raise Refusal(422, "Retention period must be between 0 and 30 days")
    if len(asked.get("display_name", "")) > 48:
        raise Refusal(422, "Display name is too long (maximum is 48 characters)")
    return Answer(202, documents.codespace(github.fleet.create(repository, asked)))


def change(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Its name at once; its machine at its next start. Nothing else can be changed."""
    space = _known(github, found)
    if "machine" in call.body:
        if call.body["machine"] not in [machine["name"] for machine in github.machines(space.repository)]:
            raise Refusal(422, f"Machine type '{call.body['machine']}' is not available for this codespace")
        space.next_machine = call.body["machine"]
        if space.state == "Shutdown":
            space.machine_name = space.next_machine
    space.display_name = call.body.get("display_name") or space.display_name
    return Answer(200, documents.codespace(space))


def delete(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Away with it, on or off."""
    github.fleet.delete(_known(github, found))
    return Answer(202, {})


def start(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Start it; a conflict if it is on."""
    space = _known(github, found)
    if space.state == "Available":
        raise Refusal(409, "Codespace is already running")
    github.fleet.start(space)
    return Answer(200, documents.codespace(space))


def stop(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Stop it; nothing if it is off."""
    space = _known(github, found)
    github.fleet.stop(space, "from inside" if who.space else "api")
    return Answer(200, documents.codespace(space))


def machines(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """What it may become."""
    return _machines(github, _known(github, found).repository)


def machines_of_repository(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """What a new one may be."""
    return _machines(github, github.repository(found[0]))


def _machines(github: GitHub, repository: dict[str, Any]) -> Answer:
    offered = github.machines(repository)
    return Answer(200, {"total_count": len(offered), "machines": offered})


def new(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Who would pay for one."""
    github.repository(found[0])
    defaults = {"location": "EastUs", "devcontainer_path": None}
    return Answer(200, {"billable_owner": documents.OWNER, "defaults": defaults})


def devcontainers(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """The repository's files that describe one."""
    paths = github.devcontainers.get(github.repository(found[0])["full_name"], [])
    return Answer(200, {"total_count": len(paths), "devcontainers": [{"path": path, "name": ""} for path in paths]})


def permissions(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    """Whether what it asks for was granted."""
    return Answer(200, {"accepted": True})


def _known(github: GitHub, found: Any) -> Codespace:
    space = github.fleet.get(found[0])
    if space is None:
        raise not_found()
    return space
