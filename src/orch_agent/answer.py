"""A verb's answer: one document on standard output.

The request is the word behind the verb, in hex digits, or else one line on standard input. Every verb bears repetition:
one that meets a damaged ledger is done again once that is mended, and its answer says so.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
from typing import Any

from . import codespace, idle, mend, notices, trouble, wire
from .model import JOB_ENV, Refusal

STREAMS = ("logs", "pull", "push", "diff")
"""Verbs that write their answer by themselves."""
VERBS = (
    *("submit", "status", "show", "logs", "wait", "cancel", "send", "attach", "pull", "push", "ports"),
    *("receive", "diff", "repo", "resolve", "secrets", "examine", "idle", "close", "awake"),
)
PLAIN = ("idle",)
"""Verbs that a person or a script calls by hand, without a request."""


def answer(verb: str, request: str = "") -> int:
    """Do it; the exit status is 0 (a stream may have others) or, with an error document, 1."""
    try:
        asked = _request(verb, request)
        return mend.healed(lambda: _answer(verb, asked))
    except BrokenPipeError:
        return 1  # nobody listens any more
    except Refusal as refusal:
        return _fail(refusal)
    except (OSError, sqlite3.Error) as error:
        return _fail(trouble.explain(error))


def _request(verb: str, given: str) -> dict[str, Any]:
    if verb not in VERBS:
        raise Refusal("usage", "this agent has no verb %s; it has %s" % (ascii(verb), " ".join(VERBS)))
    if verb in PLAIN:
        return {}
    if not given:
        importlib.import_module("orch_agent.verbs." + verb)  # whoever has not said yet what he wants gives us time
    return wire.decode(_bytes(given) if given else sys.stdin.buffer.readline())


def _answer(verb: str, request: dict[str, Any]) -> int:
    if verb in idle.USES:
        idle.note_use()
    if codespace.is_here() and verb not in PLAIN:
        _be_seen()
    module = importlib.import_module("orch_agent.verbs." + verb)
    if verb in STREAMS:
        status: int = module.stream(request, sys.stdout.buffer)
        return status
    told = module.run(request)
    notes = notices.take()
    sys.stdout.buffer.write(wire.encode({**told, "notices": notes} if notes else told))
    sys.stdout.buffer.flush()
    return 0


def _be_seen() -> None:
    """In a codespace: whoever calls from outside is there, and somebody has to watch over it from then on."""
    from . import supervision  # other hosts need none for most verbs

    if JOB_ENV[0] not in os.environ:
        codespace.note_contact()
    supervision.ensure_vigil()


def _bytes(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise Refusal("usage", "the request is not in hex digits: %s" % ascii(digits[:80])) from None


def _fail(refusal: Refusal) -> int:
    error = {"kind": refusal.kind, "message": refusal.message, "hint": refusal.hint, "there": refusal.there}
    sys.stdout.buffer.write(wire.encode({"error": error}))
    sys.stdout.buffer.flush()
    return 1
