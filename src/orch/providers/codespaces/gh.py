"""GitHub, asked through ``gh``: its login, its hosts, its proxies and its retries of a token are the person's own.

Invariants
- gh never asks anybody anything here, and what it prints is read, not shown.
- A question (GET) that GitHub fails to answer (429, 5xx) is asked again, a little later; nothing else is repeated.
- What went wrong is one of our errors, with the command that mends it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orch.errors import OrchError
from orch.transport import LinkDown
from orch_agent import quiet

LEAST = (2, 43, 0)
"""The first gh whose ssh keeps a codespace awake while a command runs there."""
_INSTALL = "install GitHub's CLI, at least {}: https://cli.github.com    # macOS: brew install gh"
_PAUSES = (1.0, 2.0, 4.0)  # seconds before a question is asked again
_PATIENCE = 30.0  # seconds that one call may take
_STATUS = re.compile(r"\(HTTP (\d{3})\)|\bHTTP (\d{3})\b")
_SCOPE = re.compile(r'needs the "([\w:]+)" scope|gh auth refresh .*?-s ([\w:]+)')


class Failure(OrchError):
    """GitHub said no; ``code`` is HTTP's word for it, 0 where it said nothing."""

    def __init__(self, kind: str, message: str, hint: str, code: int) -> None:
        super().__init__(kind, message, hint)
        self.code = code


class Trouble(LinkDown):
    """GitHub said nothing, or that something is wrong with itself: whether it did what was asked is not known."""

    def __init__(self, message: str, hint: str, code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code


def environment() -> dict[str, str]:
    """What gh runs in."""
    return {**os.environ, **quiet.GH}


def call(words: Sequence[str], stdin: bytes = b"", patience: float = _PATIENCE) -> bytes:
    """What ``gh WORDS`` prints; ``patience`` in seconds. Else an error of ours."""
    try:
        done = subprocess.run(
            ["gh", *words], input=stdin, capture_output=True, timeout=patience, env=environment(), check=False
        )
    except FileNotFoundError:
        raise missing() from None
    except subprocess.TimeoutExpired:
        raise Trouble(f"gh {words[0]} has not come back within {patience:.0f} s", "gh api /user") from None
    if done.returncode:
        raise explained(done.returncode, done.stderr.decode(errors="replace"), done.stdout, words)
    return done.stdout


def api(path: str, method: str = "GET", fields: Mapping[str, Any] | None = None) -> Any:
    """GitHub's answer to one REST call, read; None for an empty one. ``fields`` become the body, in JSON."""
    words = ["api", "--method", method, "-H", "X-GitHub-Api-Version: 2022-11-28", path]
    body = b""
    if fields is not None:
        words, body = [*words, "--input", "-"], json.dumps(fields).encode()
    pauses = iter(_PAUSES if method == "GET" else ())
    while True:
        try:
            said = call(words, body)
        except Trouble as trouble:
            pause = next(pauses, None)
            if pause is None or not trouble.code:
                raise
            time.sleep(pause)
        else:
            return _read(said)


def _read(said: bytes) -> Any:
    try:
        return json.loads(said) if said.strip() else None
    except ValueError:
        raise Trouble("GitHub's answer is no JSON: something on the way answers in its place", "gh api /user") from None


def pages(path: str, key: str) -> list[Any]:
    """All that is listed under ``key``, however many pages it takes."""
    found: list[Any] = []
    for page in range(1, 100):
        said = api(f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
        some = said.get(key) if isinstance(said, dict) else None
        if not isinstance(some, list):
            raise nonsense(path)
        found += some
        if len(some) < 100:
            break
    return found


def text(path: str, key: str) -> str:
    """One text of GitHub's answer."""
    said = api(path)
    found = said.get(key) if isinstance(said, dict) else None
    if not isinstance(found, str):
        raise nonsense(path)
    return found


def nonsense(path: str) -> Trouble:
    """GitHub answered something else than it is documented to."""
    return Trouble(f"GitHub's answer to {path} makes no sense", f"gh api {path}")


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Inside, GitHub's answer to a question is read; where it lacks what it is documented to have, it is nonsense."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError):
        raise nonsense(path) from None


@contextmanager
def of_repository(name: str) -> Iterator[None]:
    """Inside, a 404 means that there is no such repository, or none that this login may see."""
    try:
        yield
    except Failure as failure:
        if failure.code != 404:
            raise
        says = f"GitHub knows no repository {name} that your login may see"
        hint = f"gh repo list {name.partition('/')[0]}    # is it spelled so?\ngh auth status    # whose login is it?"
        raise Failure("not_found", says, hint, 404) from None


def check_version() -> None:
    """Refuse a gh that is too old, or none at all."""
    said = call(["--version"]).decode(errors="replace")
    found = re.search(r"gh version (\d+)\.(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < LEAST:
        version = ".".join(found.groups()) if found else "of an unknown version"
        least = ".".join(map(str, LEAST))
        raise OrchError("refused", f"gh here is {version}; codespaces need {least} or later", _INSTALL.format(least))


def missing() -> OrchError:
    """There is no gh."""
    least = ".".join(map(str, LEAST))
    return OrchError("refused", "codespaces are reached through gh, and there is no gh here", _INSTALL.format(least))


def explained(status: int, said: str, body: bytes, words: Sequence[str]) -> OrchError:
    """What it means that gh ended with ``status`` and ``said`` so."""
    found = _STATUS.search(said)
    code = int(found[1] or found[2]) if found else 0
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    what = lines[0].removeprefix("gh: ") if lines else f"gh {_call(words)} failed (status {status})"
    if status == 4 or code == 401 or "gh auth login" in said:
        variable = _variable()
        why = f": it does not take the token in {variable}" if variable else ""
        says = f"gh is not logged in to GitHub{why}"
        return Failure("not_authorised", says, _logging_in("login -s codespace"), code)
    scope = _SCOPE.search(said)
    if scope is not None or (code == 403 and "scope" in said):
        name = (scope[1] or scope[2]) if scope else "codespace"
        hint = _logging_in(f"refresh -h github.com -s {name}")
        return Failure("not_authorised", f"gh's login lacks the scope {name!r}", hint, code)
    if code == 429 or code >= 500 or (code == 403 and "rate limit" in said):
        hint = "sleep 60    # it has been asked too often" if code == 429 else "https://www.githubstatus.com"
        return Trouble(f"GitHub does not answer as it should: {what}", hint, code)
    if code in (403, 404):
        return Failure("refused" if code == 403 else "not_found", f"GitHub says: {what}", "gh auth status", code)
    if code:
        hint = "https://docs.github.com/rest/codespaces" if "--input" in words else f"gh {_call(words)}"
        return Failure("refused", f"GitHub says: {what}", hint, code)
    return Trouble(f"gh failed: {what}", "gh auth status    # can it reach GitHub?")


def _call(words: Sequence[str]) -> str:
    """The call without how it is made: ``api /user``."""
    return " ".join([words[0], next((word for word in words if word.startswith("/")), " ".join(words[1:2]))]).strip()


def _variable() -> str:
    """The variable that gh takes its token from, and no other; empty where it keeps one itself."""
    return next((name for name in ("GH_TOKEN", "GITHUB_TOKEN") if os.environ.get(name)), "")


def _logging_in(words: str) -> str:
    """``gh auth WORDS``, which gh refuses while a token is in a variable."""
    variable = _variable()
    return f"unset {variable}; gh auth {words}    # or another token in it" if variable else f"gh auth {words}"
