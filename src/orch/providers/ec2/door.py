"""The door of an EC2 host: what has to be done at AWS so that ssh can connect, once for each connection.

Invariants
- No private key touches the laptop's disk. It is made (or fetched) in memory and held by an agent for a minute; the
  connection outlives it.
- With ``access = "ssm"`` nothing listens to the network: ssh goes through Session Manager. With ``access = "ssh"`` port
  22 is open to this laptop's present address, and an address that it had before is taken out again.
- The host's key is the one that the machine itself has published, and it is never asked about. One that has changed
  since this laptop first saw the machine is refused.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orch import files, paths
from orch.errors import OrchError
from orch.ssh.connection import directory
from orch.ssh.door import SECONDS, Way
from orch.transport import LinkDown, Off

from . import keys
from .aws import Aws, code_of, explained
from .machine import Machine, is_young, standing, stopped_at
from .shape import USER, Shape

_HASTE = 15.0  # seconds: who gives so little has other hosts to show
_UNPUBLISHED = "pending"
_OTHER_KEY = re.compile(r"HOST IDENTIFICATION HAS CHANGED|host key verification failed|host key for .* changed", re.I)
_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/=]+")


class Door:
    """Opens the way to the machine of ``shape``, or to the one of a certain generation."""

    seconds = SECONDS

    def __init__(self, shape: Shape, only: int | None = None) -> None:
        self._shape = shape
        self._only = only
        self._is_young = False
        chosen = [os.environ.get(key, "") for key in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")]
        account = [*chosen, os.environ.get("AWS_ENDPOINT_URL", ""), os.environ.get("AWS_ACCESS_KEY_ID", "")]
        self.name = "\0".join([*account, shape.profile or "", shape.region or "", shape.access, str(only)])

    def is_shut(self) -> bool:
        """AWS would have to be asked."""
        return False

    @contextmanager
    def opened(self, until: float | None) -> Iterator[Way]:
        """The machine knows the key, and there is a way to its sshd."""
        hasty = until is not None and until - time.monotonic() < _HASTE
        with explained():
            aws = Aws(self._shape.region, self._shape.profile, hasty)
            machine = running(aws, self._shape, self._only)
            shape = self._shape._replace(generation=machine.generation)
            self._is_young = is_young(machine)
            known = _pinned(aws, shape, machine)
            private = _key(aws, shape, machine)
        with keys.held(private) as agent, _told(known) as file, _tunnel(aws, shape, machine) as tunnel:
            words = [
                *("-o", f"IdentityAgent={agent}", "-o", "IdentityFile=none", "-o", f"HostKeyAlias={machine.id}"),
                *("-o", f"UserKnownHostsFile={file}", "-o", "GlobalKnownHostsFile=/dev/null"),
                *("-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UpdateHostKeys=no"),
            ]
            yield Way([*words, *tunnel.words], tunnel.env)

    def meaning(self, said: str) -> OrchError | None:
        """No keys or known hosts of the person's own are in play here, so none is spoken of."""
        name = self._shape.name
        if _OTHER_KEY.search(said):
            last = said.strip().splitlines()[-1].strip()[:200]
            says = f"{name} has another host key than it has published: somebody may be in between (ssh: {last})"
            return OrchError("not_authorised", says, f"if the machine is not to be trusted: orch down {name}")
        if self._is_young:
            return Off(name, "starting", why="its sshd does not answer yet")
        if "permission denied" in said.lower():
            says = f"{name} does not let in the key that AWS was given for it a moment ago"
            return LinkDown(says, f"again; if it stays so, its set-up is broken: orch down {name}; orch up {name}")
        return None


def running(aws: Aws, shape: Shape, only: int | None = None) -> Machine:
    """The host's machine, which runs; an ``Off`` or a ``LinkDown`` where it does not."""
    machine = standing(aws, shape, only)
    if machine.state == "running":
        return machine
    if machine.state == "pending":
        raise Off(shape.name, "starting")
    raise Off(shape.name, machine.state, why=why_stopped(aws, shape, machine) if machine.state == "stopped" else "")


def why_stopped(aws: Aws, shape: Shape, machine: Machine) -> str:
    """``stopped itself 02:14 after 30 min idle``; who stopped it otherwise, as far as AWS tells."""
    from time import localtime, strftime, time

    from .archive import Archive

    at = stopped_at(machine)
    try:
        last = Archive(aws, shape._replace(generation=machine.generation)).stops(machine.id)
    except OrchError:
        last = None  # that it is stopped is known all the same
    if last is not None and last.at >= machine.launched - 1:
        when = localtime(last.at)
        today = strftime("%F", when) == strftime("%F", localtime(time()))
        return f"stopped itself {strftime('%H:%M' if today else '%F %H:%M', when)} after {last.why}"
    return strftime("since %F %H:%M", localtime(at)) if at else ""


# The host's key


def _pinned(aws: Aws, shape: Shape, machine: Machine) -> str:
    """By which key this machine is known, as ssh reads it; this laptop keeps what it was told first."""
    path = paths.host_key(machine.id)
    key = published(aws, shape)
    line = f"{machine.id} {key}\n"
    try:
        with open(path, encoding="ascii") as file:
            pinned = file.read()
    except (OSError, UnicodeDecodeError):
        pinned = ""
    if pinned.endswith("\n") and pinned != line:
        says = f"the host key of {shape.name} ({machine.id}) is another one than when this laptop first saw the machine"
        raise OrchError("not_authorised", says, f"only if you know why: rm {path}")
    if pinned != line:
        _keep(path, line)
    return line


def _keep(path: str, line: str) -> None:
    try:
        files.write_whole(path, line)
    except OSError as error:
        raise OrchError("refused", f"cannot keep a host key: {error.strerror}: {path}", f"ls -ld {path}") from None


@contextmanager
def _told(known: str) -> Iterator[str]:
    """A file for ssh, at a place whose name it does not misread."""
    path = os.path.join(directory(), f"known.{os.urandom(6).hex()}")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(known)
        yield path
    finally:
        os.unlink(path)


def published(aws: Aws, shape: Shape) -> str:
    """The host key that the machine of this generation has said to be its own."""
    try:
        said: str = aws.client("ssm").get_parameter(Name=shape.host_key)["Parameter"]["Value"].strip()
    except Exception as error:
        if code_of(error) != "ParameterNotFound":
            raise
        says = f"by which key {shape.name} is known, was deleted: {shape.host_key}"
        raise OrchError("host", says, f"orch down {shape.name}    # then: orch up {shape.name}") from None
    if said == _UNPUBLISHED:
        raise Off(shape.name, "creating", why="it has not said yet by which key it is known")
    if not _KEY.fullmatch(said):
        raise OrchError("host", f"{shape.host_key} holds no ed25519 host key", f"orch down {shape.name}; orch up")
    return said


# The person's key


def _key(aws: Aws, shape: Shape, machine: Machine) -> str:
    """The private key with which the machine lets us in, now."""
    if shape.ssh_key == "ssm":
        return _kept_key(aws, shape)
    private, public = keys.make()
    aws.client("ec2-instance-connect").send_ssh_public_key(
        InstanceId=machine.id, InstanceOSUser=USER, SSHPublicKey=public, AvailabilityZone=machine.zone
    )
    return private


def _kept_key(aws: Aws, shape: Shape) -> str:
    pairs = aws.client("ec2").describe_key_pairs(Filters=[{"Name": "key-name", "Values": [shape.stack]}])["KeyPairs"]
    if not pairs:
        says = f"{shape.name} was made without a key pair, which cannot be added later"
        raise OrchError("refused", says, 'leave out ssh_key = "ssm", or make the machine anew: orch up --move')
    name = f"/ec2/keypair/{pairs[0]['KeyPairId']}"
    kept: str = aws.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    return kept if kept.endswith("\n") else kept + "\n"


@contextmanager
def _tunnel(aws: Aws, shape: Shape, machine: Machine) -> Iterator[Way]:
    if shape.access == "ssm":
        from .session import opened

        with opened(aws, shape, machine) as way:
            yield way
        return
    from .ingress import let_in

    with explained():
        let_in(aws, shape, machine)
    if machine.address is None:
        raise OrchError("host", f"{shape.name} has no public address", 'access = "ssm" needs none')
    yield Way(["-o", f"HostName={machine.address}"])
