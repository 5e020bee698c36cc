"""What can go wrong, said so that a person and a program can go on.

Invariants
- Every error has a kind (stable, for programs), a message (what happened, to what) and a hint (what to type next).
- The exit status follows from the error alone; only ``cli.main`` turns one into output and an exit.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeGuard

from orch_agent.model import Refusal

REFUSED, USAGE, BUG, NOT_AUTHORISED, INTERRUPTED, LOST = 1, 2, 3, 4, 130, 255  # the contract
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_STATUS = {"usage": USAGE, "bug": BUG, "not_authorised": NOT_AUTHORISED}


class OrchError(Refusal):
    """An error with its exit status, where that is not the usual one of its kind."""

    def __init__(self, kind: str, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(kind, message, hint)
        self.status = status


class ConfigError(OrchError):
    """A configuration file that cannot be used: the command line was right, so the exit status is 1."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("usage", message, hint, status=REFUSED)


def usage(message: str, hint: str = "") -> OrchError:
    """Something typed that cannot be meant."""
    return OrchError("usage", message, hint)


def explained(error: Exception, status: int | None = None) -> OrchError:
    """``error`` as one of ours, with another exit status if need be.

    What nobody expected becomes a ``bug`` without the error's own words: they may quote a secret.
    """
    if isinstance(error, Refusal):
        ours = OrchError(error.kind, error.message, error.hint, exit_status(error) if status is None else status)
    elif is_want_of_room(error):
        ours = OrchError("refused", f"{error.strerror}: {error.filename or 'standard output'}", "df -h", status)
    else:
        ours = OrchError("bug", f"orch itself failed ({type(error).__name__})", status=status)
    ours.__cause__ = error
    return ours


def is_want_of_room(error: Exception) -> TypeGuard[OSError]:
    """Whether this machine is out of disk, memory, processes or descriptors: no fault of orch."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def exit_status(error: Refusal) -> int:
    """What the program ends with."""
    chosen = error.status if isinstance(error, OrchError) else None
    return _STATUS.get(error.kind, REFUSED) if chosen is None else chosen


def of_host(name: str, error: str) -> str:
    """What is wrong with a host, its name told once."""
    return error if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", error) else f"{name}: {error}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to ``word``, or nothing."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1)
    return found[0] if found else ""


@contextmanager
def while_waiting() -> Iterator[None]:
    """Inside, a failure of orch ends with 255: any other status would pass for the job's own.

    Wrong usage stays 2: no waiting had begun.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        wrong = isinstance(error, Refusal) and exit_status(error) == USAGE
        raise explained(error, USAGE if wrong else LOST) from error


notices: list[str] = []
"""What hosts tell though nobody asked: said once the answer is out."""
