"""``repo``: clones of repositories in ~/work, each with a deploy key of its own.

To have a forge take the key is the laptop's to do: ``add`` says whether the repository can be read by now, and clones
it if so; until then it may be called again and again. One call at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from .. import clones, commands, deploykeys, files, layout
from ..model import Refusal
from .common import Answer, Request, text, texts

_KEY = re.compile(r"[a-z0-9._][a-z0-9._-]{0,250}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_HOST = re.compile(r"[a-z0-9][a-z0-9.-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_PATH = re.compile(r"[A-Za-z0-9._~+/-]+")
_URL = re.compile(r"(https://|ssh://|[A-Za-z0-9_][A-Za-z0-9._-]*@)[A-Za-z0-9._~+/:@-]+")
_KNOWN = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+")
_DENIED = ("permission denied", "not found", "could not be found", "access denied", "not have access", "unauthorized")
Record = dict[str, Any]


def run(request: Request) -> Answer:
    """``do``: ``add``, ``list``, ``look`` or ``rm``."""
    what = text(request, "do")
    if what == "list":
        return {"repos": [_view(name, record) for name, record in sorted(_read().items())]}
    if what == "look":
        return {"repo": _view(*_known(request, _read()), closely=True)}
    if what not in ("add", "rm"):
        raise Refusal("usage", "repo has no %s" % ascii(what))
    with _alone():
        return _add(request) if what == "add" else _remove(request)


@contextmanager
def _alone() -> Iterator[None]:
    os.makedirs(layout.keys_dir(), 0o700, exist_ok=True)
    fd = os.open(os.path.join(layout.keys_dir(), "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _read() -> dict[str, Record]:
    found = files.read_table(layout.repositories_file())
    return {name: one for name, one in found.items() if isinstance(one, dict) and _NAME.fullmatch(name)}


def _write(records: Mapping[str, Record]) -> None:
    files.write_whole(layout.repositories_file(), json.dumps(records, indent=1) + "\n")


# Adding


def _add(request: Request) -> Answer:
    name, record = _word(request, "directory", _NAME), _wanted(request)
    records = _read()
    before = _before(records, name, record)
    origin, ssh = _origin(record), deploykeys.ssh() if record["key"] else None
    is_there = clones.check(name, [record["url"], origin], before is not None)
    if record["key"]:
        comment = "orch@%s %s" % (os.uname().nodename, record["key"])
        public: Optional[str] = deploykeys.ensure(record["key"], comment, record["url"])
    else:
        public = None
    record["write"] = bool(request["write"]) if "write" in request else bool((before or {}).get("write"))
    record["admitted"] = bool((before or {}).get("admitted"))
    if record["key"]:
        records[name] = record
        _write(records)
        deploykeys.tell_ssh(records.values())
    try:
        clones.reach(origin, ssh)
    except commands.Failed as failed:
        if not public or not any(word in failed.said.lower() for word in _DENIED):
            raise _unreadable(record, failed) from None
        return {"repo": _view(name, record), "access": False, "why": failed.message}
    if is_there:
        clones.point(name, origin, ssh)
    else:
        clones.make(name, origin, ssh)
    record["admitted"] = True
    _write({**records, name: record})
    found = clones.submodules(name)
    return {"repo": _view(name, record), "access": True, "created": not is_there, "submodules": found}


def _wanted(request: Request) -> Record:
    """The repository, as it is written down; what ssh or git could take for anything else is refused."""
    record: Record = {"url": _word(request, "url", _URL), "key": "", "known": []}
    if not request.get("key"):
        return record
    record.update(
        key=_word(request, "key", _KEY),
        host=_word(request, "host", _HOST),
        user=_word(request, "user", _USER),
        path=_word(request, "path", _PATH),
        known=texts(request, "known"),
    )
    port = request.get("port")
    if port is not None:
        if not isinstance(port, int) or not 0 < port < 65536:
            raise Refusal("usage", "the request has no port that there can be")
        record["port"] = port
    if not record["known"] or not all(map(_KNOWN.fullmatch, record["known"])):
        raise Refusal("usage", "the request has no host keys that ssh takes")
    return record


def _word(request: Request, key: str, right: re.Pattern[str]) -> str:
    value = text(request, key)
    if not right.fullmatch(value):
        raise Refusal("usage", "the request has no %s that can be used: %s" % (key, ascii(value[:200])))
    return value


def _before(records: Mapping[str, Record], name: str, record: Record) -> Optional[Record]:
    """What is known of it; two repositories have two names and two keys."""
    before = records.get(name)
    if before is not None and (before.get("key") != record["key"] or not (record["key"] or _same(before, record))):
        said = "~/work/%s on this host is for %s" % (name, before["url"])
        raise Refusal("refused", said, "orch repo add --name OTHER %s" % record["url"])
    for other, one in records.items():
        if other != name and record["key"] and one.get("key") == record["key"]:
            said = "%s is cloned to ~/work/%s on this host already" % (record["url"], other)
            raise Refusal("refused", said, "orch repo add --name %s %s" % (other, record["url"]))
    return before


def _same(one: Record, other: Record) -> bool:
    return bool(one.get("url") == other["url"])


def _origin(record: Record) -> str:
    """The address that the clone has: through the alias, where there is a key."""
    if not record["key"]:
        return str(record["url"])
    alias = deploykeys.alias(record["key"])
    if record["path"].startswith("/"):
        return "ssh://%s@%s%s" % (record["user"], alias, record["path"])
    return "%s@%s:%s" % (record["user"], alias, record["path"])


def _unreadable(record: Record, failed: commands.Failed) -> Refusal:
    """Why it cannot be read, which no deploy key changes."""
    if "verification failed" in failed.said or "IDENTIFICATION HAS CHANGED" in failed.said:
        said = "who answers as %s has another host key than that forge: somebody may stand between" % record["host"]
        look = "ssh-keyscan %s 2>/dev/null | ssh-keygen -lf -" % record["host"]
        return Refusal("refused", said, look, there=True)
    if not record["key"]:
        said = "%s cannot be read without a login: %s" % (record["url"], failed.message)
        place, _, path = record["url"].partition("://")[2].partition("/")
        host = place.partition(":")[0]  # a port is https's own
        return Refusal("refused", said, "orch repo add git@%s:%s    # that way it gets a deploy key" % (host, path))
    said = "%s cannot be reached from this host: %s" % (record["url"], failed.message)
    look = "%s -v -T %s@%s" % (deploykeys.ssh(), record["user"], deploykeys.alias(record["key"]))
    return Refusal("host", said, look, there=True)


# Showing


def _view(name: str, record: Record, closely: bool = False) -> Mapping[str, Any]:
    found = clones.look(name, closely)
    public = deploykeys.public(record["key"]) if record.get("key") else None
    return {
        "name": name,
        "url": record.get("url"),
        "directory": clones.place(name),
        "branch": found.branch,
        "commit": found.head,
        "state": found.state,
        "unpushed": found.unpushed,
        "key": record.get("key") or None,
        "public_key": public,
        "write": bool(record.get("write")),
        "admitted": bool(record.get("admitted", found.head)),
    }


# Removing


def _known(request: Request, records: Mapping[str, Record]) -> tuple[str, Record]:
    name = _word(request, "directory", _NAME)
    if name not in records:
        raise Refusal("not_found", "there is no clone %s on this host" % name, "orch repo list")
    return name, records[name]


def _remove(request: Request) -> Answer:
    """Its key and its alias, and with ``clone`` the clone; ``force``: also what only this host has.

    Who asks for ``clone`` has had it looked at closely, when its key still let it ask the forge.
    """
    records = _read()
    name, record = _known(request, records)
    view = _view(name, record)
    if request.get("clone") and view["unpushed"] and not request.get("force"):
        said = "~/work/%s has what nobody else has: %s" % (name, ", ".join(view["unpushed"]))
        raise Refusal("refused", said, "orch repo rm %s --delete-clone --force    # if it is to be lost" % name)
    if request.get("clone"):
        clones.remove(name)
    elif view["state"] not in ("missing", "broken") and record.get("key"):
        clones.point(name, record["url"], None)
    left = {other: one for other, one in records.items() if other != name}
    deploykeys.tell_ssh(left.values())
    if record.get("key"):
        deploykeys.forget(record["key"])
    _write(left)
    return {"repo": view}
