"""GitHub, asked by a codespace about itself, through gh.

Invariants
- Tokens are read when they are used, for GitHub renews them, and go to gh in its environment alone.
- What a token may do is found out by deeds that change nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional

from . import codespace, layout, quiet, secrets
from .codespace import Rights

NO_GH = "there is no gh in it (add ghcr.io/devcontainers/features/github-cli:1 to its devcontainer.json)"
_TOKENS = ("GITHUB_TOKEN", "ORCH_GITHUB_TOKEN")
"""The codespace's own, and the secret that a person may give it."""
_PATIENCE = 10.0
"""Seconds that one call may take."""
_DENIED = (403, 404)
"""What a token may not do. A 401 says that it is none: it may have been renewed since it was read."""
_UNASKED = -1
_AGAIN = {False: 60, None: 1}
"""Minutes after which it is found out again what was denied, and what nobody could tell."""


class Verdict(NamedTuple):
    """Whether it may, None where nobody can tell; what was said against it; whether nothing was done, for certain."""

    may: Optional[bool]
    why: Optional[str] = None
    is_undone: bool = True


class Reply(NamedTuple):
    """What GitHub said: in HTTP's words, 0 where it said nothing; and in a person's."""

    code: int
    said: str

    @property
    def is_no(self) -> bool:
        """Whether nothing was done, for certain."""
        return self.code == _UNASKED or (400 <= self.code < 500 and self.code not in (408, 429))


def rights() -> Rights:
    """What the codespace may do, found out where that is not known, or not any more."""
    known = codespace.rights()
    if known is None or _is_stale(known):
        known = _find_out()
        codespace.keep_rights(known)
    return known


def stop() -> Optional[bool]:
    """Have GitHub stop the codespace: whether it does. None where nobody can tell: it may be stopping all the same."""
    found = _try("POST", "/stop") if has_gh() else Verdict(False, NO_GH)
    if not found.may:
        codespace.keep_rights((codespace.rights() or Rights())._replace(can_stop=found.may, why_not=found.why))
    return True if found.may else False if found.is_undone else None


def has_gh() -> bool:
    """Whether there is a gh."""
    return shutil.which("gh") is not None


def _find_out() -> Rights:
    if not has_gh():
        return Rights(False, NO_GH, False, NO_GH)
    # To start what runs changes nothing, and takes the same right as to stop it.
    power, reach = _try("POST", "/start", (304, 409)), _try("GET", "")
    return Rights(power.may, power.why, reach.may, reach.why)


def _try(method: str, path: str, fine: tuple[int, ...] = ()) -> Verdict:
    """Whether one of its tokens may do that to this codespace."""
    replies = {}
    for key, token in tokens():
        reply = ask(method, "/user/codespaces/%s%s" % (codespace.name(), path), token)
        if 200 <= reply.code < 300 or reply.code in fine:
            return Verdict(True)
        replies[key] = reply
    told = ["%s: %s" % (key, replies[key].said if key in replies else "there is none") for key in _TOKENS]
    may = False if all(one.code in _DENIED for one in replies.values()) else None
    return Verdict(may, "; ".join(told), all(one.is_no for one in replies.values()))


def tokens() -> Iterator[tuple[str, str]]:
    """The tokens it has by now, and what each is called."""
    given = secrets.read()
    for key in _TOKENS:
        token = given.get(key) or os.environ.get(key)
        if token:
            yield key, token


def ask(method: str, path: str, token: str) -> Reply:
    """One call of GitHub's API."""
    words = ["gh", "api", "-i", "--method", method, "-H", "X-GitHub-Api-Version: 2022-11-28", path]
    try:
        done = subprocess.run(words, stdin=-3, stdout=-1, stderr=-1, env=environment(token), timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return Reply(0, "no answer within %d s" % _PATIENCE)
    except OSError as error:
        return Reply(_UNASKED, "gh cannot be run: %s" % error.strerror)
    status = re.match(rb"HTTP/\S+ (\d{3})", done.stdout) or re.search(rb"HTTP (\d{3})", done.stderr)
    code = int(status[1]) if status else 200 if done.returncode == 0 else 0
    return Reply(code, first_line(done.stderr) or "HTTP %d" % code)


def first_line(said: bytes) -> str:
    """The first line of what gh said on its standard error."""
    text = said.decode("utf-8", "replace").strip().partition("\n")[0]
    return text[4:] if text.startswith("gh: ") else text


def environment(token: str) -> dict[str, str]:
    """What gh runs in."""
    return {**os.environ, **quiet.GH, "GH_TOKEN": token}


def _is_stale(known: Rights) -> bool:
    age = time.time() - os.stat(layout.rights_file()).st_mtime
    waits = [_AGAIN[may] for may in (known.can_stop, known.can_reach) if not may]
    return bool(waits) and not 0 <= age < min(waits) * codespace.minute()
