"""Which repository at GitHub a directory is a clone of."""

from __future__ import annotations

import os
import re
import subprocess

from orch.errors import OrchError, usage

_URL = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]+@)?([\w.-]+)(?::\d+)?/|(?:[^@/:]+@)?([\w.-]+):)/?([\w.-]+/[\w.-]+?)(?:\.git)?/?",
    re.ASCII,
)
_HOST = re.compile(r"(?:(?:ssh|www)\.)?github\.com|github[\w-]*|github\.com-[\w-]+", re.ASCII | re.IGNORECASE)
"""GitHub; or ``github-work``, ``github.com-work``: names for ssh alone, which no domain can have."""
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def of(directory: str) -> str | None:
    """``OWNER/REPO``; None where it is no clone of one at GitHub. Of several remotes ``origin`` counts."""
    words = ["git", "-C", directory, "config", "--get-regexp", r"^remote\..*\.url$"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return None
    remotes = [line.partition(" ") for line in done.stdout.splitlines()]
    remotes.sort(key=lambda one: one[0] != "remote.origin.url")
    return next(filter(None, (named(url) for _, _, url in remotes)), None)


def named(url: str) -> str | None:
    """``OWNER/REPO`` of the address of a clone."""
    found = _URL.fullmatch(url.strip())
    if found is None:
        return None
    host = found[1] or found[2]
    is_there = _HOST.fullmatch(host) or host.lower() == os.environ.get("GH_HOST", "").lower()
    return found[3] if is_there and _is_name(found[3]) else None


def checked(text: str) -> str:
    """``OWNER/REPO`` as a person writes it."""
    if not _is_name(text):
        raise usage(f"{text!r} is no repository", "write OWNER/REPO, as in octo/web")
    return text


def _is_name(text: str) -> bool:
    """Whether it is OWNER/REPO, and in a path of GitHub's nothing else."""
    return _NAME.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))


def needed(directory: str, hint: str) -> str:
    """The repository of ``directory``, which has to be one; ``hint`` is the command that names one."""
    found = of(directory)
    if found is None:
        raise OrchError("refused", f"{directory} is no clone of a repository at GitHub", hint)
    return found
