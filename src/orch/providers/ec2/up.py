"""What there is to do until a host is as configured.

A plan is made of what AWS says now, never of what this laptop remembers: whoever was interrupted asks again.
"""

from __future__ import annotations

from orch.errors import OrchError

from ..base import Plan, Tell
from . import change, create, machine, stack
from .aws import Aws
from .machine import GONE
from .shape import Shape


def plan(aws: Aws, shape: Shape, tell: Tell) -> Plan:
    """What there is to do."""
    shape = shape._replace(generation=_generation(aws, shape))
    now = stack.look(aws, shape.stack)
    if now is not None and now.is_busy:
        tell(shape.stack, f"is being worked on: {now.status.lower().replace('_', ' ')}")
        now = stack.watch(aws, shape, tell)
    found = machine.find(aws, shape, shape.generation)
    if now is not None and now.is_failed and found is not None and found.state not in GONE:
        says = f"{now.name} is {now.status} ({now.reason or 'no reason given'}), and its machine {found.id} still there"
        raise OrchError("refused", says, f"orch down {shape.name}    # says what is lost, and deletes it whole")
    if now is None or now.is_failed:
        return create.plan(aws, shape, now)
    if found is None or found.state in GONE:
        says = f"the machine of {shape.name} was terminated outside orch, and its disk is gone"
        raise OrchError("host", says, f"orch down {shape.name}    # then: orch up {shape.name}")
    return change.plan(aws, shape, now, found)


def _generation(aws: Aws, shape: Shape) -> int:
    """The one that is the host; of what has no machine any more the newest of which anything is left."""
    found = machine.find(aws, shape)
    if found is not None and found.state not in GONE:
        return found.generation
    return max((shape.generation_of(one.name) for one in stack.of_host(aws, shape)), default=1)
