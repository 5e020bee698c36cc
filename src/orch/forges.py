"""Where repositories come from: their addresses, and the keys by which a forge's ssh servers are known.

Invariants
- An address is plain: no option, no command, no password and no path out of itself can be part of one.
- A forge is believed by a key that was known before it is asked: one that it has published (``PUBLISHED``), or one that
  this laptop has known for long. Nothing is ever taken from the network on trust.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import OrchError, usage

PUBLISHED = {
    # https://docs.github.com/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints
    "github.com": (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrY"
        "MjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
    ),
    # https://docs.gitlab.com/user/gitlab_com/#ssh-host-keys-fingerprints
    "gitlab.com": (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFSMqzJeV9rUzU4kWitGjeR4PWSa29SPqJ1f"
        "Vkhtj3Hw9xjLVXVYrU9QlYWrOLXBpQ6KWjbjTDTdDkoohFzgbEY=",
    ),
    # https://support.atlassian.com/bitbucket-cloud/docs/configure-ssh-and-two-step-verification/
    "bitbucket.org": (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPIQmuzMBuKdWeF4+a2sjSSpBK0iqitSQ+5B"
        "M9KhpexuGt20JpTVM7u5BDZngncgrqDMbWdxMWWOGtZ9UgbqgZE=",
    ),
}
"""The host keys of forges that publish the fingerprints of theirs, and where they do."""

_PAGES = {
    "github.com": "https://github.com/{}/settings/keys/new",
    "gitlab.com": "https://gitlab.com/{}/-/settings/repository#js-deploy-keys-settings",
    "bitbucket.org": "https://bitbucket.org/{}/admin/access-keys/",
}
_LONGEST = 200  # characters of an address
_HOST = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)"
_USER = r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)"
_PATH = r"(?P<path>/*[A-Za-z0-9._~+-]+(?:/[A-Za-z0-9._~+-]+)*)/?"
_SCP = re.compile(rf"{_USER}@{_HOST}:{_PATH}")
_SSH = re.compile(rf"ssh://{_USER}@{_HOST}(?::(?P<port>[1-9][0-9]{{0,4}}))?/{_PATH}")
_HTTPS = re.compile(rf"https://{_HOST}(?::(?P<port>[1-9][0-9]{{0,4}}))?/{_PATH}")
_SLUG = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.git)")
_PLAIN = re.compile(r"(?!.*--)[A-Za-z0-9._]([A-Za-z0-9._-]*[A-Za-z0-9._])?")
_DIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_EXAMPLE = "git@github.com:OWNER/REPOSITORY.git"
_KNOWN = "ORCH_FORGE_KEYS"
"""A file in the format of known_hosts that counts before what is published: for who stands in for a forge."""


class Repository(NamedTuple):
    """One that can be cloned. ``user`` is empty where its forge asks for no key (https)."""

    url: str
    host: str
    path: str
    user: str = ""
    port: int | None = None

    @property
    def slug(self) -> str:
        """``OWNER/NAME``."""
        return self.path.strip("/").removesuffix(".git")

    @property
    def key(self) -> str:
        """What its key is called, wherever that is kept: another repository has another one."""
        parts = [self.host, *self.slug.split("/")]
        name = "--".join(re.sub(r"[^A-Za-z0-9._-]", "_", part) for part in parts).lower()
        if self.user == "git" and self.port is None and all(map(_PLAIN.fullmatch, parts)):
            return name
        whole = f"{self.user}@{self.host}:{self.port}/{self.slug}".lower()
        return f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    @property
    def directory(self) -> str:
        """What its clone is called, unless another name is given."""
        return self.slug.rpartition("/")[2]

    @property
    def page(self) -> str:
        """Where a person adds a deploy key."""
        return _PAGES.get(self.host, "").format(self.slug)

    @property
    def name_of_host(self) -> str:
        """As known_hosts has it."""
        return self.host if self.port is None else f"[{self.host}]:{self.port}"

    def is_same(self, other: Repository) -> bool:
        """Whether both addresses mean the same repository, by the same way."""
        mine = (self.user, self.host, self.port, self.slug)
        return mine == (other.user, other.host, other.port, other.slug)


def repository(text: str) -> Repository:
    """What an address means; one that orch will not use is refused, and why."""
    found = _SCP.fullmatch(text) or _SSH.fullmatch(text) or _HTTPS.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        says = f"{_shown(text)} is no address of a repository that orch takes{_why(text)}"
        raise usage(
            says, f"git@github.com:{text}.git    # if that is meant" if _SLUG.fullmatch(text) else f"as in {_EXAMPLE}"
        )
    given = found.groupdict()
    port = int(given.get("port") or 0) or None
    parts = given["path"].strip("/").split("/")
    if any(part in (".", "..", ".git") or part.startswith("-") for part in parts) or (port or 0) > 65535:
        raise usage(f"{text} is no address of a repository: its path is odd", f"as in {_EXAMPLE}")
    usual = {"ssh": 22, "https": 443}["https" if text.startswith("https:") else "ssh"]
    path = ("/" if text.startswith("ssh:") else "") + given["path"]
    host = given["host"].lower()
    return Repository(text.rstrip("/"), host, path, given.get("user") or "", None if port == usual else port)


def _shown(text: str) -> str:
    """The address, without what may be a password in it."""
    return repr(re.sub(r"//[^/@]*@", "//***@", text[:_LONGEST]))


def _why(text: str) -> str:
    if re.match(r"https?://[^/]*@", text):
        return ": a password in an address would be seen by everybody; a deploy key needs none"
    if text.startswith(("http://", "git://")):
        return ": nothing on the way there is encrypted"
    if text.startswith(("/", ".", "~", "file:")):
        return ": it is a directory; orch sync brings what is here to a host"
    return ""


def directory(text: str) -> str:
    """A name for a directory in ~/work."""
    if not _DIRECTORY.fullmatch(text) or text.endswith(".git"):
        raise usage(f"{text[:100]!r} is no name for a directory in ~/work", "letters, digits, and . _ - within")
    return text


# By which keys a forge is known


def known_keys(wanted: Repository) -> tuple[list[str], bool]:
    """The host keys of its forge, as ``TYPE KEY``, and whether they are published ones; refused where none is known."""
    instead = os.environ.get(_KNOWN)
    found = _in_file(Path(instead), wanted.name_of_host) if instead else []
    if not found and wanted.name_of_host in PUBLISHED:
        return list(PUBLISHED[wanted.name_of_host]), True
    for file in (Path.home() / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts")):
        found = found or _in_file(file, wanted.name_of_host)
    if not found:
        at = f"-p {wanted.port} " if wanted.port else ""
        says = f"nothing here knows the host key of {wanted.name_of_host}, and orch trusts none unseen"
        look = f"ssh-keyscan {at}{wanted.host} 2>/dev/null | ssh-keygen -lf -    # is it what the forge has published?"
        hint = f"{look}\nssh-keyscan {at}{wanted.host} >> ~/.ssh/known_hosts    # if so"
        raise OrchError("not_authorised", says, hint)
    return found, False


def _in_file(file: Path, name: str) -> list[str]:
    try:
        said = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(file)], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split() for line in said.splitlines() if line and line[0] not in "#@"]
    return [f"{row[1]} {row[2]}" for row in rows if len(row) >= 3]


def fingerprint(key: str) -> str:
    """``SHA256:...`` of ``TYPE KEY``, as ssh-keygen prints it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def fingerprints(keys: Sequence[str]) -> str:
    """Several, for a person."""
    return ", ".join(f"{fingerprint(key)} ({key.split()[0]})" for key in keys)
