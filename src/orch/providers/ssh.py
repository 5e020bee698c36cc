"""A machine that is there already and that ssh reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orch.errors import ConfigError
from orch.keychain import Keychain
from orch.model import Check, Host
from orch.ssh import SshTransport
from orch.transport import Transport

from .base import SecretStore

_OURS = {
    *("batchmode", "controlmaster", "controlpath", "controlpersist", "requesttty", "remotecommand", "sessiontype"),
    *("forkafterauthentication", "stdinnull"),
}
_PATHS = {"identityfile", "certificatefile", "identityagent"}
_HOME = re.compile(r"(~/|/)[A-Za-z0-9._/@+-]*")


class Ssh:
    """Nothing to create, nothing to pay; reached as ``address`` says, by the person's own keys."""

    options: Mapping[str, type] = {"address": str, "ssh_options": dict, "orch_home": str, "repos": list}

    def transport(self, host: Host) -> Transport:
        """The system's OpenSSH."""
        return _transport(host)

    def secrets(self, host: Host) -> SecretStore:
        """With the person's other passwords."""
        return Keychain(host.name)

    def checks(self, host: Host) -> list[Check]:
        """From a connection made anew."""
        from orch.ssh.checks import look

        return look(_transport(host))


def _transport(host: Host) -> SshTransport:
    address = host.options.get("address", "")
    if not address or address.startswith("-") or not address.isprintable() or " " in address:
        what = f"an address that ssh cannot use: {address!r}" if address else "no address"
        raise _mistake(host, what, 'address = "me@box.example", or an alias of ~/.ssh/config')
    options = host.options.get("ssh_options", {}).items()
    words = [word for key, value in options for word in _option(host, key, value)]
    home = _home(host)
    return SshTransport(host, address, words, {"ORCH_HOME": home} if home else {})


def _mistake(host: Host, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{host.source}: [hosts.{host.name}] has {what}", f"write {hint}")


def _option(host: Host, key: str, value: Any) -> Iterator[str]:
    """One keyword of ssh_config(5) as words of ssh's command line; what it means is ssh's to say."""
    if not key.isascii() or not key.isalnum():
        raise _mistake(host, f"{key!r} in ssh_options, which is no keyword of ssh_config", 'keywords as in Port = "22"')
    if key.lower() in _OURS:
        raise _mistake(host, f"{key} in ssh_options, which orch sets by itself", f"ssh_options without {key}")
    for one in value if isinstance(value, list) else [value]:
        text = {True: "yes", False: "no"}[one] if isinstance(one, bool) else str(one)
        if not isinstance(one, (str, int)) or not text or "\n" in text or "\0" in text:
            raise _mistake(host, f"a value of {key} in ssh_options that is no text", f'{key} = "..."')
        if key.lower() in _PATHS and " " in text and '"' not in text:
            text = f'"{text}"'
        yield from ("-o", f"{key}={text}")


def _home(host: Host) -> str:
    home: str = host.options.get("orch_home", "")
    if home and not _HOME.fullmatch(home):
        raise _mistake(host, f"an orch_home that cannot be used: {home!r}", "a plain path: /scratch/me/orch, ~/orch")
    return "$HOME" + home[1:] if home.startswith("~") else home


PROVIDER = Ssh()
