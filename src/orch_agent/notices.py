"""What a person should know though nobody asked: kept until the next answer of a verb takes it along, once."""

from __future__ import annotations

import os

from . import files, layout


def leave(text: str) -> None:
    """Leave a line for whoever asks next; where it cannot be written, ``orch doctor`` still finds what it told of."""
    try:
        fd = os.open(layout.notices_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return
    try:
        os.write(fd, text.replace("\n", " ").encode("ascii", "backslashreplace") + b"\n")
    except OSError:
        pass
    finally:
        os.close(fd)


def take() -> list[str]:
    """The lines that were left; from now on they are told."""
    path = layout.notices_file()
    if not os.path.exists(path):
        return []
    aside = "%s.%d" % (path, os.getpid())
    try:
        os.rename(path, aside)
    except OSError:
        return []  # another took them, or the disk is read-only and they will be told again
    text = files.read_text(aside) or ""
    files.remove(aside)
    return text.splitlines()
