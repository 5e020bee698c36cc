"""What can go wrong, said so that a person and a program can go on.

Invariants
- Every error has a kind (stable, for programs), a message (what happened, to what) and a hint (what to type next).
- The exit status follows from the error alone; only ``cli.main`` turns one into output and an exit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from orch_agent.model import Refusal

REFUSED, USAGE, BUG, NOT_AUTHORISED, INTERRUPTED, LOST = 1, 2, 3, 4, 130, 255  # the contract
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


def bug(error: BaseException, status: int | None = None) -> OrchError:
    """``error``, which nobody expected. Its own words are left out: they may quote a secret."""
    return OrchError("bug", f"orch itself failed ({type(error).__name__})", status=status)


def exit_status(error: Refusal) -> int:
    """What the program ends with."""
    chosen = error.status if isinstance(error, OrchError) else None
    return _STATUS.get(error.kind, REFUSED) if chosen is None else chosen


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
    except Refusal as error:
        status = USAGE if exit_status(error) == USAGE else LOST
        raise OrchError(error.kind, error.message, error.hint, status=status) from error
    except BrokenPipeError:
        raise
    except Exception as error:
        raise bug(error, status=LOST) from error
