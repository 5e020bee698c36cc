"""``receive``: a snapshot of a working tree comes, as a pack of git's behind the request; without one: is it here?"""

from __future__ import annotations

import sys
from typing import Callable, Optional

from .. import layout, packs, wire
from .common import Answer, Request


def run(request: Request) -> Answer:
    """Take it in; the answer comes when it is here whole, and on the disk."""
    pack = packs.Pack.parse(request.get("pack", request))
    packs.receive(pack, sys.stdin.buffer, _teller(request))
    return {"received": True, "share": layout.shared_dir(pack.store, "").rstrip("/")}


def _teller(request: Request) -> Optional[Callable[[], None]]:
    return _say_ready if request.get("announce") else None


def _say_ready() -> None:
    sys.stdout.buffer.write(wire.encode({"ready": True}))
    sys.stdout.buffer.flush()
