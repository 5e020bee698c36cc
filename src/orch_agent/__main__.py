"""argv -> verb -> JSON. The request is one line on standard input, the answer one document on standard output.

``runner``, ``adopt`` and ``view`` take a job's id instead: they are processes that stay with a job.
"""

from __future__ import annotations

import importlib
import sqlite3
import sys

from . import wire
from .launch import detach
from .model import Refusal

VERBS = ("submit", "status", "show", "logs", "wait", "cancel", "send", "attach")
COMPANIONS = ("runner", "adopt", "view")


def main() -> None:
    """Do what the command line says and exit: 0, or 1 with an error document."""
    sys.exit(_main())


def _main() -> int:
    detach.set_private_umask()
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb in COMPANIONS and len(sys.argv) == 3:
        importlib.import_module("orch_agent." + verb).main(sys.argv[2])
        return 0
    try:
        return _answer(verb)
    except BrokenPipeError:
        return 1  # nobody listens any more
    except Refusal as refusal:
        return _fail(refusal)
    except (OSError, sqlite3.Error) as error:
        from .ledger import refusal as explain

        return _fail(explain(error, getattr(error, "filename", None) or "of this host"))


def _answer(verb: str) -> int:
    if verb not in VERBS:
        raise Refusal("usage", "this agent has no verb %s; it has %s" % (ascii(verb), " ".join(VERBS)))
    request = wire.decode(sys.stdin.buffer.readline())
    module = importlib.import_module("orch_agent.verbs." + verb)
    if verb == "logs":
        module.stream(request, sys.stdout.buffer)
    else:
        sys.stdout.buffer.write(wire.encode(module.run(request)))
        sys.stdout.buffer.flush()
    return 0


def _fail(refusal: Refusal) -> int:
    error = {"kind": refusal.kind, "message": refusal.message, "hint": refusal.hint}
    sys.stdout.buffer.write(wire.encode({"error": error}))
    sys.stdout.buffer.flush()
    return 1
