"""Machines at Amazon EC2: each is one CloudFormation stack, found by its name and its tags from any laptop.

Nothing here contacts AWS, or imports boto3, before there is something to ask; a command that finds a connection open
already asks AWS nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orch.model import Check, Host
from orch.transport import Transport

from .shape import OPTIONS, USER, Shape, shape_of

if TYPE_CHECKING:
    from orch.ssh import SshTransport

    from ..base import Archive, Plan, SecretStore, Tell
    from .aws import Aws


class Ec2:
    """One instance a host; its address is nobody's business but the door's."""

    options: Mapping[str, type] = OPTIONS

    def transport(self, host: Host) -> Transport:
        """OpenSSH, through Session Manager or to port 22."""
        return _transport(shape_of(host), host)

    def checks(self, host: Host) -> list[Check]:
        """From a connection made anew."""
        from orch.ssh.checks import look

        return look(_transport(shape_of(host), host))

    def archive(self, host: Host) -> Archive | None:
        """What CloudWatch has of its jobs."""
        from .archive import Archive
        from .aws import explained

        shape = shape_of(host)
        with explained():
            return Archive(_aws(shape), shape)

    def secrets(self, host: Host) -> SecretStore:
        """Parameter Store, below the host's own path."""
        from .secrets import Parameters

        return Parameters(shape_of(host))

    def plan(self, host: Host, tell: Tell, move: bool = False) -> Plan:
        """What ``up`` would do."""
        from . import move as moving
        from . import up
        from .aws import explained

        shape = shape_of(host)
        with explained():
            return moving.plan(_aws(shape), shape, tell) if move else up.plan(_aws(shape), shape, tell)

    def carry_out(self, host: Host, plan: Plan, tell: Tell, keep_failed: bool = False) -> None:
        """Make it, or bring it to its shape."""
        from . import change, create, move
        from .aws import explained

        todo = plan.todo
        with explained():
            aws = _aws(todo.shape)
            if todo.former:
                move.finish(aws, todo, tell)
            elif todo.machine is None:
                create.make(aws, todo, tell, keep_failed)
            elif todo.machine.generation == todo.shape.generation:
                change.carry_out(aws, todo, tell)
            else:
                move.carry_out(aws, host, todo, tell, keep_failed)
                _transport(todo.shape, host).connection.close()

    def settling(self, host: Host, plan: Plan) -> str:
        """What is written on the machine itself."""
        from . import change

        return change.settling(plan.todo.shape, plan.todo.disk is not None)

    def usd_per_hour(self, host: Host, state: str) -> float | None:
        """By list prices; a machine that is gone costs nothing."""
        from .prices import remembered

        if state in ("absent", "terminated"):
            return 0.0
        shape = shape_of(host)
        cost = remembered(shape.instance_type, shape.region or "", shape.disk)
        return cost.hour_stopped if state == "stopped" else cost.hour

    def must_run(self, host: Host) -> None:
        """By EC2's word."""
        from .aws import explained
        from .door import running

        shape = shape_of(host)
        with explained():
            running(_aws(shape), shape)

    def start(self, host: Host, tell: Tell) -> None:
        """Start it, and wait until EC2 says that it runs."""
        from . import machine
        from .aws import explained
        from .session import check_plugin

        shape = shape_of(host)
        with explained():
            aws = _aws(shape)
            if shape.access == "ssm":
                check_plugin()  # before anything costs money
            machine.start(aws, machine.standing(aws, shape), tell)

    def stop(self, host: Host, tell: Tell) -> None:
        """Stop it; its disk is kept, and paid for."""
        from . import machine
        from .aws import explained

        shape = shape_of(host)
        with explained():
            aws = _aws(shape)
            machine.stop(aws, machine.standing(aws, shape), tell)
        _transport(shape, host).connection.close()

    def loss(self, host: Host) -> Sequence[tuple[str, str]]:
        """What dies with it."""
        from . import down
        from .aws import explained

        shape = shape_of(host)
        with explained():
            return down.loss(_aws(shape), shape)

    def former(self, host: Host) -> Sequence[str]:
        """The stacks of the generations before this one."""
        from . import down
        from .aws import explained

        shape = shape_of(host)
        with explained():
            return [one.name for one in down.former(_aws(shape), shape)]

    def leave(self, host: Host, tell: Tell) -> None:
        """Delete the machine from before a move."""
        from . import down
        from .aws import explained

        shape = shape_of(host)
        with explained():
            down.delete_retired(_aws(shape), shape, tell)

    def keys(self, host: Host) -> Sequence[tuple[str, str]]:
        """From what the machine has written beside them: nobody but the machine reads a key."""
        from . import clones
        from .aws import explained

        shape = shape_of(host)
        with explained():
            return clones.keys(_aws(shape), shape)

    def forget_key(self, host: Host, key: str) -> None:
        """Of its parameter nothing stays."""
        from . import clones
        from .aws import explained

        shape = shape_of(host)
        with explained():
            clones.forget(_aws(shape), shape, key)

    def down(self, host: Host, snapshot: bool, tell: Tell) -> None:
        """Delete it whole."""
        from . import down
        from .aws import explained

        shape = shape_of(host)
        with explained():
            down.delete(_aws(shape), shape, snapshot, tell)
        _transport(shape, host).connection.close()


def _aws(shape: Shape) -> Aws:
    from .aws import Aws

    return Aws(shape.region, shape.profile)


def _transport(shape: Shape, host: Host) -> SshTransport:
    from orch.ssh import SshTransport

    from .door import Door

    return SshTransport(host, f"{USER}@{shape.name}", ["-F", "none"], door=Door(shape))


PROVIDER = Ec2()
