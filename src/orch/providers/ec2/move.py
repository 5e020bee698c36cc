"""A host on a second machine: for another architecture, which cannot start from the same disk, or a smaller disk.

Invariants
- The first machine is the host until everything is on the second; one tag is the switch.
- Before the last copy the first one takes no more jobs: none is accepted that would be left behind.
- The machines copy directly, home to home, through a door between the two that is shut afterwards. The key for it is
  made on the first machine, in memory, and known to the second one for as long as the copying takes.
- Whoever was interrupted begins again, and finds what is there already.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from orch.errors import OrchError
from orch.model import Host
from orch.ssh import SshTransport

from ..base import Plan, Tell, reached
from . import create, machine, preflight, stack
from .aws import Aws, code_of
from .door import Door, published
from .machine import Machine
from .shape import RETIRED, USER, Shape
from .template import template
from .todo import Todo

_REACHED = 600.0  # seconds in which a machine must answer
_SHORT = 60.0
_CLOSED = 6 * 3600  # seconds for which the first machine takes no jobs, if nobody says that it may
_OWN = ("/.orch/live", "/.orch/machine", "/.orch/closed", "/.orch/*.sock", "/.ssh/authorized_keys")
"""What is each machine's own."""

_MARK = "orch-move"
_KEY = f'umask 077; d=$(mktemp -d /dev/shm/{_MARK}.XXXXXX) && ssh-keygen -q -t ed25519 -N "" -C {_MARK} -f "$d/key" && '
_KEY += 'echo "$d" && cat "$d/key.pub"'
_AGENT = 'a="$HOME/.orch/agent"; [ -e "$a" ] || exit 0; exec "$a/python" -I -S "$a" close {}'


def plan(aws: Aws, shape: Shape, tell: Tell) -> Plan:
    """What there is to do; where only the end is left to do, that."""
    old = machine.standing(aws, shape)
    if former := machine.retired(aws, shape):
        names = ", ".join(one.id for one in former)
        title = f"{shape.name} has moved to {old.id}; {names} is what it was before"
        return Plan(title, todo=Todo(shape, former=former))
    new = shape._replace(generation=old.generation + 1)
    now = stack.look(aws, new.stack)
    if now is not None and now.is_busy:
        now = stack.watch(aws, new, tell)
    title = f"{shape.name} ({old.id}, {aws.region}) is to move to another machine"
    if now is not None and not now.is_failed:
        todo = Todo(new, machine=old)
        facts = [("machine", f"a second one stands already ({now.name})"), *_facts(old)]
        return Plan(title, facts, interrupts=True, todo=todo)
    site, misses = preflight.examine(aws, new)
    if site is None:
        return Plan(title, misses=misses)
    document = json.dumps(template(new, site.kind.architecture), indent=2)
    todo = Todo(new, site=site, machine=old, kind=site.kind, failed=now is not None)
    facts = [*create.facts(aws, new, site), *_facts(old)]
    return Plan(title, facts, interrupts=True, document=document, todo=todo)


def _facts(old: Machine) -> Iterator[tuple[str, str]]:
    what = "clones, results, ledger, logs"
    yield "copies", f"/home/{USER} whole: {what}; what was built for {old.architecture} may not run"
    yield "then", f"the new machine is the host; {old.id} is stopped, and deleted if you say so"


def finish(aws: Aws, todo: Todo, tell: Tell) -> None:
    """What is left to do after the switch: the machines from before are stopped."""
    for one in todo.former:
        machine.stop(aws, one, tell)


def carry_out(aws: Aws, host: Host, todo: Todo, tell: Tell, keep_failed: bool) -> None:
    """Make the second machine, copy, switch, stop the first one."""
    assert todo.machine is not None  # of a plan for a move
    if todo.site is not None:
        create.make(aws, todo, tell, keep_failed)
    old = machine.start(aws, machine.look(aws, todo.machine), tell)
    new = machine.start(aws, machine.standing(aws, todo.shape, todo.shape.generation), tell)
    ways = [_way(host, todo.shape, one.generation) for one in (old, new)]
    for way, name in zip(ways, ("first machine", "second machine"), strict=True):
        reached(partial(way.run, "true", b"", _SHORT), name, _REACHED, tell)
    try:
        with _between(aws, old, new), _known(ways, new, aws, todo.shape) as words:
            _copy(ways[0], words, "copy", tell)
            _close(ways[0], host)
            _copy(ways[0], words, "copy of what has changed since", tell)
        aws.client("ec2").create_tags(Resources=[old.id], Tags=[{"Key": RETIRED, "Value": new.id}])
    except BaseException:
        _reopen(ways[0])
        raise
    finally:
        for way in ways:
            way.connection.close()
    tell("host", f"is {new.id} now")
    machine.stop(aws, old, tell)


def _way(host: Host, shape: Shape, generation: int) -> SshTransport:
    address = f"{USER}@{shape.name}-{generation}"
    return SshTransport(host, address, ["-F", "none"], door=Door(shape, generation))


def _halt(way: SshTransport, what: str) -> OrchError:
    return OrchError("host", what, f"orch up {way.host.name} --move    # goes on from there")


def _run(way: SshTransport, script: str, data: bytes = b"") -> str:
    done = way.run(script, data, _SHORT)
    if done.status:
        said = (done.err or done.out).decode(errors="replace").strip().splitlines() or [f"status {done.status}"]
        raise _halt(way, f"the move came to a halt: {said[-1][:300]}")
    return done.out.decode()


@contextmanager
def _between(aws: Aws, old: Machine, new: Machine) -> Iterator[None]:
    """Port 22 of the new machine is open to the old one."""
    client = aws.client("ec2")
    pair = [{"GroupId": old.groups[0], "Description": _MARK}]
    rule: dict[str, Any] = {
        "GroupId": new.groups[0],
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": pair}],
    }
    try:
        client.authorize_security_group_ingress(**rule)
    except Exception as error:
        if code_of(error) != "InvalidPermission.Duplicate":
            raise
    try:
        yield
    finally:
        client.revoke_security_group_ingress(**rule)


@contextmanager
def _known(ways: list[SshTransport], new: Machine, aws: Aws, shape: Shape) -> Iterator[str]:
    """The copying program's command line, for which the new machine knows the old one's key."""
    old_way, new_way = ways
    place, public = _run(old_way, _KEY).splitlines()
    key = published(aws, shape)
    try:
        _run(old_way, f'cat >"{place}/hosts"', f"{new.id} {key}\n".encode())
        _run(new_way, 'umask 077; mkdir -p "$HOME/.ssh" && cat >>"$HOME/.ssh/authorized_keys"', f"{public}\n".encode())
        yield _command(place, new)
    finally:
        _run(new_way, f'f="$HOME/.ssh/authorized_keys"; sed -i "/{_MARK}$/d" "$f"')
        _run(old_way, f'rm -rf "{place}"')


def _command(place: str, new: Machine) -> str:
    settings = {
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "15",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlgorithms": "ssh-ed25519",
        "HostKeyAlias": new.id,
        "UserKnownHostsFile": f"{place}/hosts",
    }
    options = " ".join(f"-o {key}={value}" for key, value in settings.items())
    left_out = " ".join(f"--exclude={shlex.quote(one) if '*' not in one else one}" for one in _OWN)
    shell = f'-e "ssh -F none -i {place}/key {options}"'
    return f'cd "$HOME" && set -f && exec rsync -a --delete --info=progress2 {left_out} {shell} ./ {USER}@{new.inner}:'


def _copy(way: SshTransport, command: str, name: str, tell: Tell) -> None:
    stream = way.open(f"{command} 2>&1", b"", _SHORT)
    said = b""
    while chunk := stream.read():
        said = (said + chunk)[-2000:]
        if found := re.findall(rb"([\d,.]+[KMGT]?)\s+(\d+)%", said):
            tell(name, f"{found[-1][1].decode()}%")
    status = stream.finish().status
    if not status:
        tell(name, "complete")
    else:
        lines = [line for line in said.decode(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
        why = lines[-1].strip()[:300] if lines else f"status {status}"
        raise _halt(way, f"not everything could be copied: {why}")


def _close(way: SshTransport, host: Host) -> None:
    """The old machine takes no more jobs, and has none."""
    asked = {"v": 1, "why": "is moving to another machine", "seconds": _CLOSED}
    said = _run(way, _AGENT.format(json.dumps(asked).encode().hex())).strip()
    if said and json.loads(said).get("names"):
        says = f"jobs came to {host.name} while it was copied"
        raise OrchError("refused", says, f"orch up {host.name} --move --when-idle    # goes on once there are none")


def _reopen(way: SshTransport) -> None:
    try:
        way.run(_AGENT.format(json.dumps({"v": 1, "seconds": 0}).encode().hex()), b"", _SHORT)
    except OrchError:
        return
