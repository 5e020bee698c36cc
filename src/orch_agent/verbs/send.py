"""``send``: type a line into a job's terminal."""

from __future__ import annotations

import os

from .. import layout, observe, views
from ..ledger import Record, open_ledger
from ..model import Refusal, Running, State, check_name
from .common import Answer, Request, find, shown, text
from .reach import reach

LINE_LIMIT = 4095
"""Bytes a terminal takes in one line (N_TTY_BUF_SIZE - 1 on Linux; macOS takes 1,024)."""


def run(request: Request) -> Answer:
    """Type the text and Enter; return when the terminal has it."""
    typed = os.fsencode(text(request, "text"))
    if any(len(line) > LINE_LIMIT for line in typed.split(b"\n")):
        raise Refusal("refused", "a line is longer than the %d bytes a terminal takes" % LINE_LIMIT)
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"), "send")
        state = observe.look(ledger, record)
        _check(record, state)
        if _is_first(record, request):
            _type(record, typed + b"\r")
        return {"job": shown(ledger, record, state)}


def _is_first(record: Record, request: Request) -> bool:
    """Whether this request comes for the first time: a client whose link broke repeats it."""
    if request.get("id") is None:
        return True
    path = layout.typed_file(record.id, check_name(text(request, "id"), "id"))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _check(record: Record, state: State) -> None:
    if not isinstance(state, Running):
        raise Refusal("refused", "%s is not running" % record.ref, "orch show %s" % record.ref)
    if not record.spec.tty:
        raise Refusal("refused", "%s has no terminal (--no-tty)" % record.ref, "orch rerun %s" % record.name)


def _type(record: Record, data: bytes) -> None:
    with reach(record) as runner:
        try:
            runner.settimeout(10)
            runner.sendall(views.frame(b"i", data))
            # The runner closes once all is typed.
            runner.shutdown(1)
            runner.recv(1)
        except OSError as error:
            raise Refusal("host", "%s does not read what is typed: %s" % (record.ref, error)) from error
