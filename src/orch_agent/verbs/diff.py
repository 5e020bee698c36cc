"""``diff``: a line of JSON, then what git says of the difference between two snapshots, byte for byte as they are."""

from __future__ import annotations

import re
import subprocess
from typing import BinaryIO

from .. import git, stores, wire
from ..check import check_place
from ..ledger import Record, open_ledger
from ..model import Refusal
from .common import Request, find, texts, view

_OPTION = re.compile(
    r"--(stat|name-only|name-status|numstat|shortstat|summary|color|no-color|word-diff|patch|ignore-all-space)"
    r"|--(color|stat|word-diff)=[a-z0-9,]+|--unified=[0-9]{1,9}|-U[0-9]{1,9}|-[pwbR]"
)
"""None of them has git read or write a file, or run a program."""


def stream(request: Request, out: BinaryIO) -> int:
    """Answer on ``out``."""
    jobs, options, paths = texts(request, "jobs"), texts(request, "options"), texts(request, "paths")
    for option in options:
        if not _OPTION.fullmatch(option):
            raise Refusal("usage", "orch diff has no option %s" % ascii(option))
    with open_ledger() as ledger:
        records = [find(ledger, ref, "diff") for ref in jobs]
        store, commits = _compared(records, request)
        views = [view(ledger, record) for record in records]
    with stores.held(store):
        for commit in commits:
            stores.check_whole(store, commit)
    header = {"from": views[0], "to": views[1] if views[1:] else None, "store": store, "commits": commits}
    out.write(wire.encode(header))
    out.flush()
    words = ("--no-pager", "diff", "--no-ext-diff", "--no-textconv", *options, *commits, "--", *paths)
    return _status(git.start(store, *words, stdin=subprocess.DEVNULL, stdout=out.fileno()).wait())


def _status(status: int) -> int:
    """Nobody listens any more: that is no failure that anybody would hear of."""
    return 1 if status < 0 else status


def _compared(records: list[Record], request: Request) -> tuple[str, list[str]]:
    """The store that has both, and the two."""
    places = [_place(record) for record in records]
    if request.get("commit") is not None:
        check_place(request)
        places.append((request["store"], request["commit"]))
    if len(places) != 2 or not records:
        raise Refusal("usage", "two are compared: two jobs, or a job and what is in a working tree now")
    (store, first), (other, second) = places
    if store != other:
        said = "%s ran code of %s, and what it is compared with is of %s: these are different repositories"
        raise Refusal("refused", said % (records[0].ref, store, other))
    return store, [first, second]


def _place(record: Record) -> tuple[str, str]:
    code = record.spec.code
    if code is None:
        said = "%s was run without --sync: nobody knows what its code was" % record.ref
        raise Refusal("refused", said, "orch run %s --sync …" % record.name)
    return code["store"], code["commit"]
