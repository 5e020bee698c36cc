"""A snapshot as bytes: what of it a host lacks, as a pack of git's.

Invariants
- A pack is thin: it leans on ``base``, a snapshot that the host has.
- Which snapshot a host has is noted in our repository, as a reference, so nothing removes what the next one leans on.
"""

from __future__ import annotations

import io
import os
from contextlib import closing, suppress
from typing import IO, NamedTuple

from orch.errors import OrchError

from .git import Failed, refused
from .own import Own
from .snapshot import Snapshot, renew

_SMALL = 1 << 20  # bytes that are kept in memory


class Pack(NamedTuple):
    """``size`` bytes, to be read from ``file``, which is to be closed. ``base``: the snapshot that it leans on.

    Nothing at all, where the host should have this very snapshot.
    """

    base: str | None
    size: int
    file: IO[bytes]


def base(snapshot: Snapshot, host: str) -> str | None:
    """The last snapshot of this working tree that ``host`` is known to have."""
    return Own(snapshot.top).ref(f"hosts/{host}")


def note(snapshot: Snapshot, host: str) -> None:
    """``host`` has it. Where that cannot be noted, the next one is sent as if it had not: nobody is told."""
    own = Own(snapshot.top)
    with suppress(OSError, OrchError, Failed):
        if own.ref(f"hosts/{host}") != snapshot.commit:
            own.set_ref(f"hosts/{host}", snapshot.commit)
            own.tidy()


def pack(snapshot: Snapshot, base: str | None) -> Pack:
    """What of it a host lacks that has ``base``; without that, should it be gone here."""
    own = Own(snapshot.top)
    if base == snapshot.commit:
        return Pack(base, 0, io.BytesIO())
    if base is not None:
        try:
            return _packed(own, snapshot.commit, base)
        except Failed:
            pass
    try:
        return _packed(own, snapshot.commit, None)
    except Failed:
        renew(snapshot)
    try:
        return _packed(own, snapshot.commit, None)
    except Failed as failed:
        raise refused(f"the snapshot of {snapshot.top} cannot be sent", failed) from None


def has_directory(snapshot: Snapshot, directory: str) -> bool:
    """Whether there will be such a directory, below its top, where it is laid out."""
    if not directory or any(f"{directory}/".startswith(f"{one}/") for one in snapshot.share):
        return True
    try:
        return Own(snapshot.top).git.run("cat-file", "-t", f"{snapshot.commit}:{directory}") == b"tree\n"
    except Failed:
        return False


def _packed(own: Own, commit: str, base: str | None) -> Pack:
    """Without a base no file is compared with others: that takes long, and git keeps what it once found."""
    words = ["--thin", "--shallow"] if base else ["--window=0"]
    revisions = f"{commit}\n" + (f"^{base}\n" if base else "")
    file: IO[bytes] = io.BytesIO()
    chunks = own.git.pour("pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset", *words, given=revisions)
    try:
        with closing(chunks):
            for chunk in chunks:
                if isinstance(file, io.BytesIO) and file.tell() + len(chunk) > _SMALL:
                    file = _on_disk(own.place, file.getvalue())
                file.write(chunk)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Pack(base, size, file)


def _on_disk(directory: str, begun: bytes) -> IO[bytes]:
    """A file without a name, which goes on from what was ``begun``."""
    path = os.path.join(directory, f"pack.{os.urandom(6).hex()}")
    file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "r+b")
    os.unlink(path)
    file.write(begun)
    return file
