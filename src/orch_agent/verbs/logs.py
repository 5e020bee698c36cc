"""``logs``: one line of JSON, then bytes of the log.

The client keeps our standard input open for as long as it reads. A named reader's place moves only
when the client says how far it has come, so nothing is skipped by a reader that died on the way.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, Optional

from .. import files, idle, layout, logcap, logread, observe, wire
from ..ledger import Record, open_ledger
from ..model import Ended, check_name
from .common import Request, count, find, number, shown, text


def stream(request: Request, out: BinaryIO) -> int:
    """Answer on ``out``; 0, or ``wire.GAP`` where it ends in front of what is missing."""
    client = logread.Client()
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"), "logs")
        state = observe.look(ledger, record)
        source = logread.Source(_open(record, bool(request.get("follow")) and not isinstance(state, Ended)), record.id)
        size = _end(request, source, isinstance(state, Ended))
        offset, note = _beyond(request, record, source, min(_start(request, record, source, size), size))
        blocks = logread.read(source, offset, size)
        if request.get("follow"):
            blocks = logread.follow(source, offset, observe.Watch(ledger, record).has_ended, client)
        if request.get("grep") is not None:
            pattern = logread.compile_pattern(text(request, "grep"))
            blocks = logread.matching(blocks, pattern, 0 if note else count(request, "skip_lines") or 0)
        header = {"job": shown(ledger, record, state), "offset": offset, "size": size, "tty": record.spec.tty}
        _send(wire.encode({**header, "note": note} if note else header), blocks, out)
    if source.met:
        return wire.GAP  # the client comes again, and says then how far it has come
    if request.get("reader") is not None:
        for descriptor in (out.fileno(), 2):  # the client sees the end of the bytes; over ssh both have to end for that
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        _remember(record, text(request, "reader"), client.last_line())
    return 0


def _send(header: bytes, blocks: Iterator[bytes], out: BinaryIO) -> None:
    try:
        for block in itertools.chain([header], blocks):
            idle.go_on()
            out.write(block)
            out.flush()
    except BrokenPipeError:
        # It reads no more, and may still say how far it came. What is left in the buffer must go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _end(request: Request, source: logread.Source, ended: bool) -> int:
    """How much there is to read now. Half a line is not held against a pattern: a reader would miss the rest."""
    until = count(request, "until")
    size = source.size if until is None else min(until, source.size)
    if request.get("grep") is None or ended or request.get("follow"):
        return size
    return logread.whole_lines(source.fd, size, source.gap)


def _beyond(request: Request, record: Record, source: logread.Source, start: int) -> tuple[int, str]:
    """Where to begin, behind what is missing at ``start``, and what to say in its place."""
    gap = source.gap
    if gap is None or start >= gap.end or (start < gap.start and not request.get("beyond")):
        return start, ""
    line = "\r\n" if record.spec.tty else "\n"
    begins = start <= gap.start and os.pread(source.fd, 1, max(0, gap.start - 1)) not in (b"", b"\n")
    said = logcap.note(gap.end - max(start, gap.start), record.spec.log_max)
    return gap.end, (line if begins else "") + said + line


def _open(record: Record, is_to_come: bool) -> int:
    """The log; one that was removed is empty. One ``is_to_come`` that is not there yet is made, to be followed."""
    try:
        if is_to_come:
            os.makedirs(os.path.dirname(record.log_path), mode=0o700, exist_ok=True)
        return os.open(record.log_path, os.O_RDONLY | (os.O_CREAT if is_to_come else 0), 0o600)
    except OSError:
        return os.open(os.devnull, os.O_RDONLY)


def _start(request: Request, record: Record, source: logread.Source, size: int) -> int:
    """The latest of all the places that the request names."""
    places = [count(request, "offset") or 0]
    if request.get("reader") is not None:
        places.append(_place(record, text(request, "reader")))
    tail, since = count(request, "tail"), _since(request)
    if tail is not None:
        places.append(logread.tail_offset(source.fd, tail, source.gap))
    if since is not None:
        places.append(logread.since_offset(layout.times_file(record.id), since, size))
    return max(places)


def _since(request: Request) -> Optional[float]:
    """A time, or how long ago it was: by this host's clock, which also told when the log was written."""
    asked = request.get("since")
    if isinstance(asked, dict):
        return time.time() - (number(asked, "ago") or 0.0)
    return number(request, "since")


def _place(record: Record, reader: str) -> int:
    """How far a reader has come; one whose place cannot be read begins anew."""
    kept = files.read_text(layout.reader_file(record.id, check_name(reader, "reader"))) or ""
    return int(kept) if kept.isdigit() else 0


def _remember(record: Record, reader: str, line: bytes) -> None:
    """Keep the client's word on how far it has come, if it gave one."""
    if line:
        seen = count(wire.decode(line), "seen") or 0
        path = layout.reader_file(record.id, reader)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        files.write_whole(path, str(seen))
