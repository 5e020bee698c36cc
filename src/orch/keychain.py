"""Secrets for machines that keep none themselves: in this machine's keychain, beside the person's other passwords.

Invariants
- A value is in the keychain and nowhere else here. ``keyring`` reaches it, and is imported when it is needed.
- No keychain tells what is in it, so the names for a host are an entry too, of which only ``names`` makes use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import paths
from .errors import ConfigError, OrchError

SERVICE = "orch"
_INSTALL = "pip install 'orch-cloud[keyring]'    # with uv: uv tool install 'orch-cloud[keyring]'"
_LOOK = "keyring diagnose    # a desktop's keychain has to be unlocked; without a desktop, keyrings.alt keeps a file"


class Keychain:
    """What is kept for one host. Linux gives no program a variable of more than 128 KiB, so no value is longer."""

    where = "the keychain of this machine"
    most = 131_000
    travels = True

    def __init__(self, host: str) -> None:
        self._host = host

    def names(self) -> Sequence[str]:
        """By its own account."""
        return sorted(self._index())

    def put(self, name: str, value: str) -> None:
        """Keep it, and see that it is there: some keychains keep nothing, and do not say so."""
        with _reached() as keyring, _alone():
            keyring.set_password(SERVICE, self._entry(name), value)
            if keyring.get_password(SERVICE, self._entry(name)) != value:
                raise ConfigError("the keychain here does not keep what it is given", _LOOK)
            self._note({*self._index(), name})

    def remove(self, name: str) -> None:
        """Forget it."""
        with _reached() as keyring, _alone():
            is_kept = keyring.get_password(SERVICE, self._entry(name)) is not None
            if is_kept:
                keyring.delete_password(SERVICE, self._entry(name))
            self._note({*self._index()} - {name})
        if not is_kept:
            raise OrchError("not_found", f"no secret {name} is kept for {self._host}", "orch secret list")

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """Those that are there."""
        with _reached() as keyring:
            found = {name: keyring.get_password(SERVICE, self._entry(name)) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def _entry(self, name: str) -> str:
        return f"{self._host}/{name}"

    def _index(self) -> list[str]:
        with _reached() as keyring:
            text = keyring.get_password(SERVICE, self._entry(""))
        try:
            found = json.loads(text or "[]")
        except ValueError:
            found = []
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def _note(self, names: set[str]) -> None:
        with _reached() as keyring:
            keyring.set_password(SERVICE, self._entry(""), json.dumps(sorted(names)))


@contextmanager
def _reached() -> Iterator[Any]:
    """``keyring``; what it raises becomes an error of ours, without its words, which are nobody's to answer for."""
    try:
        import keyring
        from keyring.errors import KeyringError, KeyringLocked, NoKeyringError
    except ImportError:
        says = "secrets for it are kept in this machine's keychain; keyring, which reaches that, is not installed"
        raise ConfigError(says, _INSTALL) from None
    try:
        yield keyring
    except NoKeyringError:
        raise ConfigError("this machine has no keychain that orch could use", _LOOK) from None
    except KeyringLocked:
        raise OrchError(
            "not_authorised", "the keychain of this machine is locked", "unlock it, and try again"
        ) from None
    except OrchError:
        raise
    except (KeyringError, RuntimeError, ImportError, AttributeError) as error:
        raise ConfigError(f"the keychain of this machine cannot be used ({type(error).__name__})", _LOOK) from None


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time, for two would write two lists of names."""
    import fcntl

    path = paths.keychain_lock()
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
