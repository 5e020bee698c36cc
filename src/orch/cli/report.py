"""The file that tells of a failure of orch itself, fit to be shown to strangers."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback

from orch import __version__, paths


def write(error: BaseException) -> str:
    """Write the report; gives its path."""
    name = time.strftime("orch-%Y%m%d-%H%M%S-") + f"{os.getpid()}.txt"
    for directory in (paths.reports(), tempfile.gettempdir()):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            path = os.path.join(directory, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text(error))
            return path
        except OSError:
            continue
    return "(it could not be written: no directory allows it)"


def text(error: BaseException) -> str:
    """Versions, and for the error and each of its causes its type and where it passed; never its words."""
    lines = [f"orch {__version__}, Python {platform.python_version()}, {platform.platform()}", ""]
    cause: BaseException | None = error
    while cause is not None:
        lines.append(type(cause).__qualname__)
        frames = traceback.extract_tb(cause.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}\n    {frame.line}" for frame in frames]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(lines) + "\n"
