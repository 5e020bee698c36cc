"""What CloudWatch keeps of a host's jobs for when its machine is stopped, terminated or gone.

Invariants
- The CloudWatch agent names the streams of numbered files by itself (``publish_multi_logs``): the configured name, then
  the file's path with other separators. So a stream is known by how it ends, and whose it is by the instance in it.
- Runs are counted by the machine that ran them. Where one was replaced, and two have the same run, the newer machine's
  is meant, and no end of another's is taken for it.
- A host that has moved has a log group for each of its generations; all are looked into.
- An event is a line. CloudWatch keeps no empty ones, and cuts those beyond 256 KiB.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from orch_agent.model import JobRef

from ..base import Run, Stop
from .aws import Aws, code_of, explained
from .shape import Shape

_PAGE = 10_000  # events, the most that CloudWatch gives at once
_RECENT = 50  # events of a machine among which its last stop is looked for
_LOG = re.compile(r"ec2-user[^A-Za-z0-9]logs[^A-Za-z0-9](?P<name>.+)[^A-Za-z0-9](?P<run>[1-9][0-9]*)[^A-Za-z0-9]log\Z")
_INSTANCE = re.compile(r"\bi-[0-9a-f]{8,17}(?![0-9a-f])")
_MADE = re.compile(r"[^a-z0-9]")


class _Kept(NamedTuple):
    """A run that left something, in the order that decides: the newest machine's, the highest, one with a log.

    ``made``: when its machine was first heard of, in milliseconds.
    """

    made: int
    run: int
    stream: str
    instance: str
    name: str


class Archive:
    """The log groups of one host. A stream's name is told with its group before it: ``/orch/cloud:i-0123.../ended``."""

    where = "CloudWatch"

    def __init__(self, aws: Aws, shape: Shape) -> None:
        self._aws = aws
        self._shape = shape

    def find(self, ref: JobRef) -> Run | None:
        """The run that is meant: of a name the newest."""
        meant = [kept for kept in self._runs() if ref.covers(kept.run)]
        exact = [kept for kept in meant if kept.name.lower() == ref.name.lower()]
        found = max(exact or [kept for kept in meant if _plain(kept.name) == _plain(ref.name)], default=None)
        if found is None:
            return None
        return Run(ref.name, found.run, self._end(found.instance, ref.name, found.run), found.stream)

    def lines(self, run: Run, since: float | None = None, tail: int | None = None) -> Iterator[bytes]:
        """Its log, each line with its newline; ``since`` in epoch seconds, ``tail`` the last so many lines."""
        if run.stream:
            for event in self._events(run.stream, since) if tail is None else self._last(run.stream, tail, since):
                yield event["message"].encode(errors="replace") + b"\n"

    def stops(self, instance: str | None = None) -> Stop | None:
        """When and why it last stopped by itself, unless it then stayed; of a known instance this costs one call."""
        known = [f"{self._shape.log_group}:{instance}/machine"]
        streams = known if instance else [name for name in self._streams if _is(name, "machine")]
        said = [_last_stop(self._last(name, _RECENT)) for name in streams]
        return max((stop for stop in said if stop), default=None)

    @cached_property
    def _streams(self) -> Mapping[str, int]:
        """Every stream, and when it was made."""
        base = self._shape._replace(generation=1).log_group
        found: dict[str, int] = {}
        for group in self._all("describe_log_groups", "logGroups", logGroupNamePrefix=base):
            name = group["logGroupName"]
            if name == base or name.startswith(f"{base}--"):
                for one in self._all("describe_log_streams", "logStreams", logGroupName=name):
                    found[f"{name}:{one['logStreamName']}"] = one.get("creationTime", 0)
        return found

    def _all(self, call: str, key: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        while True:
            page = self._ask(call, **asked)
            yield from page.get(key, ())
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    @cached_property
    def _ends(self) -> Mapping[str, Mapping[tuple[str, int], Mapping[str, Any]]]:
        """How runs ended, by instance, then by name and run; what was said last counts."""
        found: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
        for stream in self._streams:
            if _is(stream, "ended"):
                ends = found.setdefault(_instance(stream), {})
                ends.update(((end["name"].lower(), end["run"]), end) for end in map(_end, self._events(stream)) if end)
        return found

    def _end(self, instance: str, name: str, run: int) -> Mapping[str, Any] | None:
        return self._ends.get(instance, {}).get((name.lower(), run))

    def _runs(self) -> Iterator[_Kept]:
        """What left a log or an end: a run that wrote nothing has no stream."""
        made: dict[str, int] = {}
        for stream, at in self._streams.items():
            made[_instance(stream)] = min(at, made.get(_instance(stream), at))
        for stream in self._streams:
            if found := _LOG.search(stream):
                instance = _instance(stream)
                yield _Kept(made[instance], int(found["run"]), stream, instance, found["name"])
        for instance, ends in self._ends.items():
            yield from (_Kept(made[instance], run, "", instance, name) for name, run in ends)

    def _events(self, stream: str, since: float | None = None) -> Iterator[Mapping[str, Any]]:
        """From the first to the last."""
        for page in self._pages(stream, since, "nextForwardToken", _PAGE):
            yield from page

    def _last(self, stream: str, count: int, since: float | None = None) -> list[Mapping[str, Any]]:
        """At most ``count``, in their order."""
        found: list[Mapping[str, Any]] = []
        if count > 0:
            for page in self._pages(stream, since, "nextBackwardToken", min(count, _PAGE)):
                found[:0] = page
                if len(found) >= count:
                    break
        return found[-count:] if count > 0 else []

    def _pages(self, stream: str, since: float | None, way: str, limit: int) -> Iterator[list[Mapping[str, Any]]]:
        """Until the token repeats: only that is the end, for a page may be empty."""
        group, _, name = stream.partition(":")
        asked: dict[str, Any] = {"logGroupName": group, "logStreamName": name, "limit": limit}
        asked["startFromHead"] = way == "nextForwardToken"
        if since is not None:
            asked["startTime"] = max(0, int(since * 1000))
        while True:
            said = self._ask("get_log_events", **asked)
            yield said.get("events", [])
            token = said.get(way)
            if not token or token == asked.get("nextToken"):
                return
            asked["nextToken"] = token

    def _ask(self, call: str, **asked: Any) -> Mapping[str, Any]:
        """What is not there is empty: a group that went with its stack, a stream that was never begun."""
        from botocore.exceptions import ClientError

        method: Callable[..., Mapping[str, Any]] = getattr(self._aws.client("logs"), call)
        with explained():
            try:
                return method(**asked)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                return {}


def _plain(name: str) -> str:
    """A name with whatever became of what is neither letter nor digit."""
    return _MADE.sub("_", name.lower())


def _is(stream: str, leaf: str) -> bool:
    return stream.rpartition("/")[2] == leaf


def _instance(stream: str) -> str:
    found = _INSTANCE.search(stream)
    return found[0] if found else ""


def _said(event: Mapping[str, Any]) -> dict[str, Any]:
    """The object in a line; an empty one where there is none."""
    try:
        said = json.loads(event["message"])
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _end(event: Mapping[str, Any]) -> dict[str, Any] | None:
    end = _said(event)
    right = isinstance(end.get("name"), str) and type(end.get("run")) is int and isinstance(end.get("state"), str)
    return end if right else None


def _last_stop(events: Sequence[Mapping[str, Any]]) -> Stop | None:
    """The newest, where nothing says that somebody came in that very moment."""
    told = [(_said(event), event) for event in events]
    known = [(said, event) for said, event in told if said.get("event") in ("stopped", "stays")]
    return _stop(*known[-1]) if known and known[-1][0]["event"] == "stopped" else None


def _stop(said: Mapping[str, Any], event: Mapping[str, Any]) -> Stop:
    try:
        at = datetime.fromisoformat(said["at"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        at = event["timestamp"] / 1000
    return Stop(at, str(said.get("why") or "no reason given"))
