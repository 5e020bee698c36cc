"""Why no job is admitted just now: a line that the supervisor leaves. It means nothing where there is none."""

from __future__ import annotations

from typing import Optional

from . import files, layout, locks


def put(why: Optional[str]) -> None:
    """Say why, or that nothing is held any more."""
    if why is None:
        files.remove(layout.hold_file())
        return
    try:
        files.write_whole(layout.hold_file(), why, durable=False)
    except OSError:
        pass  # a full disk: then the jobs wait without a word


def reason() -> Optional[str]:
    """Why no job is admitted, in words, or None."""
    why = files.read_text(layout.hold_file())
    return why if why and locks.is_held(layout.supervisor_lock()) else None
