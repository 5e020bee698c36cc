"""A file written as a whole: whoever reads it finds the old one or the new one."""

from __future__ import annotations

import os


def write_whole(path: str, text: str | bytes, mode: int = 0o600) -> None:
    """Write ``text``, with its directories where there are none; an ``OSError`` leaves what was there."""
    data = text.encode() if isinstance(text, str) else text
    directory = os.path.dirname(path)
    aside = f"{path}.{os.urandom(6).hex()}"
    if directory:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file:
            file.write(data)
        os.replace(aside, path)
    except OSError:
        remove(aside)
        raise


def keep(path: str, text: str) -> bool:
    """Write what may as well be lost; whether that could be had."""
    try:
        write_whole(path, text)
    except OSError:
        return False
    return True


def remove(path: str) -> None:
    """See to it that it is not there, where that can be had."""
    try:
        os.unlink(path)
    except OSError:
        return
