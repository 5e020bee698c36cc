"""Everything that orch ever made in an account, found by what AWS knows alone.

Invariants
- Ours is what carries the tag ``orch:name``, and what has a name that orch gives: log groups and parameters below
  ``/orch/``, roles and instance profiles of that path. Nothing else is shown or deleted.
- What a living stack holds goes with its stack. Only what no stack holds is an orphan, and that is known only where the
  stacks could be asked: things are listed before the stacks, so one that is just being made is no orphan.
- Roles belong to no region. Where a region did not answer, theirs may be its stack's: then none of them is an orphan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from orch.errors import OrchError

from .aws import Aws, explained
from .prices import ADDRESS, GP3, HOURS, SNAPSHOT, Prices
from .shape import TAG

PATH = "/orch/"
EVERYWHERE = "global"
"""The region of what belongs to none."""

FIRST = "us-east-1"
"""Where one asks which regions there are, if no other is said."""

STACK = "stack"


class Thing(NamedTuple):
    """One thing at AWS. ``id`` is what its deletion takes; ``holder`` the stack that it goes with, empty for an orphan.

    ``made`` in epoch seconds; ``month`` USD, None where it is not known, 0.0 of what AWS gives away.
    """

    kind: str
    id: str
    host: str
    region: str
    state: str = ""
    made: float | None = None
    holder: str | None = None
    month: float | None = 0.0
    bill: tuple[tuple[str, float], ...] = ()
    """What is paid for a month: prices' things with hours or GiB; ``address`` has no other name."""

    name: str = ""
    """What a stack calls it, where that is not its id."""

    stays: bool = False
    """Whether it belongs to its holder's host, and yet does not go with the stack: what its machine has written."""

    @property
    def is_orphan(self) -> bool:
        """Whether it is known that no stack holds it."""
        return self.holder == ""


class Look(NamedTuple):
    """What a region holds. ``errors``: what could not be asked; ``held``: what its stacks hold, by id or name."""

    region: str
    things: list[Thing]
    errors: list[OrchError]
    held: Mapping[str, str]
    is_whole: bool
    """Whether the stacks could be asked."""


def regions(aws: Aws) -> list[str]:
    """Those that are enabled for the account."""
    with explained():
        return sorted(one["RegionName"] for one in aws.client("ec2").describe_regions()["Regions"])


def account(aws: Aws) -> str:
    """The account's number."""
    with explained():
        return str(aws.client("sts").get_caller_identity()["Account"])


def look(aws: Aws, region: str) -> Look:
    """All that is ours in a region; what is denied there hides nothing else."""
    things, errors = _listed(aws, region, _IN_A_REGION)
    try:
        with explained():
            stacks = list(_stacks(aws, region))
            held = _held(aws, region, stacks)
    except OrchError as error:
        return Look(region, things, [*errors, error], {}, False)
    busy = {stack.host: stack.id for stack in stacks if stack.state.endswith("_IN_PROGRESS")}
    owned = [thing._replace(holder=_holder(thing, held) or busy.get(thing.host, "")) for thing in things]
    living = {stack.host: stack.id for stack in stacks}
    owned = [_of_its_host(thing, living) if thing.kind == "parameter" else thing for thing in owned]
    return Look(region, [*stacks, *owned], errors, held, True)


def look_everywhere(aws: Aws) -> Look:
    """What is of no region, to be asked before the regions are."""
    things, errors = _listed(aws, EVERYWHERE, _OF_NO_REGION)
    return Look(EVERYWHERE, things, errors, {}, not errors)


def judged(everywhere: Look, looks: list[Look], is_all: bool) -> list[Thing]:
    """Every thing; those of no region with their holders. ``is_all``: no region was left out."""
    unowned = "" if is_all and all(one.is_whole for one in looks) else None
    held = {key: holder for one in looks for key, holder in one.held.items()}
    found = [thing for one in looks for thing in one.things]
    hosts = {thing.id: thing.host for thing in found if thing.kind == STACK}
    for thing in everywhere.things:
        holder = _holder(thing, held) or unowned
        found.append(thing._replace(holder=holder, host=hosts.get(holder or "", thing.host)))
    return found


def priced(thing: Thing, prices: Prices) -> Thing:
    """With what it costs a month as it is now."""
    total: float | None = thing.month
    for what, amount in thing.bill:
        usd = ADDRESS if what == "address" else getattr(prices.rate(what, thing.region), "usd", None)
        total = None if usd is None or total is None else total + usd * amount
    return thing._replace(month=total)


def _of_its_host(parameter: Thing, stacks: Mapping[str, str]) -> Thing:
    """A secret or a deploy key of a host that has a stack, which knows nothing of it."""
    holder = stacks.get(parameter.host, "") if parameter.is_orphan else ""
    return parameter._replace(holder=holder, stays=True) if holder else parameter


def _holder(thing: Thing, held: Mapping[str, str]) -> str:
    return held.get(thing.id) or held.get(thing.name) or ""


# Finding

_Lister = Callable[[Aws, str], Iterator[Thing]]


def _listed(aws: Aws, region: str, listers: tuple[_Lister, ...]) -> tuple[list[Thing], list[OrchError]]:
    """What each of them finds; what has no host's name is not ours, whatever AWS took our question for."""
    things: list[Thing] = []
    errors: dict[str, OrchError] = {}
    for lister in listers:
        try:
            with explained():
                things += (thing for thing in lister(aws, region) if thing.host)
        except OrchError as error:
            errors.setdefault(error.message, error)
    return things, list(errors.values())


def _pages(aws: Aws, region: str, service: str, call: str, key: str, **asked: Any) -> Iterator[dict[str, Any]]:
    client = aws.client(service, None if region == EVERYWHERE else region)
    for page in client.get_paginator(call).paginate(**asked):
        yield from page[key]


_TAGGED = [{"Name": "tag-key", "Values": [TAG]}]


def _host(said: Mapping[str, Any]) -> str:
    return next((str(tag["Value"]) for tag in said.get("Tags", ()) if tag["Key"] == TAG), "")


def _below(name: str) -> str:
    """The host of ``/orch/NAME/...`` and, once it has moved, of ``/orch/NAME--2``."""
    return name.removeprefix(PATH).partition("/")[0].partition("--")[0] if name.startswith(PATH) else ""


def _epoch(when: Any) -> float | None:
    return when.timestamp() if when is not None else None


def _stacks(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "cloudformation", "describe_stacks", "Stacks"):
        if _host(one) and one["StackStatus"] != "DELETE_COMPLETE":
            made = _epoch(one["CreationTime"])
            yield Thing(STACK, one["StackName"], _host(one), region, one["StackStatus"], made, one["StackName"])


def _held(aws: Aws, region: str, stacks: list[Thing]) -> dict[str, str]:
    """By physical id, the stack of each resource; the disks of their machines go with them."""
    held: dict[str, str] = {}
    for stack in stacks:
        said = _pages(
            aws, region, "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack.id
        )
        held.update((one["PhysicalResourceId"], stack.id) for one in said if one.get("PhysicalResourceId"))
    return held


def _instances(aws: Aws, region: str) -> Iterator[Thing]:
    for group in _pages(aws, region, "ec2", "describe_instances", "Reservations", Filters=_TAGGED):
        for one in group["Instances"]:
            state, address = one["State"]["Name"], one.get("PublicIpAddress")
            runs = state in ("running", "pending")
            paid = [one["InstanceType"], *(["address"] if address else [])] if runs else []
            bill = tuple((what, float(HOURS)) for what in paid)
            if state != "terminated":
                made = _epoch(one["LaunchTime"])
                yield Thing("instance", one["InstanceId"], _host(one), region, state, made, bill=bill)


def _volumes(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "ec2", "describe_volumes", "Volumes", Filters=_TAGGED):
        machine = next((attached["InstanceId"] for attached in one.get("Attachments", ())), "")
        month, bill = (0.0, ((GP3, float(one["Size"])),)) if one["VolumeType"] == GP3 else (None, ())
        made = _epoch(one["CreateTime"])
        yield Thing("volume", one["VolumeId"], _host(one), region, one["State"], made, None, month, bill, machine)


def _snapshots(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=_TAGGED):
        bill = ((SNAPSHOT, float(one["VolumeSize"])),)
        made = _epoch(one["StartTime"])
        yield Thing("snapshot", one["SnapshotId"], _host(one), region, one["State"], made, bill=bill)


def _groups(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "ec2", "describe_security_groups", "SecurityGroups", Filters=_TAGGED):
        yield Thing("security group", one["GroupId"], _host(one), region, name=one["GroupName"])


def _keys(aws: Aws, region: str) -> Iterator[Thing]:
    for one in aws.client("ec2", region).describe_key_pairs(Filters=_TAGGED)["KeyPairs"]:
        made = _epoch(one.get("CreateTime"))
        yield Thing("key pair", one["KeyPairId"], _host(one), region, made=made, name=one["KeyName"])


def _logs(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=PATH):
        name, month = one["logGroupName"], None if one.get("storedBytes") else 0.0
        yield Thing("log group", name, _below(name), region, made=one["creationTime"] / 1000, month=month)


def _parameters(aws: Aws, region: str) -> Iterator[Thing]:
    ours = [{"Key": "Name", "Option": "BeginsWith", "Values": [PATH]}]
    for one in _pages(aws, region, "ssm", "describe_parameters", "Parameters", ParameterFilters=ours):
        made = _epoch(one.get("LastModifiedDate"))
        yield Thing("parameter", one["Name"], _below(one["Name"]), region, made=made)


def _roles(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "iam", "list_roles", "Roles", PathPrefix=PATH):
        name = one["RoleName"]
        yield Thing("role", name, _of_stack(one["Path"], name), region, made=_epoch(one["CreateDate"]))


def _profiles(aws: Aws, region: str) -> Iterator[Thing]:
    for one in _pages(aws, region, "iam", "list_instance_profiles", "InstanceProfiles", PathPrefix=PATH):
        name = one["InstanceProfileName"]
        yield Thing("instance profile", name, _of_stack(one["Path"], name), region, made=_epoch(one["CreateDate"]))


def _of_stack(path: str, name: str) -> str:
    """The host of what CloudFormation named, ``orch-cloud-Role-1A2B3C``: to read the tags would be a call for each."""
    stack = name.rsplit("-", 2)[0].removeprefix("orch-")
    return stack.partition("--")[0] if path.startswith(PATH) else ""


_IN_A_REGION: tuple[_Lister, ...] = (_instances, _volumes, _snapshots, _groups, _keys, _logs, _parameters)
_OF_NO_REGION: tuple[_Lister, ...] = (_roles, _profiles)
