"""``pull``: a line of JSON, then what was asked for, in three steps that each stand alone.

``paths`` of a job: a record for everything there is, and an empty one behind the last. ``files``, each as base, path,
and size and hash of what the laptop has of it: their contents from there on; with ``digest``: a record with the hash of
each. Nothing is remembered between the steps, so each bears repetition, from wherever the last one broke off.
"""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from .. import contents, idle, layout, outputs, wire, workplace
from ..ledger import Record, open_ledger
from ..model import OUT_ENV, Refusal
from .common import Request, find, text, texts, view

_BUFFER = 1 << 18
_OUT = "$" + OUT_ENV


def stream(request: Request, out: BinaryIO) -> int:
    """Answer on ``out``."""
    with _InUse(io.FileIO(out.fileno(), "wb", closefd=False), _BUFFER) as wide:
        if "files" in request:
            _files(request, wide)
        else:
            _listing(request, wide)
    return 0


class _InUse(io.BufferedWriter):
    """Whoever is sent something uses this host."""

    def write(self, data: Any) -> int:
        idle.go_on()
        return super().write(data)


def _listing(request: Request, out: BinaryIO) -> None:
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"), "pull")
        header = {"job": view(ledger, record)}
    directory = workplace.directory(record)
    asked = _asked(record, texts(request, "paths"), os.fsencode(directory))
    out.write(wire.encode({**header, "directory": outputs.text(os.fsencode(directory))}))
    bases: dict[bytes, int] = {}
    for path, roots in asked:
        if not roots:
            out.write(wire.encode({"path": path, "kind": "", "why": "there is none", "absent": True}))
        for root in roots:
            base = bases.setdefault(root.base, len(bases))
            if base == len(bases) - 1:
                out.write(wire.encode({"base": outputs.text(root.base)}))
            for entry in outputs.entries(root):
                out.write(wire.encode({**entry, "below": base}))
    out.write(wire.encode({}))


def _asked(record: Record, paths: list[str], directory: bytes) -> list[tuple[str, list[outputs.Root]]]:
    """Each path with what it means; ``$ORCH_OUT``, or none at all, is what the job has put there."""
    return [(path, _roots(record, path, directory)) for path in paths or [_OUT]]


def _roots(record: Record, path: str, directory: bytes) -> list[outputs.Root]:
    if path != _OUT:
        return outputs.roots(path, directory, os.fsencode(layout.home()))
    out = os.fsencode(layout.out_dir(record.id))
    return [outputs.Root(out, b"")] if os.path.isdir(out) else []


def _files(request: Request, out: BinaryIO) -> None:
    bases = [outputs.raw(base) for base in texts(request, "bases")]
    files = [_file(one, bases) for one in request["files"]]
    out.write(wire.encode({}))
    for path, have in files:
        if request.get("digest"):
            out.write(wire.encode(contents.digest(path)))
        else:
            contents.send(path, have, out)


def _file(said: Any, bases: list[bytes]) -> tuple[bytes, contents.Have]:
    try:
        base, path, size, sha256 = said
        return os.path.join(bases[base], outputs.raw(path)), contents.Have(int(size), str(sha256))
    except (TypeError, ValueError, IndexError):
        raise Refusal("usage", "%s is no file to be pulled" % ascii(said)) from None
