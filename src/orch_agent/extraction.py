"""The files and links of a snapshot, out of git's objects, into the current directory.

Invariants
- Everything is made new, and a directory before what is in it: nothing is written over, and nothing through a link.
- Bytes are those of the objects: what converts them elsewhere is not asked.
- What a file system cannot take is refused with its name; a lack of room is the system's own error.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from typing import IO, Callable

from . import git
from .listing import DIRECTORY, LINK, MODULE, PROGRAM, Entry, damaged
from .model import Refusal

_CHUNK = 1 << 20
_WINDOW = 128
"""Objects asked for at once, and as many ahead: what asks for them fits into a pipe, so nobody waits for ever."""
_NAMES = (errno.EEXIST, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.ENOENT, errno.EISDIR)


def make(store: str, entries: Sequence[Entry], go_on: Callable[[], None]) -> None:
    """Make them all; ``go_on`` is called now and then, and may raise."""
    contents = [entry for entry in entries if entry.mode not in (DIRECTORY, MODULE)]
    for entry in entries:
        if entry.mode in (DIRECTORY, MODULE):
            with _naming(entry.path):
                os.mkdir(entry.path)
    if not contents:
        return
    process = git.start(store, "cat-file", "--batch", stdin=-1, stdout=-1, stderr=-3, bufsize=_CHUNK)
    assert process.stdin and process.stdout  # each was asked for
    try:
        for place, entry in enumerate(contents):
            if place % _WINDOW == 0:
                some = contents[place + _WINDOW if place else 0 : place + 2 * _WINDOW]
                process.stdin.write(b"".join(one.id + b"\n" for one in some))
                process.stdin.flush()
            _write(store, entry, process.stdout)
            go_on()
    except (BrokenPipeError, EOFError):
        if process.wait() < 0:
            raise OSError(errno.EAGAIN, "git was killed") from None
        raise damaged(store, "one of its files") from None
    finally:
        process.kill()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def _write(store: str, entry: Entry, source: IO[bytes]) -> None:
    """One file or link, as git gives it."""
    said = source.readline()
    if not said:
        raise EOFError
    if said != b"%s blob %d\n" % (entry.id, entry.size):
        raise damaged(store, ascii(os.fsdecode(entry.path)))
    with _naming(entry.path):
        if entry.mode == LINK:
            os.symlink(_read(source, entry.size), entry.path)
        else:
            mode = 0o777 if entry.mode == PROGRAM else 0o666
            fd = os.open(entry.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            try:
                _copy(source, entry.size, fd)
            finally:
                os.close(fd)
    _read(source, 1)


def _copy(source: IO[bytes], size: int, fd: int) -> None:
    while size:
        block = _read(source, min(size, _CHUNK))
        size -= len(block)
        while block:
            block = block[os.write(fd, block) :]


def _read(source: IO[bytes], size: int) -> bytes:
    block = source.read(size)
    if len(block) < size:
        raise EOFError
    return block


@contextlib.contextmanager
def _naming(path: bytes) -> Iterator[None]:
    """What the file system does not take on account of the name is no want of room."""
    try:
        yield
    except (OSError, ValueError) as error:
        name = ascii(os.fsdecode(path))
        if isinstance(error, OSError) and error.errno == errno.EEXIST:
            said = "%s and another name of the snapshot are one and the same on this host's file system" % name
        elif isinstance(error, ValueError) or error.errno in _NAMES:
            said = "%s of the snapshot can be nowhere on this host's file system (%s)" % (name, error)
        else:
            raise
        raise Refusal("refused", said) from None
