"""``push``: a line of JSON, then an answer, in two steps that each stand alone.

``entries``, each as path, kind, size and target: a record for each that is there already, or has begun to come, and an
empty one behind the last. Without them: what is sent on standard input is put in its place; then a record for all that
is not as it was sent, and an empty one. Nothing is remembered between the steps, so each bears repetition.
"""

from __future__ import annotations

import os
import shlex
from typing import Any, BinaryIO

from .. import arrivals, layout, outputs, trouble, wire
from ..arrivals import Arrivals, Cut
from ..landing import Place
from ..launch import detach
from ..model import Refusal
from .common import Request, text


def stream(request: Request, out: BinaryIO) -> int:
    """Answer on ``out``."""
    to = os.path.join(layout.home(), os.path.expanduser(os.fsdecode(outputs.raw(text(request, "to")))))
    out.write(wire.encode({"to": outputs.text(os.fsencode(to))}))
    out.flush()
    status = 0
    if "entries" in request:
        _look(to, request["entries"], out)
    else:
        status = _land(to, out)
    out.flush()
    return status


def _look(to: str, said: Any, out: BinaryIO) -> None:
    entries = [_entry(one) for one in said]
    if os.path.lexists(to):
        place = _place(to)
        for record in arrivals.seen(place, entries):
            out.write(wire.encode(record))
        place.close()
    out.write(wire.encode({}))


def _entry(said: Any) -> tuple[bytes, str, int, bytes]:
    try:
        path, kind, size, target = said
        return outputs.raw(path), str(kind), int(size), outputs.raw(target)
    except (TypeError, ValueError):
        raise Refusal("usage", "%s is nothing to be pushed" % ascii(said)) from None


def _land(to: str, out: BinaryIO) -> int:
    place = _place(to)
    landing = Arrivals(place, arrivals.incoming(0))
    is_whole = False
    try:
        landing.all()
        is_whole = True
    except Cut:
        return 1
    except OSError as error:
        if not trouble.is_full(error):
            raise
        said = "the disk that holds %s is full; what has come stays, and the same command goes on with the rest"
        raise Refusal("host", said % to, "df -h %s" % shlex.quote(to), there=True) from None
    finally:
        landing.close()
        place.close(is_whole)
    for record in landing.left:
        out.write(wire.encode(record))
    out.write(wire.encode({"changed": landing.changed}))
    out.write(wire.encode({}))
    return 0


def _place(to: str) -> Place:
    private = os.umask(detach.original_umask)
    try:
        return Place(to, any_link=True, patience=arrivals.PATIENCE)
    except OSError as error:
        if trouble.is_full(error):
            raise
        raise Refusal("refused", "nothing can be pushed to %s: %s" % (to, error.strerror)) from None
    finally:
        os.umask(private)
