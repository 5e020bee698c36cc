"""GitHub's REST API, as far as gh and orch ask it: who may ask, and what is answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.github import documents, graphql, key_api, secret_api, space_api, tunnels
from tests.support.github.errors import Refusal, not_found, not_from_inside
from tests.support.github.tokens import Who
from tests.support.github.wire import Answer, Call

if TYPE_CHECKING:
    from tests.support.github import GitHub

_REPOSITORY = r"/repos/([^/]+/[^/]+)|/repositories/(\d+)"
_SPACE = r"/user/codespaces/([^/]+)"

Handler = Callable[["GitHub", Call, Who, Any], Answer]


def answer(github: GitHub, call: Call) -> Answer:
    """What GitHub says; the call is written down."""
    who = github.tokens.who(call.token)
    try:
        said = _answer(github, call, who)
    except Refusal as refusal:
        said = refusal.answer()
    asked = {"method": call.method, "path": call.path, "status": said.status, "body": call.body, "query": call.query}
    github.events.tell("http", **asked, who=who and (who.space or "user"), words=call.words)
    scopes = {"X-OAuth-Scopes": ", ".join(sorted(who.scopes))} if who and not who.space else {}
    return said._replace(headers={**scopes, **said.headers})


def _answer(github: GitHub, call: Call, who: Who | None) -> Answer:
    for one in github.knobs.failing:
        if one.hits(f"{call.method} {call.path}"):
            if one.does:
                _done(github, call, who)
            return Answer(one.status, {"message": "the server is imitating trouble"}, one.headers)
    return _done(github, call, who)


def _done(github: GitHub, call: Call, who: Who | None) -> Answer:
    if re.match(r"/(api/v1/)?tunnels/", call.path):
        return tunnels.answer(github, call)
    if who is None:
        raise Refusal(401, "Bad credentials")
    for method, pattern, handler in _ROUTES:
        found = re.fullmatch(pattern, call.path) if method == call.method else None
        if found:
            _check(github, call, who)
            return handler(github, call, who, [group for group in found.groups() if group is not None])
    raise not_found()


def _check(github: GitHub, call: Call, who: Who) -> None:
    """Refuse what the token may not do."""
    if not call.path.startswith("/user/codespaces"):
        return
    if not who.space:
        if "codespace" not in who.scopes:
            raise Refusal(403, "Must have admin rights to Repository.", "codespace")
        return
    own = f"/user/codespaces/{who.space}"
    right = {("GET", own): "connect", ("POST", f"{own}/start"): "power", ("POST", f"{own}/stop"): "power"}
    if right.get((call.method, call.path)) not in github.knobs.inside_may:
        raise not_from_inside()


def _root(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    return Answer(200, {"current_user_url": "https://api.github.com/user"})


def _user(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    plan = {"plan": {"name": github.plan, "space": 0, "collaborators": 0, "private_repos": 0}}
    return Answer(200, {**documents.OWNER, **(plan if "user" in who.scopes else {})})


def _usage(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    if "user" not in who.scopes:
        raise Refusal(404, "Not Found", "user")
    wanted = {key: call.query[key].lstrip("0") for key in ("year", "month", "day") if key in call.query}
    return Answer(200, {"usageItems": [one for one in github.usage if _is_of(one["date"], wanted)]})


def _is_of(date: str, wanted: dict[str, str]) -> bool:
    parts = dict(zip(("year", "month", "day"), (part.lstrip("0") for part in date[:10].split("-")), strict=True))
    return all(parts[key] == value for key, value in wanted.items())


def _repository(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    return Answer(200, github.repository(found[0]))


def _contents(github: GitHub, call: Call, who: Who, found: Any) -> Answer:
    raise not_found()


_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/", _root),
    ("GET", "/user", _user),
    ("POST", "/graphql", graphql.answer),
    ("GET", rf"/users/{documents.LOGIN}/settings/billing/usage", _usage),
    ("GET", _REPOSITORY, _repository),
    ("GET", rf"(?:{_REPOSITORY})/contents/.+", _contents),
    ("GET", rf"(?:{_REPOSITORY})/keys", key_api.listed),
    ("POST", rf"(?:{_REPOSITORY})/keys", key_api.add),
    ("DELETE", rf"(?:{_REPOSITORY})/keys/(\d+)", key_api.delete),
    *(
        (method, rf"/(user)/codespaces/secrets{path}|/repos/([^/]+/[^/]+)/codespaces/secrets{path}", handler)
        for method, path, handler in (
            ("GET", "", secret_api.listed),
            ("GET", "/public-key", secret_api.public_key),
            ("GET", "/([^/]+)", secret_api.one),
            ("PUT", "/([^/]+)", secret_api.put),
            ("DELETE", "/([^/]+)", secret_api.delete),
            ("GET", "/([^/]+)/repositories", secret_api.repositories),
        )
    ),
    ("GET", "/user/codespaces", space_api.listed),
    ("POST", "/user/codespaces", space_api.create),
    ("GET", _SPACE, space_api.one),
    ("PATCH", _SPACE, space_api.change),
    ("DELETE", _SPACE, space_api.delete),
    ("POST", f"{_SPACE}/start", space_api.start),
    ("POST", f"{_SPACE}/stop", space_api.stop),
    ("GET", f"{_SPACE}/machines", space_api.machines),
    ("GET", f"(?:{_REPOSITORY})/codespaces", space_api.listed_of_repository),
    ("POST", f"(?:{_REPOSITORY})/codespaces", space_api.create_in_repository),
    ("GET", f"(?:{_REPOSITORY})/codespaces/new", space_api.new),
    ("GET", f"(?:{_REPOSITORY})/codespaces/machines", space_api.machines_of_repository),
    ("GET", f"(?:{_REPOSITORY})/codespaces/devcontainers", space_api.devcontainers),
    ("GET", f"(?:{_REPOSITORY})/codespaces/permissions_check", space_api.permissions),
]
