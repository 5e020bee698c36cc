"""Deploy keys: for each repository one of its own, made on this host, which its private half never leaves but for the
parameters of the machine at AWS that this may be.

Invariants
- A key belongs to an alias: a forge takes a deploy key for one repository only, so ssh has to know which it is to show.
- A clone shows its own key and no other: its ssh reads nothing but our configuration (``ssh``), for ssh would show the
  person's keys too wherever their configuration names any. The way to the forge (port, proxy) is taken from there.
- The person's ~/.ssh/config gets one line, at its top, and keeps everything else as it is, its mode too.
- Each step may be the last one, and the next call goes on from there: files are whole or absent. A key is its private
  half; the public one is what that gives, and is mended by it.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from . import commands, files, layout
from .model import Refusal

PREFIX = "orch-"
_ALIAS = """\
Host {alias}
{way}    HostKeyAlias {known_as}
    User {user}
    IdentityFile "{file}"
    IdentitiesOnly yes
    IdentityAgent none
    PreferredAuthentications publickey
    BatchMode yes
    StrictHostKeyChecking yes
    UserKnownHostsFile "{known}"
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
    CheckHostIP no
    ControlMaster no
    ControlPath none
    ForwardAgent no

"""
"""No shared connection: what is asked through one is asked with the key that it was opened with."""
_WAY = ("hostname", "port", "proxycommand", "proxyjump", "addressfamily", "bindaddress", "bindinterface")

Record = Mapping[str, Any]


def alias(key: str) -> str:
    """What ssh calls the way with that key."""
    return PREFIX + key


def private(key: str) -> str:
    """The file of its private half."""
    return os.path.join(layout.keys_dir(), key)


def ssh() -> str:
    """The command by which git reaches the forges, for its ``core.sshCommand``."""
    return "ssh -F " + shlex.quote(layout.ssh_config())


def public(key: str) -> Optional[str]:
    """Its public half, where the key is whole."""
    if not os.path.exists(private(key)):
        return None
    try:
        return commands.run(["ssh-keygen", "-y", "-P", "", "-f", private(key)]).strip()
    except commands.Failed:
        return None


def ensure(key: str, comment: str, about: str) -> str:
    """See to it that the key is there, and kept where a machine that comes after this one finds it; the public half.

    ``about``: what it is for, told beside it where it is kept.
    """
    os.makedirs(layout.keys_dir(), 0o700, exist_ok=True)
    store = Store.of_this_machine()
    if os.path.exists(private(key)):
        os.chmod(private(key), 0o600)  # else ssh does not read it
    found = public(key)
    kept = store.get(key) if found is None and store else None
    if kept is not None:
        files.write_whole(private(key), kept)
        found = public(key)
    if found is None:
        _make(key, comment)
        found = public(key)
    assert found is not None
    files.write_whole(private(key) + ".pub", found + "\n")
    if store:
        store.keep(key, "%s %s" % (" ".join(found.split()[:2]), about))
    return found


def _make(key: str, comment: str) -> None:
    aside = private(key) + ".new"
    for leftover in (aside, aside + ".pub"):  # of a call that was killed
        files.remove(leftover)
    commands.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", aside])
    os.rename(aside, private(key))
    files.remove(aside + ".pub")


def forget(key: str) -> None:
    """Remove both halves; the private one first."""
    files.remove(private(key))
    files.remove(private(key) + ".pub")


# What ssh is told


def tell_ssh(records: Iterable[Record]) -> None:
    """Have ssh know the aliases of these repositories, and the host keys of their forges, and no others."""
    keyed = [one for one in records if one.get("key")]
    known = {"%s %s" % (_known_as(one), key) for one in keyed for key in one["known"]}
    os.makedirs(layout.keys_dir(), 0o700, exist_ok=True)
    hosts = os.path.join(layout.keys_dir(), "known_hosts")
    files.write_whole(hosts, "".join("%s\n" % line for line in sorted(known)))
    files.write_whole(layout.ssh_config(), "".join(_block(one, hosts) for one in keyed))
    _include(bool(keyed))


def _block(record: Record, hosts: str) -> str:
    return _ALIAS.format(
        alias=alias(record["key"]),
        way="".join("    %s\n" % line for line in _way(record)),
        known_as=_known_as(record),
        user=record["user"],
        file=private(record["key"]),
        known=hosts,
    )


def _way(record: Record) -> list[str]:
    """How the forge is reached, as the configurations of the person and the system say by now."""
    port = ["-p", str(record["port"])] if record.get("port") else []
    try:
        said = commands.run(["ssh", "-G", *port, "%s@%s" % (record["user"], record["host"])])
    except commands.Failed:  # a configuration that ssh refuses
        said = "hostname %s\nport %d\n" % (record["host"], record.get("port") or 22)
    return [_jump(line) for line in said.splitlines() if line.partition(" ")[0] in _WAY]


def _jump(line: str) -> str:
    """A jump host is one of the person's configuration, and is reached by it."""
    word, _, hosts = line.partition(" ")
    before, _, last = hosts.rpartition(",")
    if word != "proxyjump":
        return line
    return "proxycommand ssh %s-W [%%h]:%%p ssh://%s" % ("-J %s " % before if before else "", last)


def _known_as(record: Record) -> str:
    return "[%s]:%d" % (record["host"], record["port"]) if record.get("port") else str(record["host"])


def _include(wanted: bool) -> None:
    """Have the person's own configuration include ours, or not any more."""
    line = 'Include "%s"\n' % layout.ssh_config()
    home = pwd.getpwuid(os.getuid()).pw_dir  # where ssh looks, whatever HOME says
    if os.path.realpath(home) != os.path.realpath(layout.home()):
        said = "ssh on this host reads %s/.ssh, and HOME is %s: its clones would not find their keys"
        raise Refusal("refused", said % (home, layout.home()), "unset HOME, or set it to %s" % home)
    path = os.path.realpath(os.path.join(home, ".ssh", "config"))
    try:
        with open(path, "rb") as file:
            before, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        before, mode = b"", 0o600
    except OSError as error:
        said = "%s cannot be read (%s), and ssh has to be told of the key" % (path, error.strerror)
        raise Refusal("refused", said, "ls -ld %s" % shlex.quote(path), there=True) from error
    rest = b"".join(one for one in before.splitlines(True) if one.strip() != line.strip().encode())
    after = line.encode() + rest if wanted else rest
    if after == before:
        return
    try:
        if os.path.dirname(path) == os.path.join(os.path.realpath(home), ".ssh"):
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        files.write_whole(path, after, mode=mode)
    except OSError as error:
        if wanted:
            said = "%s cannot be written (%s), and ssh has to be told of the key" % (path, error.strerror)
            raise Refusal("refused", said, "this as its first line: %s" % line.strip()) from error


# Where a machine at AWS keeps its keys


class Store:
    """The machine's own parameters, of which its role lets it read and write those below ``deploy-key``."""

    def __init__(self, name: str, region: str) -> None:
        self._place = "/orch/%s/deploy-key/" % name
        self._region = region

    @staticmethod
    def of_this_machine() -> Optional[Store]:
        """What there is where this is a machine that orch has made at AWS."""
        text = files.read_text("/etc/orch/host") or ""
        said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if not said.get("name") or not said.get("region") or not shutil.which("aws"):
            return None
        return Store(said["name"], said["region"])

    def get(self, key: str) -> Optional[str]:
        """The private half that is kept; None for none."""
        words = ["get-parameter", "--name", self._place + key, "--with-decryption"]
        try:
            text = self._aws([*words, "--query", "Parameter.Value", "--output", "text"])
        except commands.Failed as failed:
            if "ParameterNotFound" in failed.said:
                return None
            raise
        return text.strip() + "\n"

    def keep(self, key: str, about: str) -> None:
        """See to it that the private half here is the one that is kept."""
        mine = files.read_text(private(key)) or ""
        if self.get(key) == mine.strip() + "\n":
            return
        put = ["put-parameter", "--name", self._place + key, "--type", "SecureString", "--overwrite"]
        self._aws([*put, "--description", about, "--value", "file://" + private(key)])

    def _aws(self, words: list[str]) -> str:
        return commands.run(["aws", "ssm", *words, "--region", self._region], 60)
