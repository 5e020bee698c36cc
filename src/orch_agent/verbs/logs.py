"""``logs``: one line of JSON, then bytes of the log.

The client keeps our standard input open for as long as it reads. A named reader's place moves only
when the client says how far it has come, so nothing is skipped by a reader that died on the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from .. import files, layout, logread, observe, present, wire
from ..ledger import Ledger, Record, open_ledger
from ..model import check_name
from .common import Request, find, text


def stream(request: Request, out: BinaryIO) -> None:
    """Answer on ``out``."""
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"))
        fd = _open(record)
        size = os.fstat(fd).st_size
        offset = _start(request, record, fd, size)
        state = observe.look(ledger, record)
        header = {"job": present.job_view(record, state), "offset": offset, "size": size, "tty": record.spec.tty}
        blocks = _blocks(request, ledger, record, fd, offset, size)
        if request.get("grep") is not None:
            pattern = logread.compile_pattern(text(request, "grep"))
            blocks = logread.matching(blocks, pattern, int(request.get("skip_lines") or 0))
        out.write(wire.encode(header))
        out.flush()
        for block in blocks:
            out.write(block)
            out.flush()
    if request.get("reader") is not None:
        out.close()
        _remember(record, text(request, "reader"))


def _open(record: Record) -> int:
    """The log; one that was removed is empty."""
    try:
        return os.open(record.log_path, os.O_RDONLY)
    except OSError:
        return os.open(os.devnull, os.O_RDONLY)


def _start(request: Request, record: Record, fd: int, size: int) -> int:
    """The latest of all the places that the request names."""
    places = [int(request.get("offset") or 0)]
    if request.get("reader") is not None:
        path = layout.reader_file(record.id, check_name(text(request, "reader"), "reader"))
        places.append(int(files.read_text(path) or 0))
    if request.get("tail") is not None:
        places.append(logread.tail_offset(fd, int(request["tail"])))
    if request.get("since") is not None:
        places.append(logread.since_offset(layout.times_file(record.id), float(request["since"]), size))
    return min(max(places), size)


def _blocks(request: Request, ledger: Ledger, record: Record, fd: int, offset: int, size: int) -> Iterator[bytes]:
    if not request.get("follow"):
        return logread.read(fd, offset, size)
    return logread.follow(fd, offset, observe.Watch(ledger, record).has_ended, logread.client_gone)


def _remember(record: Record, reader: str) -> None:
    """Wait for the client's word on how far it has come, and keep it."""
    line = sys.stdin.buffer.readline()
    if line:
        seen = int(wire.decode(line).get("seen", 0))
        path = layout.reader_file(record.id, reader)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        files.write_whole(path, str(seen))
